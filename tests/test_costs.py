"""What a method costs, counted: passes, state and parameters beyond vanilla's, as a training has them."""

import pytest
import torch

from skdcore.data import load_cached
from skdcore.methods import METHODS
from skdcore.models import MODELS, network
from skdcore.study.costs import counted, sizes, stored
from skdcore.train import Run, rehearsal

B, K, N = 128, 100, 50_000
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def table():
    return counted("resnet10_w16", [*METHODS, "drg+dsr", "cs_kd+dlb"])


def nonzero(column):
    return column[column != 0].to_dict()


def test_passes_beyond_vanillas_are_counted_once_the_memory_is_filled(table):
    twice = {"dlb": 1, "ddgsd": 1, "cs_kd+dlb": 1}
    assert nonzero(table["extra backwards"]) == twice
    assert nonzero(table["extra forwards"]) == twice | {"cs_kd": 1, "kd": 1, "cs_kd+dlb": 2}


def test_state_is_what_the_methods_remember(table):
    dlb = B + B * K
    expected = {"dsr": B * K, "drg+dsr": B * K, "ps_kd": N * K, "dlb": dlb, "cs_kd+dlb": dlb, "ols": 2 * K * K + 1}
    assert nonzero(table["state"]) == expected


def test_extra_parameters_are_those_of_the_classifiers_that_a_method_trains(table):
    exits = [sum(p.numel() for p in ac.parameters()) for ac in network("resnet10_w16", K).exits]
    found = nonzero(table["extra parameters"])
    assert found.pop("drg") == found.pop("drg+dsr") == exits[1]
    assert found.pop("byot_journal") == sum(exits) + 2 * (128 * 128 + 128)
    assert found.keys() == {"byot", "frskd"}


@pytest.mark.parametrize("name", METHODS)
def test_what_is_counted_without_arithmetic_is_what_a_training_has(name, tiny):
    parts = load_cached(tiny, None, CPU, 0)
    training, memories = rehearsal(Run(tiny, "resnet10_w16", name).settings(CPU, parts[0]), *parts, CPU), {}
    for index in training.state.batches[:2]:
        training.forward(training.view_of(training.state.net, index, memories))
    row = counted("resnet10_w16", [name], classes=10, side=16, images=100, batch=20).loc[name]
    assert sum(t.numel() for memory in memories.values() for t in memory.values()) == row["state"]
    cost = training.circumstances()["cost"]
    assert cost["params_trained"] - cost["params_deployed"] == row["extra parameters"]


@pytest.mark.parametrize("name", ["vanilla", "byot", "byot_journal", "dlb", "drg+dsr"])
def test_bytes_that_are_counted_are_those_of_a_training_and_of_its_file(name, tiny, tmp_path):
    """What the method keeps of a real checkpoint, saved: weights of what it trains, momenta, and its memories."""
    parts = load_cached(tiny, None, CPU, 0)
    training = rehearsal(Run(tiny, "resnet10_w16", name).settings(CPU, parts[0]), *parts, CPU)
    training.state.net.train()
    for _ in range(2):
        training.step()
    state = training.state
    momenta = [held["momentum_buffer"] for held in state.optimizer.state.values()]
    trained = {id(p) for p in training.trained}
    owners = [m for m in state.net.modules() if any(id(p) in trained for p in m.parameters(recurse=False))]
    weights = [t for m in owners for t in (*m.parameters(recurse=False), *m.buffers(recurse=False))]
    memories = [t for memory in state.memories.values() for t in memory.values()]
    row = stored("resnet10_w16", name, classes=10, side=16, images=100, batch=20)
    for held, expected in ((weights, row["weights"]), ([*weights, *momenta, *memories], row["checkpoint"])):
        torch.save([t.detach().clone() for t in held], file := tmp_path / "saved.pt")
        assert sum(t.numel() * t.element_size() for t in held) == expected
        assert expected < file.stat().st_size < expected + 1000 * len(held), "and what a zip adds for each tensor"
    cost = training.circumstances()["cost"]
    assert (row["trained"], row["deployed"]) == (cost["params_trained"], cost["params_deployed"])
    torch.save(state.net.base.state_dict(), file)
    assert row["deployed weights"] < file.stat().st_size < row["deployed weights"] + 1000 * len(weights)


def test_a_network_has_its_parameters_and_multiply_adds_and_those_of_its_three_classifiers():
    frame = sizes()
    assert set(frame.index) == set(MODELS) and len(frame.columns) == 2 + 3 * 2
    net = network("resnet10_w16", 100)
    assert frame.loc["resnet10_w16", "parameters"] == f"{sum(p.numel() for p in net.base.parameters()):,}"
    first = 3 * 16 * 9 * 32 * 32  # multiply-adds of the stem, of which a network has more
    assert first < int(frame.loc["resnet10_w16", "multiply-adds"].replace(",", ""))
