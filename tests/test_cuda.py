"""On CUDA: the captured step beside the eager one, a stopped run beside a straight one, and CUDA beside the CPU."""

import os

import pytest
import torch
from conftest import training
from test_capture import SUMS

from skdcore.capture import Capture
from skdcore.data import Data, load
from skdcore.errors import Stopped
from skdcore.machine import kernels
from skdcore.methods import build
from skdcore.models import network
from skdcore.step import Step
from skdcore.sums import teachers
from skdcore.train import Run, train

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.fixture(autouse=True)
def deterministic(monkeypatch):
    monkeypatch.setitem(os.environ, "CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    with kernels():
        yield
    torch.use_deterministic_algorithms(False)


def begun(name, dataset):
    """A training in fp32 that has taken its first step."""
    made = training(name, load(dataset, device=torch.device("cuda", 0)), batch=20)
    made.step()
    return made


def capture(made):
    """A function that replays the step of a training."""
    return Capture(made.step, made.state.tensors, made.device).capture()


def close(one, other):
    """1e-4 relative to the largest value of each tensor."""
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4 * float(b.abs().max().clamp(min=1e-6)))


@pytest.mark.parametrize("name", SUMS)
def test_a_captured_step_is_the_eager_step_at_50_states(name, tiny):
    eager, captured = begun(name, tiny), begun(name, tiny)
    replay = capture(captured)
    for _ in range(50):
        with torch.no_grad():
            for to, value in zip(captured.state.tensors(), eager.state.tensors(), strict=True):
                to.copy_(value)
        chance = torch.cuda.get_rng_state()
        eager.step()
        torch.cuda.set_rng_state(chance)
        replay()
        close(captured.state.tensors(), eager.state.tensors())
        eager.state.row %= len(eager.state.batches)


@pytest.mark.parametrize("name", ["ps_kd+drg+dsr", "dlb", "ols", "cutout+cs_kd"])
def test_memory_and_counters_advance_alike_over_50_replays(name, tiny):
    eager, captured = begun(name, tiny), begun(name, tiny)
    chance = torch.cuda.get_rng_state()
    for step, made in ((eager.step, eager), (capture(captured), captured)):
        torch.cuda.set_rng_state(chance)
        for _ in range(50):
            step()
            made.state.row %= len(made.state.batches)
    assert captured.state.row == eager.state.row
    counters = [[b for n, b in made.state.net.named_buffers() if n.endswith("tracked")] for made in (captured, eager)]
    assert all(a == b for a, b in zip(*counters, strict=True))
    for term, memory in eager.state.memories.items():
        for key, tensor in memory.items():
            if not tensor.is_floating_point():
                assert torch.equal(captured.state.memories[term][key], tensor), key


def test_a_recording_leaves_no_trace(tiny):
    made = begun("ps_kd+drg+dsr", tiny)
    before, chance = [tensor.clone() for tensor in made.state.tensors()], torch.cuda.get_rng_state()
    capture(made)
    assert all(map(torch.equal, made.state.tensors(), before)) and torch.equal(torch.cuda.get_rng_state(), chance)


@pytest.mark.parametrize("eager", [False, True])
def test_a_stopped_run_resumes_to_the_record_of_a_straight_one(eager, tiny, tmp_path, stop_after):
    run = Run(tiny, "resnet10_w16", "ps_kd+drg+dsr", precision="fp32")

    def fit(name):
        return train(run, "cuda", results=tmp_path / name, progress=False, eager=eager)

    straight = fit("straight")
    stop_after(7)
    with pytest.raises(Stopped):
        fit("stopped")
    stop_after(None)
    resumed = fit("stopped")
    assert resumed["run"] == straight["run"]
    for term, series in straight["curve"]["loss"].items():
        assert resumed["curve"]["loss"][term] == pytest.approx(series, rel=1e-3), term


@pytest.mark.parametrize("name", [name for name in SUMS if "cutout" not in name])
def test_cuda_agrees_with_the_cpu_on_given_views(name, tiny_parts):
    """One image a class, so that a partner is the image itself; no augmentation."""
    grown = {}
    for device in ("cpu", "cuda"):
        images, classes = tiny_parts[0][0], tiny_parts[2]
        data = Data(images[:10], torch.arange(10), classes, device)
        torch.manual_seed(0)
        net, memories, values = network("resnet10_w16", 10, 16), {}, []
        net = net.to(device).train()
        for _ in range(2):
            given = {"net": net, "data": data, "index": torch.arange(10, device=device), "memories": memories}
            torch.manual_seed(1)
            untrained = {name: network("resnet10_w16", 10, 16).to(device).eval() for name in teachers(name)}
            torch.manual_seed(2)  # for the parts that a method makes
            s = Step(**given, epoch=0, epochs=2, teachers=untrained)
            losses = build(name)(s)
            net.zero_grad()
            sum(losses.values()).backward()
            values += [*losses.values(), *(p.grad for p in net.base.parameters())]
        grown[device] = [value.detach().cpu() for value in values]
    for a, b in zip(grown["cuda"], grown["cpu"], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3 * float(b.abs().max().clamp(min=1e-6)))
