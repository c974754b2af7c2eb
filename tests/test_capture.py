"""The captured step: replayed, it does what the eager step does.

On a CPU a tape stands in for the CUDA graph (tape.py), bit for bit; test_cuda.py has the real one.
"""

import gc
import weakref
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from conftest import ROWS, same, timeless, training
from tape import install

import skdcore.train
from skdcore.capture import Capture
from skdcore.data import load
from skdcore.datasets import DATASETS
from skdcore.errors import Stopped
from skdcore.train import Training

SUMS = sorted({*ROWS, "zf_ls(dense=True)", "dsr(reset=True)"})
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def one_hot_as_on_cuda(monkeypatch):
    """`one_hot` looks at its input's values on a CPU only; there it would make the host wait."""
    monkeypatch.setattr(F, "one_hot", lambda y, classes: (y[..., None] == torch.arange(classes)).long())


@pytest.fixture
def begun(tiny):
    """A function that makes a training on `tiny` which has taken its first step."""
    splits = load(tiny)

    def begun(name):
        made = training(name, splits, batch=20)
        made.step()
        return made

    return begun


def state(training):
    return [tensor.clone() for tensor in training.state.tensors()] + [torch.get_rng_state()]


@pytest.mark.parametrize("name", SUMS)
def test_a_replayed_step_is_the_eager_step(name, begun, monkeypatch):
    eager = begun(name)
    for _ in range(3):
        eager.step()
    expected = state(eager)
    replayed = begun(name)
    tapes = install(monkeypatch, capture := Capture(replayed.step, replayed.state.tensors, CPU))
    before = state(replayed)
    replay = capture.capture()
    assert same(state(replayed), before), "warming up and recording leave no trace"
    monkeypatch.setattr(replayed, "forward", None)  # a replay runs no Python of the step
    for _ in range(3):
        replay()
    assert len(tapes) == 1 and same(state(replayed), expected)


def test_the_captured_state_is_all_that_a_checkpoint_holds_of_a_step(begun):
    for name in ("ps_kd+drg+dsr", "dlb", "ols"):
        made = begun(name)
        kept = {tensor.data_ptr() for tensor in made.state.tensors()}
        held = [
            *made.state.net.state_dict().values(),
            *(t for memory in made.state.memories.values() for t in memory.values()),
        ]
        assert all(tensor.data_ptr() in kept for tensor in held)


@pytest.fixture
def captured(monkeypatch):
    """Has trainings on a CPU capture their steps; gives the list of all tapes."""
    tapes, plain = [], Training.__init__

    def init(self, *arguments, **options):
        plain(self, *arguments, **options)
        self.captured = True

    def capture(*arguments):
        made = Capture(*arguments)
        tapes.append(install(monkeypatch, made))
        return made

    def switch():
        monkeypatch.setattr(Training, "__init__", init)
        monkeypatch.setattr(skdcore.train, "Capture", capture)
        return tapes

    return switch


@pytest.mark.parametrize("name", ["ps_kd+drg+dsr", "dlb", "dsr(reset=True)", "ols", "cutout+cs_kd"])
def test_a_captured_run_makes_the_record_of_the_eager_run(name, fit, tmp_path, captured):
    eager = fit(name, tmp_path / "eager")
    tapes = captured()
    assert timeless(fit(name, tmp_path / "captured")) == timeless(eager)
    assert [len(of_a_run) for of_a_run in tapes] == [3], "recorded anew at each epoch: learning rate, alpha"


@pytest.mark.parametrize("step", [1, 4, 7, 14])  # 4 and 14 are the last of an epoch
def test_a_captured_run_resumes_to_the_same_record(step, fit, tmp_path, captured, stop_after):
    eager = fit("ps_kd+dsr", tmp_path / "eager")
    captured()
    stop_after(step)
    with pytest.raises(Stopped):
        fit("ps_kd+dsr", tmp_path / "captured")
    stop_after(None)
    assert timeless(fit("ps_kd+dsr", tmp_path / "captured")) == timeless(eager)


def test_a_run_with_one_step_an_epoch_is_captured_too(tiny, fit, tmp_path, captured, monkeypatch):
    monkeypatch.setitem(DATASETS[tiny].recipe, "batch", 100)
    eager = fit("dlb", tmp_path / "eager")
    captured()
    assert timeless(fit("dlb", tmp_path / "captured")) == timeless(eager)


def test_a_run_that_has_ended_leaves_its_network_and_its_graph_to_no_garbage_collector(fit, captured, monkeypatch):
    ended, plain = [], Training.finished

    def finished(self, logits):
        ended.append(weakref.ref(self.state.net))
        return plain(self, logits)

    captured()
    monkeypatch.setattr(Training, "finished", finished)
    monkeypatch.setattr(skdcore.train, "Capture", lambda step, *_: SimpleNamespace(capture=lambda: step))  # no tape
    gc.disable()
    try:
        fit("drg+dsr")
        assert ended[0]() is None
    finally:
        gc.enable()


def test_a_step_that_waits_for_the_device_is_not_captured(begun, monkeypatch):
    made = begun("vanilla")
    plain = made.losses
    made.losses = lambda s: {term: loss * (1 if loss.item() > 0 else 0) for term, loss in plain(s).items()}
    install(monkeypatch, capture := Capture(made.step, made.state.tensors, CPU))
    with pytest.raises(AssertionError, match="makes the host wait"):
        capture.capture()
