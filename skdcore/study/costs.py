"""What a method and a network cost, counted instead of timed."""

from functools import cache, partial
from types import SimpleNamespace

import pandas
import torch
from torch.utils.flop_counter import FlopCounterMode

from skdcore.methods import METHODS, build
from skdcore.models import MODELS, network
from skdcore.step import Step
from skdcore.sums import teachers


def counted(model="resnet18", methods=tuple(METHODS), classes=100, side=32, images=50_000, batch=128):
    """A pandas table of what each method takes beside vanilla, counted in a step once its memory is filled.

    Columns: extra forwards of a network (a teacher's too) and how many of them have a backward; the state, in
    numbers kept from step to step; the extra parameters that are trained.  All on torch's meta device: no arithmetic.
    """
    rows = {}
    for method in methods:
        net, forwards, memories, trained = _stepped(2, model, method, classes, side, images, batch)
        rows[method] = {
            "extra forwards": len(forwards) - 1,
            "extra backwards": sum(forwards) - 1,
            "state": sum(tensor.numel() for tensor in _tensors(memories)),
            "extra parameters": sum(p.numel() for p in trained) - _count(net.base),
        }
    return pandas.DataFrame.from_dict(rows, orient="index")


@cache
def stored(model, method, classes=100, side=32, images=50_000, batch=128):
    """What is stored of a network under a method, counted as `counted` does, as a dict.

    `trained` and `deployed`: parameters.  `weights` and `deployed weights`: bytes of these with the running statistics
    of batch norm.  `checkpoint`: bytes of the weights, a momentum for each trained parameter, and the method's state.
    Classifiers that the method does not train are left out.
    """
    net, _, memories, trained = _stepped(1, model, method, classes, side, images, batch)
    base = set(net.base.modules())
    owners = [m for m in net.modules() if m in base or not trained.isdisjoint(m.parameters(recurse=False))]
    weights = _bytes(tensor for m in owners for tensor in (*m.parameters(recurse=False), *m.buffers(recurse=False)))
    return {
        "trained": sum(p.numel() for p in trained),
        "deployed": _count(net.base),
        "weights": weights,
        "deployed weights": _bytes(net.base.state_dict().values()),
        "checkpoint": weights + _bytes(trained) + _bytes(_tensors(memories)),
    }


def _stepped(steps, model, method, classes, side, images, batch):
    """A network, and of the last of some steps: whether each forward had a gradient, the memories, what it trains."""
    with torch.device("meta"):
        data = SimpleNamespace(
            labels=torch.empty(images, dtype=torch.int64),
            view=lambda index: torch.empty(len(index), 3, side, side),
            partners=torch.empty_like,
        )
        index, net = torch.arange(batch), _on_meta(model, classes, side)
        taught_by = dict.fromkeys(teachers(method), net)  # its forwards have no gradient
        forwards, memories, losses = [], {}, build(method)  # forwards: for each one, whether it has a gradient
        counter = net.blocks[0].register_forward_hook(lambda *_: forwards.append(torch.is_grad_enabled()))
        for _ in range(steps):
            forwards.clear()
            step = Step(net=net, data=data, index=index, epoch=0, epochs=2, memories=memories, teachers=taught_by)
            loss = sum(losses(step).values())
        counter.remove()
        return net, forwards, memories, _leaves(loss)


@cache
def _on_meta(model, classes, side):
    """A network of shapes alone.  Its batch norm only scales and shifts: torch's takes many times as long on meta."""
    with torch.device("meta"):
        net = network(model, classes, side)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.forward = partial(_scaled, module)
    return net


def _scaled(norm, x):
    return torch.addcmul(norm.bias[:, None, None], x, norm.weight[:, None, None])


def _leaves(loss):
    """The parameters that a loss has a gradient for, found in its graph: a backward would take as long again."""
    seen, left = set(), [loss.grad_fn]
    while left:
        node = left.pop()
        if node and node not in seen:
            seen.add(node)
            left += [inner for inner, _ in node.next_functions]
    return {node.variable for node in seen if hasattr(node, "variable")}


def _tensors(memories):
    return [tensor for memory in memories.values() for tensor in memory.values()]


def _bytes(tensors):
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def sizes(classes=100, side=32):
    """A pandas table of each network: parameters and multiply-adds for one image, of it and of its three ACs."""
    rows = {}
    for name in MODELS:
        net = _on_meta(name, classes, side)
        features = net.features(torch.empty(1, 3, side, side, device="meta"))
        row = {
            "parameters": _count(net.base),
            "multiply-adds": _multiply_adds(net, features[0].new_empty(1, 3, side, side)),
        }
        for k, (ac, feature) in enumerate(zip(net.exits, features[:3], strict=True), start=1):
            row |= {f"AC {k} parameters": _count(ac), f"AC {k} multiply-adds": _multiply_adds(ac, feature)}
        rows[name] = row
    return pandas.DataFrame(rows).T.map("{:,}".format)


def _count(module):
    return sum(p.numel() for p in module.parameters())


def _multiply_adds(module, x):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(x)
    return counter.get_total_flops() // 2
