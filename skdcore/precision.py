"""bf16 for the network where the precision asks for it; weights, statistics and losses stay float32."""

from contextlib import contextmanager, nullcontext

import torch
from torch.nn.functional import linear
from torch.overrides import TorchFunctionMode


@contextmanager
def autocast(device, precision):
    """The block in which a network computes: torch's autocast to bf16 if `precision` is "bf16", else float32."""
    bf16 = precision == "bf16"
    products = RoundedProducts() if bf16 and device.type == "cpu" and not native() else nullcontext()
    with torch.autocast(device.type, torch.bfloat16, enabled=bf16), products:
        yield


def native():
    """Whether this processor has bf16 instructions: oneDNN's substitute for them takes 2.5 to 10 times as long."""
    has = getattr(torch.cpu, "get_capabilities", dict)()  # older versions of torch do not say
    return any(has.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))  # bf16: ARM's


class RoundedProducts(TorchFunctionMode):
    """Convolutions and linear maps in float32 of inputs rounded to bf16, their results rounded again.

    bf16 instructions compute the same, but for the order in which they add: their sums are float32, too.
    """

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function not in (torch.conv2d, linear) or not torch.is_autocast_enabled("cpu"):
            return function(*args, **kwargs)
        with torch.autocast("cpu", enabled=False):
            return function(*map(_rounded, args), **{key: _rounded(value) for key, value in kwargs.items()}).bfloat16()


def _rounded(value):
    return value.bfloat16().float() if isinstance(value, torch.Tensor) else value
