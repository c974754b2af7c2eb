"""Every row of every table takes three small steps on every network that the study trains it on."""

import copy

import pytest
import torch
from conftest import descend

from skdcore.data import Data
from skdcore.methods import build
from skdcore.models import network
from skdcore.step import Step
from skdcore.study.experiments import experiments, regimes
from skdcore.sums import parse, teachers

K, B, SIDE = 10, 3, 8  # 8 pixels are the fewest that every exit can halve
PAIRS = {
    (name, row)
    for one in experiments().values()
    for regime in regimes().values()
    for name in regime.models or one.models
    for row in one.rows
}


@pytest.fixture(scope="module")
def made(request):
    """A network and its first weights; building the large ones takes longer than to train them here."""
    torch.manual_seed(0)
    net = network(request.param, K, SIDE).train()
    return net, copy.deepcopy(net.state_dict())


@pytest.fixture
def net(made, monkeypatch):
    """The network as it was made; without oneDNN, which rearranges all weights again for every tiny batch."""
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
    net, start = made
    net.parts.clear()
    net.load_state_dict(start)
    return net


def exits(row):
    """Which exits a row trains."""
    return {term.keywords.get("k", 2) for term in parse(row) if term.function.__name__ == "drg"} | (
        {1, 2, 3} if row == "byot_journal" else set()
    )


def places(memories):
    return {
        (term, key): (value.shape, value.dtype, value.data_ptr())
        for term, memory in memories.items()
        for key, value in memory.items()
    }


@pytest.mark.parametrize(
    "made, row",
    [
        pytest.param(*pair, marks=pytest.mark.quick if pair[0] == "resnet10_w16" else (), id="-".join(pair))
        for pair in sorted(PAIRS)
    ],
    indirect=["made"],
)
def test_three_small_steps(row, made, net):
    images = torch.randint(256, (3 * B, 3, SIDE, SIDE), dtype=torch.uint8)
    data = Data(images, torch.arange(3 * B) % K, range(K), padding=1, flip=True)
    taught = {name: copy.deepcopy(net).eval() for name in teachers(row)}
    losses, memories, after = build(row), {}, []
    for t, index in enumerate(torch.randperm(3 * B).view(3, B)):
        s = Step(net=net, data=data, index=index, epoch=t, epochs=3, memories=memories, teachers=taught)
        parts = losses(s)
        assert all(loss.isfinite() for loss in parts.values())
        descend(net, parts, 0.01)
        after.append(places(memories))
    assert after[0] == after[1] == after[2], "what is remembered keeps its shape and place"
    trained = ("base.", "parts.", *(f"exits.{k - 1}." for k in exits(row)))
    for name, p in net.named_parameters():
        assert (p.grad is not None) == name.startswith(trained), name
        assert not (name.startswith("base.") and torch.equal(p, made[1][name])), name
