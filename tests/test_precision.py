"""bf16 on a processor without its instructions: float32 products of rounded numbers, rounded again."""

import copy

import pytest
import torch
from torch import nn

from skdcore import precision
from skdcore.precision import RoundedProducts, autocast

CPU = torch.device("cpu")
PLACE = 2.0**-8  # a result is rounded by at most this share of itself


@pytest.fixture(params=[nn.Conv2d(3, 5, 3, padding=1), nn.Conv2d(3, 5, 1, bias=False), nn.Linear(6, 4)], ids=str)
def layer(request):
    return request.param


def rounded(x):
    return x.detach().bfloat16().double()


def images(layer):
    return torch.randn(2, 3, 6, 6) if isinstance(layer, nn.Conv2d) else torch.randn(5, 6)


def exact(layer, x):
    """A double layer with rounded parameters, and its result on the rounded input."""
    twin = copy.deepcopy(layer).double()
    twin.load_state_dict({name: rounded(value) for name, value in layer.state_dict().items()})
    x = rounded(x).requires_grad_()
    return twin, x, twin(x)


def test_a_product_is_that_of_the_rounded_inputs_rounded_to_bf16(layer):
    x = images(layer)
    with torch.autocast("cpu", torch.bfloat16), RoundedProducts():
        found = layer(x)
    assert found.dtype == torch.bfloat16
    _, _, wanted = exact(layer, x)
    torch.testing.assert_close(found.double(), wanted, rtol=PLACE, atol=1e-5)


def test_its_gradients_are_those_of_the_rounded_product_and_float32(layer):
    x = images(layer).requires_grad_()
    layer.zero_grad()
    with torch.autocast("cpu", torch.bfloat16), RoundedProducts():
        found = layer(x)
    weights = torch.randn_like(found)
    found.backward(weights)
    twin, x_twin, wanted = exact(layer, x)
    wanted.backward(weights.double())
    pairs = [(x, x_twin), *zip(layer.parameters(), twin.parameters(), strict=True)]
    for ours, theirs in pairs:
        assert ours.grad.dtype == torch.float32
        torch.testing.assert_close(ours.grad.double(), theirs.grad, rtol=PLACE, atol=1e-4)


def test_torchs_own_autocast_gives_the_same(layer):
    x = images(layer)
    with torch.autocast("cpu", torch.bfloat16):
        native = layer(x)
        with RoundedProducts():
            ours = layer(x)
    torch.testing.assert_close(ours.float(), native.float(), rtol=2 * PLACE, atol=1e-5)


def test_a_layer_that_autocast_leaves_in_float32_stays_so(layer):
    x = images(layer)
    with RoundedProducts(), torch.autocast("cpu", enabled=False):
        assert torch.equal(layer(x), layer(x)) and layer(x).dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16), RoundedProducts(), torch.autocast("cpu", enabled=False):
        assert layer(x).dtype == torch.float32


@pytest.mark.parametrize(("native", "emulated"), [(True, False), (False, True)])
def test_products_are_emulated_only_where_the_processor_lacks_bf16(monkeypatch, native, emulated):
    used = []
    monkeypatch.setattr(precision, "native", lambda: native)
    monkeypatch.setattr(RoundedProducts, "__enter__", lambda self: used.append(True))
    monkeypatch.setattr(RoundedProducts, "__exit__", lambda self, *_: None)
    with autocast(CPU, "bf16"):
        assert torch.is_autocast_enabled("cpu")
    assert bool(used) == emulated


@pytest.mark.parametrize(
    ("has", "native"),
    [
        ({"avx2": True}, False),
        ({"avx512_f": True, "avx512_vnni": True, "avx512_bf16": False, "amx_bf16": False}, False),
        ({"avx512_f": True, "avx512_bf16": True}, True),
        ({"avx512_f": True, "amx_bf16": True}, True),
        ({"neon": True, "bf16": False}, False),
        ({"neon": True, "bf16": True}, True),
    ],
    ids=["AVX2", "AVX-512 without bf16", "AVX-512 with bf16", "AMX", "ARM without bf16", "ARM with bf16"],
)
def test_a_processor_is_native_by_its_bf16_instructions_not_by_the_width_of_its_others(monkeypatch, has, native):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    assert precision.native() is native


def test_fp32_is_neither_rounded_nor_under_autocast(layer, monkeypatch):
    monkeypatch.setattr(precision, "native", lambda: False)
    x = images(layer)
    with autocast(CPU, "fp32"):
        assert not torch.is_autocast_enabled("cpu")
        torch.testing.assert_close(layer(x), layer(x), rtol=0, atol=0)
        assert layer(x).dtype == torch.float32
