"""A CUDA graph without CUDA: the operators of a step, recorded below autograd and run again on the same tensors.

Like a graph, a tape runs no Python of the step: numbers are as they were at the recording, a tensor that was there
before is read and written in place, and one that was made on the way is made anew.
"""

from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "unique")  # the host would wait for the device


class Tape(TorchDispatchMode):
    """Records what runs in its context; `replay` runs it again."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        assert not any(word in function.name() for word in WAITS), f"{function.name()} makes the host wait"
        result = function(*args, **(kwargs or {}))
        self.calls.append((function, args, kwargs or {}, result))
        return result

    def replay(self):
        """The operators again, each with what the ones before it give now."""
        now = {}

        def current(value):
            return now.get(id(value), value) if isinstance(value, torch.Tensor) else value

        with torch.no_grad():
            for function, args, kwargs, before in self.calls:
                result = function(*tree_map(current, args), **tree_map(current, kwargs))
                now |= {
                    id(old): new
                    for old, new in zip(tree_leaves(before), tree_leaves(result), strict=True)
                    if isinstance(old, torch.Tensor)
                }


def install(monkeypatch, capture):
    """Has a `Capture` of a step on the CPU record on tapes; returns the list of the tapes."""
    tapes = []

    @contextmanager
    def graph(tape, stream):
        """A recording changes nothing; a tape has to run the step to see it, so it is taken back."""
        before, chance = [tensor.clone() for tensor in capture.state()], torch.get_rng_state()
        with tape:
            yield
        with torch.no_grad():
            for tensor, value in zip(capture.state(), before, strict=True):
                tensor.copy_(value)
        torch.set_rng_state(chance)
        tapes.append(tape)

    stream = SimpleNamespace(wait_stream=lambda other: None)
    for name, stand_in in {
        "Stream": lambda: stream,
        "CUDAGraph": Tape,
        "graph": graph,
        "current_stream": lambda: stream,
        "stream": lambda stream: nullcontext(),
        "device": lambda device: nullcontext(),
        "get_rng_state": lambda device: torch.get_rng_state(),
        "set_rng_state": lambda state, device: torch.set_rng_state(state),
    }.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    return tapes
