"""Training: the schedule, the dry step, stop and resume bit for bit, failures, signals, what is left on disk."""

import hashlib
import json
import math
import os
import re
import resource
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from fractions import Fraction
from io import BytesIO
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pytest
import torch
from conftest import STEPS, THREADS, files, kinds, same, timeless, training

import skdcore.checkpoint
import skdcore.train
from skdcore import measures, records
from skdcore.data import Data, load, load_cached
from skdcore.datasets import DATASETS
from skdcore.errors import Stopped
from skdcore.losses import cross_entropy
from skdcore.methods import METHODS
from skdcore.models import network
from skdcore.progress import Line, words
from skdcore.state import State
from skdcore.stop import interrupts, stop_signals
from skdcore.sums import method
from skdcore.train import Run, Training, learning_rate, train

RUN = ("tiny", "resnet10_w16")


def weights(results):
    """The deployed weights that stand under a results folder: {file: state dict}, of a teacher too."""
    saved = sorted(results.rglob("*.weights.pt"))
    return {str(file.relative_to(results)): torch.load(file, weights_only=True) for file in saved}


def deployed(results):
    """The plain network in evaluation mode, with the weights of the only run under a results folder."""
    base = network("resnet10_w16", 10, 16).base.eval()
    base.load_state_dict(*weights(results).values())
    return base


def splits():
    return load_cached("tiny", None, torch.device("cpu"), 0)


# --- the run and its recipe ---


@pytest.mark.parametrize(
    "dataset, epochs, drops, gamma",
    [
        ("cifar100", 200, (60, 120, 160), 0.2),
        ("cifar100", 12, (4, 8, 10), 0.2),
        ("cifar100", 5, (2, 3, 4), 0.2),
        ("cifar100", 2, (1, 2, 2), 0.2),
        ("cifar100", 1, (1, 1, 1), 0.2),
        ("glyphs", 7, (3, 5, 6), 0.2),
        ("tinyimagenet", 200, (100, 150), 0.1),
        ("folder:any", 200, (100, 150), 0.1),
        ("folder:any", 3, (2, 3), 0.1),
        ("folder:any", 1, (1, 1), 0.1),
    ],
)
def test_learning_rate_at_every_epoch(dataset, epochs, drops, gamma):
    settings = Run(dataset, "resnet18", "vanilla", epochs=epochs).settings()
    start = 0.05 if dataset == "glyphs" else 0.1
    literal = [start * gamma ** sum(epoch >= drop for drop in drops) for epoch in range(epochs)]
    assert [learning_rate(settings, epoch) for epoch in range(epochs)] == pytest.approx(literal, rel=1e-12)


def test_milestones_are_exact_fractions_for_every_number_of_epochs():
    for fraction in ("0.3", "0.6", "0.8", "0.5", "0.75"):
        for epochs in range(1, 301):
            settings = {"lr": 1.0, "gamma": 0.1, "milestones": [float(fraction)], "epochs": epochs}
            first = max(1, -(-Fraction(fraction) * epochs // 1))
            assert [learning_rate(settings, e) < 1 for e in range(epochs)] == [e >= first for e in range(epochs)]


def test_settings_hold_every_default_of_the_protocol():
    assert Run("cifar100", "resnet18", "drg(k=2)").settings() == {
        "dataset": "cifar100", "model": "resnet18", "method": "drg", "seed": 0, "epochs": 200, "precision": "fp32",
        "batch": 128, "lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4, "gamma": 0.2, "milestones": [0.3, 0.6, 0.8],
        "score_every": 1,
    }  # fmt: skip


@pytest.mark.parametrize("side, images, batch", [(32, 500, 128), (32, 50, 50), (224, 500, 64), (224, 40, 40)])
def test_a_batch_is_64_for_large_images_and_never_larger_than_the_data(side, images, batch):
    part = Data(torch.zeros(1, 3, side, side, dtype=torch.uint8).expand(images, -1, -1, -1), [0] * images, "ab")
    assert Run("folder:x", "resnet18", "vanilla").settings("cpu", part)["batch"] == batch


@pytest.mark.parametrize(
    "values, words",
    [
        ({"dataset": "glyfs"}, "unknown data set 'glyfs'; did you mean glyphs"),
        ({"dataset": "mnist"}, "known: .*cifar100, .*glyphs"),
        ({"model": "resnet10"}, "unknown model 'resnet10'; did you mean .*resnet10_w16"),
        ({"method": "drgg"}, "unknown method 'drgg'; did you mean drg"),
        ({"precision": "fp16"}, "unknown precision 'fp16'; did you mean .*bf16"),
        ({"epochs": 0}, "epochs=0"),
        ({"epochs": -3}, "epochs=-3"),
        ({"epochs": 1.5}, "epochs=1.5"),
        ({"epochs": "2"}, "epochs='2'"),
        ({"epochs": True}, "epochs=True"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": 0.0}, "seed=0.0"),
        ({"seed": 2**63}, "seed=9223372036854775808: a whole number of"),
        ({"seed": True}, "seed=True"),
    ],
)
def test_a_run_refuses_bad_values_in_words(values, words):
    with pytest.raises(ValueError, match=words):
        Run(**({"dataset": "glyphs", "model": "resnet18", "method": "vanilla"} | values))


# --- the loop ---


def test_a_run_is_the_literal_loop(fit, tiny, tmp_path, monkeypatch):
    """SGD with momentum and weight decay on the sum, written out: same losses, same scores, same weights.

    A low learning rate, because rounding errors grow 30-fold a step at the usual one; a weight decay that is felt.
    """
    monkeypatch.setattr(DATASETS[tiny], "recipe", DATASETS[tiny].recipe | {"lr": 0.002, "weight_decay": 0.5})
    record = fit("drg+dsr")
    data, test = load_cached("tiny", None, torch.device("cpu"), 0)
    torch.manual_seed(0)
    net = network("resnet10_w16", 10, 16)
    exits = list(net.exits[1].parameters())
    trained = [*net.base.parameters(), *exits]
    velocity, last = [torch.zeros_like(p) for p in trained], torch.zeros(20, 10)
    for epoch in range(3):
        lr = 0.002 * 0.2 ** sum(epoch >= drop for drop in (1, 2, 3))  # 0.3, 0.6, 0.8 of 3, from 1 on
        meter = []
        net.train()
        for index in torch.randperm(100).view(STEPS, 20):
            features = net.features(data.view(index))
            z, y = net.head(features[-1]), data.labels[index]
            q, ranked = net.exits[1](features[1]), z.sort(dim=1).values
            guide = torch.softmax(q.detach(), 1) * (torch.log_softmax(q.detach(), 1) - torch.log_softmax(z, 1))
            shape = torch.softmax(last / 4, 1) * (torch.log_softmax(last / 4, 1) - torch.log_softmax(ranked / 4, 1))
            terms = [cross_entropy(z, y), cross_entropy(q, y) + 0.2 * guide.sum() / 20, 16 * shape.sum() / 20]
            gradients = torch.autograd.grad(sum(terms), trained)
            last = ranked.detach()
            with torch.no_grad():
                for p, g, v in zip(trained, gradients, velocity, strict=True):
                    v.mul_(0.9).add_(g + 0.5 * p)
                    p.sub_(lr * v)
            meter.append(torch.stack(terms).detach())
        got = [record["curve"]["loss"][term][epoch] for term in ("vanilla", "drg", "dsr")]
        assert got == pytest.approx(torch.stack(meter).mean(0).tolist(), rel=1e-3)
        assert record["curve"]["lr"][epoch] == pytest.approx(lr)
    nll = cross_entropy(net.eval()(test.view(torch.arange(50))), test.labels)
    assert record["final"]["nll"] == pytest.approx(nll.item(), rel=1e-3)
    (kept,) = weights(tmp_path / "results").values()
    for name, value in kept.items():
        expected = net.base.state_dict()[name]
        torch.testing.assert_close(value.to(expected.dtype), expected, rtol=2e-3, atol=2e-4)  # half precision


def test_the_record_holds_the_loss_by_term_and_a_point_an_epoch(fit):
    record = fit("drg(k=1)+dsr(tau=2)+drg")
    assert list(record["curve"]["loss"]) == ["vanilla", "drg(k=1)", "dsr(tau=2)", "drg"]
    series = [*record["curve"].pop("loss").values(), *record["curve"].values()]
    assert len(series) == 4 + 6 and all(len(points) == 3 for points in series)
    assert record["final"]["accuracy"] == record["curve"]["test"][-1]
    assert record["best"]["accuracy"] == max(record["curve"]["test"])
    assert record["curve"]["test"][record["best"]["epoch"] - 1] == record["best"]["accuracy"]


def test_the_scores_of_a_record_are_those_of_the_weights_beside_it(fit, tmp_path):
    """The plain network, without any auxiliary part, gives the record's numbers on all test images."""
    final = fit("drg+dsr")["final"]
    test = load_cached("tiny", None, torch.device("cpu"), 0)[1]
    base = deployed(tmp_path / "results")
    with torch.no_grad():
        logits = base(test.view(torch.arange(len(test))))
    found = measures.scores(logits, test.labels)
    one_image = 1 / len(test)  # half-precision weights may move one across a boundary
    assert found.pop("accuracy") == pytest.approx(final["accuracy"], abs=100.1 * one_image)
    assert found.pop("ece") == pytest.approx(final["ece"], abs=2.1 * one_image)
    assert found == pytest.approx({key: final[key] for key in found}, rel=2e-3)


def test_the_scores_of_each_image_stand_beside_the_record_and_agree_with_it(fit, tmp_path):
    final = fit("drg+dsr")["final"]
    test = load_cached("tiny", None, torch.device("cpu"), 0)[1]
    with np.load(next(tmp_path.rglob("0.images.npz"))) as images:
        found = {name: images[name] for name in images}
    assert {name: values.dtype for name, values in found.items()} == {
        "predicted": np.uint8, "p_true": np.float16, "entropy": np.float16,
    }  # fmt: skip
    assert 100 * (found["predicted"] == test.labels.numpy()).mean() == pytest.approx(final["accuracy"])
    assert found["p_true"].astype(float).mean() == pytest.approx(final["p_true"], rel=1e-3)
    assert found["entropy"].astype(float).mean() == pytest.approx(final["entropy"], rel=1e-3)


def test_the_training_accuracy_of_a_record_is_that_of_the_images_as_they_are(fit, tmp_path):
    final = fit("vanilla")["final"]
    data = load_cached("tiny", None, torch.device("cpu"), 0)[0]
    base = deployed(tmp_path / "results")
    with torch.no_grad():
        right = base(data.plain(torch.arange(len(data)))).argmax(dim=1) == data.labels
    assert abs(100 * right.double().mean().item() - final["train_accuracy"]) <= 1, "half-precision weights"


def test_a_long_run_is_scored_every_few_epochs_and_in_its_final_one(fit, tiny, monkeypatch):
    monkeypatch.setattr(DATASETS[tiny], "recipe", DATASETS[tiny].recipe | {"epochs": 5})
    every = fit("vanilla", seed=1)["curve"]
    monkeypatch.setattr(DATASETS[tiny], "recipe", DATASETS[tiny].recipe | {"score_every": 2})
    record = fit("vanilla")
    curve = record["curve"]
    assert curve["scored"] == [2, 4, 5] and len(curve["test"]) == 3 and len(curve["train"]) == 5
    assert every["scored"] == [1, 2, 3, 4, 5]
    assert record["best"]["epoch"] in (2, 4, 5) and record["best"]["accuracy"] == max(curve["test"])


def test_scoring_less_often_changes_nothing_else(fit, tiny, tmp_path, monkeypatch):
    often = fit("drg+dsr", tmp_path / "often")
    monkeypatch.setattr(DATASETS[tiny], "recipe", DATASETS[tiny].recipe | {"score_every": 3})
    seldom = fit("drg+dsr", tmp_path / "seldom")
    assert seldom["final"] == often["final"] and seldom["curve"]["loss"] == often["curve"]["loss"]


def test_a_record_names_the_commit_of_its_code_and_whether_the_tree_was_clean(fit):
    made = fit("vanilla")["provenance"]
    if made["commit"] is None:
        pytest.skip("not a git checkout")
    assert (
        subprocess.run(["git", "cat-file", "-t", made["commit"]], capture_output=True, text=True).stdout == "commit\n"
    )
    assert type(made["clean"]) is bool


def test_training_learns(fit, tiny, monkeypatch):
    monkeypatch.setattr(DATASETS[tiny], "recipe", DATASETS[tiny].recipe | {"epochs": 20, "gamma": 1.0})
    curve = fit("drg+dsr")["curve"]
    assert curve["loss"]["vanilla"][-1] < 0.85 * curve["loss"]["vanilla"][0]
    assert curve["train"][-1] > 28 > 20 > curve["train"][0]  # chance is 10


def test_the_same_run_twice_gives_the_same_record_and_weights_and_another_seed_another(fit, tmp_path):
    one, two = fit("drg+dsr", tmp_path / "one"), fit("drg+dsr", tmp_path / "two")
    assert timeless(one) == timeless(two)
    assert same(weights(tmp_path / "one"), weights(tmp_path / "two"))
    assert fit("drg+dsr", tmp_path / "three", seed=1)["curve"] != one["curve"]


def test_training_begins_alike_whatever_the_random_state(fit, tmp_path):
    one = fit("dsr", tmp_path / "one")
    torch.manual_seed(99)
    assert timeless(fit("dsr", tmp_path / "two")) == timeless(one)


def test_bf16_trains_with_float32_weights_and_losses(tiny):
    run = training("drg+dsr", splits(), "bf16")
    state = run.state
    losses, _ = run.forward(run.view_of(state.net, state.batches[0], state.memories))
    assert all(value.dtype == torch.float32 for value in losses.values())
    run.step()
    assert all(p.dtype == torch.float32 for p in state.net.parameters())
    assert state.meter[0].isfinite().all()


def test_only_parameters_that_a_method_uses_are_trained_and_counted(tiny, fit, tmp_path):
    counts = {}
    for name in ("dsr", "drg", "drg(k=1)+drg"):
        cost = fit(name, tmp_path / name)["cost"]
        counts[name] = cost["params_trained"] - cost["params_deployed"]
    exits = [sum(p.numel() for p in ac.parameters()) for ac in network("resnet10_w16", 10, 16).exits]
    assert counts == {"dsr": 0, "drg": exits[1], "drg(k=1)+drg": exits[0] + exits[1]}


# --- the dry step ---


@pytest.mark.parametrize("name", ["vanilla", "drg+dsr"])
def test_the_dry_step_leaves_no_trace(tiny, name):
    run = training(name, splits(), seed=0)
    state = run.state
    torch.manual_seed(0)
    assert same(dict(state.net.state_dict()), dict(network("resnet10_w16", 10, 16).state_dict())), "as it was made"
    before = torch.get_rng_state()
    run.dry_step(state.net)
    assert torch.equal(torch.get_rng_state(), before)
    assert state.memories == {} and all(p.grad is None for p in state.net.parameters())


def test_the_dry_step_makes_the_parts_and_leaves_them_as_they_were_made(tiny, spare_methods):
    """A part is trained and, like the rest of the network, has seen no batch before the first step."""

    @method
    def toy(s):
        adaptor = s.part("adaptor", lambda: torch.nn.Sequential(torch.nn.Linear(10, 10), torch.nn.BatchNorm1d(10)))
        return adaptor(s.z).square().mean()

    run = training("toy", splits()).state
    (part,) = run.net.parts.values()
    trained = {id(p) for group in run.optimizer.param_groups for p in group["params"]}
    assert {id(p) for p in part.parameters()} <= trained
    assert part[1].num_batches_tracked == 0 and (part[1].running_mean == 0).all() and (part[1].running_var == 1).all()


def test_a_part_keeps_every_buffer_that_it_was_made_with(tiny, spare_methods):
    class Counting(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(()))
            self.register_buffer("seen", torch.full((), 7.0))

        def forward(self, z):
            self.seen += 1
            return self.scale * z

    @method
    def counts(s):
        return s.part("counting", Counting)(s.z).square().mean()

    (part,) = training("counts", splits()).state.net.parts.values()
    assert part.seen == 7


def test_a_method_that_begins_to_use_an_exit_later_is_an_error_that_names_it(fit, spare_methods, tmp_path):
    @method
    def late(s):
        return cross_entropy(s.exit(2), s.y) if s.epoch else 0 * s.z.sum()

    with pytest.raises(ValueError, match=r"late first used exits\.1\..* in epoch 2; a method must use what it trains"):
        fit("late")
    assert list(tmp_path.rglob("*.json")) == []


def test_the_views_of_a_sum_are_on_what_the_network_sees(tiny):
    run, seen = training("cutout+drg", splits(), batch=20), []
    run.state.net.base.conv1.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    run.step()
    (x,) = seen
    assert (x == 0).all(dim=1).flatten(1).any(dim=1).all(), "each image has a hole"


def test_a_method_that_never_reads_z_trains_in_the_runs_precision(tiny, spare_methods):
    seen = []

    @method(labels=True)
    def own(s):
        return cross_entropy(s.net.head(s.features[-1]).float(), s.y)

    run = training("own", splits(), "bf16")
    run.state.net.base.fc.register_forward_hook(lambda _, __, z: seen.append(z.dtype))
    run.step()
    assert seen == [torch.bfloat16] * 2, "the logits that are counted, and the method's own"


@pytest.mark.parametrize(
    "name, words",
    [
        ("drg(k=0)", "k=0"),
        ("drg(k=4)", "k=4"),
        ("drg(k=-1)", "k=-1"),
        ("drg(tau=0)", "tau=0"),
        ("dlb(tau=0)", "tau=0"),  # its first step has no teacher yet
        ("drg(tau=-1)", "tau=-1"),
        ("dsr(tau=0)", "tau=0"),
        ("drg+dsr(tau=-4)", "tau=-4"),
        ("kd(tau=0)", "tau=0"),  # before its teacher is trained
        ('kd(teacher="drg(k=9)")', "k=9"),
    ],
)
def test_an_argument_out_of_range_is_refused_in_words_and_writes_nothing(fit, tmp_path, name, words):
    with pytest.raises(ValueError, match=words):
        fit(name)
    assert not (tmp_path / "results").exists()


def test_images_that_no_exit_can_halve_are_refused_and_write_nothing(fit, tiny, monkeypatch, tmp_path):
    """34 pixels are 17 after block 2; a method without an exit trains on them."""
    part = torch.randint(256, (20, 3, 34, 34), dtype=torch.uint8), torch.arange(20) % 10

    monkeypatch.setattr(DATASETS[tiny], "splits", (part, part, range(10)))
    with pytest.raises(ValueError, match="even sides, not 17x17"):
        fit("drg+dsr")
    assert not (tmp_path / "results").exists()
    assert fit("dsr")["state"] == "finished"


def test_data_that_cannot_be_read_write_nothing(tmp_path):
    with pytest.raises(FileNotFoundError):
        train(Run("cifar100", "resnet18", "vanilla"), "cpu", tmp_path / "none", tmp_path / "results", progress=False)
    with pytest.raises(FileNotFoundError):
        train(
            Run(f"folder:{tmp_path}/none", "resnet18", "vanilla"), "cpu", results=tmp_path / "results", progress=False
        )
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("device", ["cuda:77", "gpu", "meta"])
def test_a_device_that_is_not_there_is_refused_in_words_and_writes_nothing(tiny, tmp_path, device):
    with pytest.raises(ValueError, match=device):
        train(Run(*RUN, "vanilla"), device, results=tmp_path / "results", progress=False)
    assert not (tmp_path / "results").exists()


# --- stop and resume ---


@pytest.fixture
def whole(fit, tmp_path):
    """The record and weights of an uninterrupted run of a method."""

    def whole(name):
        return fit(name, tmp_path / "whole"), weights(tmp_path / "whole")

    return whole


def stopped(fit, stop_after, name, results, *steps):
    """Stops a run before each of the steps, counted since the last stop; then lets it end and returns the record."""
    for step in steps:
        stop_after(step)
        with pytest.raises(Stopped, match="the test says so"):
            fit(name, results)
        assert kinds(results) - {".checkpoint-before.pt"} == {".checkpoint.pt"}
    stop_after(None)
    return fit(name, results)


@pytest.mark.parametrize("steps", [(0,), (2,), (STEPS,), (STEPS + 3,), (2 * STEPS,), (0, 3, 1, STEPS)], ids=str)
def test_a_run_stopped_anywhere_goes_on_to_the_same_record(fit, whole, stop_after, tmp_path, steps):
    """Before the first step, inside an epoch, between two epochs, and several times."""
    record, kept = whole("drg+dsr")
    assert timeless(stopped(fit, stop_after, "drg+dsr", tmp_path / "stopped", *steps)) == timeless(record)
    assert same(weights(tmp_path / "stopped"), kept)
    assert kinds(tmp_path / "stopped") == {".exits.pt", ".images.npz", ".json", ".logits.pt", ".weights.pt"}, (
        "the checkpoint is gone"
    )


@pytest.mark.parametrize("name", METHODS)
def test_every_method_resumes_bit_for_bit(fit, whole, stop_after, tmp_path, name):
    """Stopped inside the first epoch, then at the end of the second."""
    record, kept = whole(name)
    assert timeless(stopped(fit, stop_after, name, tmp_path / "stopped", 3, 2 * STEPS - 3)) == timeless(record)
    assert same(weights(tmp_path / "stopped"), kept)


def test_parts_of_a_method_resume_bit_for_bit(fit, whole, stop_after, tmp_path, spare_methods):
    @method
    def toy(s, weight=0.1):
        adaptor = s.part("adaptor", lambda: torch.nn.Sequential(torch.nn.Linear(10, 10), torch.nn.BatchNorm1d(10)))
        count = s.memory.setdefault("count", torch.zeros(1))
        count += 1
        return weight * count.clone()[0] * adaptor(s.z).square().mean()

    record, kept = whole("toy(weight=0.5)")
    assert timeless(stopped(fit, stop_after, "toy(weight=0.5)", tmp_path / "stopped", 7)) == timeless(record)
    assert same(weights(tmp_path / "stopped"), kept)


def test_a_run_resumes_with_its_own_number_of_threads(fit, whole, stop_after, tmp_path):
    record, kept = whole("drg+dsr")
    stop_after(STEPS + 1)
    with pytest.raises(Stopped):
        fit("drg+dsr")
    torch.set_num_threads(THREADS + 1)
    stop_after(None)
    resumed = fit("drg+dsr")
    assert resumed["provenance"]["threads"] == THREADS
    assert torch.get_num_threads() == THREADS + 1, "the runs after it have their own"
    assert timeless(resumed) == timeless(record) and same(weights(tmp_path / "results"), kept)


def test_checkpoints_on_the_way_change_nothing(fit, whole, tmp_path, monkeypatch):
    record, kept = whole("drg+dsr")
    saves = []
    save = skdcore.checkpoint.save
    monkeypatch.setattr(skdcore.checkpoint, "save", lambda kept, file: (saves.append(file.name), save(kept, file)))
    assert timeless(fit("drg+dsr", checkpoint_minutes=0)) == timeless(record)
    assert saves.count("0.checkpoint.pt") == 3 * STEPS and same(weights(tmp_path / "results"), kept)


def test_a_run_keeps_its_start_its_seconds_and_its_code_when_it_goes_on(fit, stop_after, tmp_path, monkeypatch):
    stop_after(STEPS + 1)
    with pytest.raises(Stopped):
        fit("vanilla")
    checkpoint = torch.load(next(tmp_path.rglob("*.checkpoint.pt")), weights_only=True)
    stop_after(1)
    monkeypatch.setattr("skdcore.machine.CODE", "edited")
    with pytest.raises(Stopped):
        fit("vanilla")
    stop_after(None)
    record = fit("vanilla")
    assert record["provenance"]["code"] == f"{checkpoint['provenance']['code']} and edited"
    assert record["provenance"]["started"] == checkpoint["provenance"]["started"]
    assert record["cost"]["seconds"] > sum(checkpoint["seconds"].values()) > 0


def test_a_budget_stops_a_run_at_a_checkpoint_and_says_where(fit, whole, tmp_path, monkeypatch):
    record, _ = whole("drg+dsr")
    with monkeypatch.context() as patch, pytest.raises(Stopped, match="epoch 1/3, step .*time budget"):
        patch.setattr("skdcore.stop.time", SimpleNamespace(monotonic=lambda: math.inf))  # it is over in the loop
        fit("drg+dsr", budget=600)
    assert kinds(tmp_path / "results") == {".checkpoint.pt"}
    assert timeless(fit("drg+dsr", budget=600)) == timeless(record)


def test_without_time_a_run_is_not_begun_but_its_record_is_returned(fit, tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(Stopped, match="vanilla seed 0: not begun, the time budget"):
        patch.setattr(Training, "__init__", lambda *_: pytest.fail("a network was made"))
        fit("vanilla", budget=0)
    assert not list((tmp_path / "results").rglob("0*"))
    record = fit("vanilla")
    assert fit("vanilla", budget=0) == record


def test_a_signal_in_the_final_scoring_stops_the_runs_after_it(fit, tmp_path, monkeypatch):
    measured = measures.temperature_scaled

    def interrupted(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        return measured(*arguments)

    monkeypatch.setattr(measures, "temperature_scaled", interrupted)
    with pytest.raises(Stopped, match="stopped by SIGTERM, after the record was written"):
        fit("vanilla")
    assert kinds(tmp_path / "results") == {".images.npz", ".json", ".logits.pt", ".weights.pt"}


def test_a_budget_holds_while_a_run_waits_for_another_worker(tmp_path, python):
    run = Run("glyphs", "resnet10_w16", "vanilla", epochs=1)
    file = records.path(tmp_path, run.settings())
    asked = ["--dataset", run.dataset, "--model", run.model, "--method", "vanilla", "--epochs", "1"]
    with records.lock(file):
        waiting = python("-m", "skdcore", "train", *asked, "--device", "cpu", "--results", tmp_path, "--budget", "8s")
        try:
            _, err = waiting.communicate(timeout=90)
        except subprocess.TimeoutExpired:
            pytest.fail("it waits for the lock beyond its budget")
    assert waiting.returncode == 3 and "another process is training this run; this one waits" in err


def test_a_checkpoint_of_other_settings_is_refused_and_kept(fit, stop_after, tiny, tmp_path, monkeypatch):
    stop_after(2)
    with pytest.raises(Stopped):
        fit("vanilla")
    (checkpoint,) = tmp_path.rglob("*.checkpoint.pt")
    before = checkpoint.read_bytes()
    monkeypatch.setattr(DATASETS[tiny], "recipe", DATASETS[tiny].recipe | {"lr": 0.01})
    with pytest.raises(ValueError, match=r"checkpoint.pt belongs to a run with other settings"):
        fit("vanilla")
    assert checkpoint.read_bytes() == before


def flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]


def saved(state):
    torch.save(state, content := BytesIO())
    return content.getvalue()


def legacy(state):
    torch.save(state, content := BytesIO(), _use_new_zipfile_serialization=False)
    return content.getvalue()


def crafted(change):
    """Damage by a function that changes what a checkpoint holds."""

    def damage(content):
        change(state := torch.load(BytesIO(content), weights_only=True))
        return saved(state)

    return damage


DAMAGES = {
    "empty": lambda content: b"",
    "half": lambda content: content[: len(content) // 2],
    "text": lambda content: b"no checkpoint",
    "one bit": flipped,
    "a legacy pickle": lambda content: legacy(torch.load(BytesIO(content), weights_only=True)),
    "a list": lambda content: saved([1, 2]),
    "a parameter is missing": crafted(lambda state: state["net"].popitem()),
    "a tensor of another shape": crafted(lambda state: state.update(meter=state["meter"][:, :1])),
    "a tensor of another type": crafted(lambda state: state.update(batches=state["batches"].int())),
    "a text for a number": crafted(lambda state: state.update(at="2")),
    "epoch -5": crafted(lambda state: state.update(epoch=-5)),
    "a step too far": crafted(lambda state: state.update(at=STEPS + 1)),
    "no thread": crafted(lambda state: state.update(threads=0)),
    "a curve too short": crafted(lambda state: state["curve"].update(train=[])),
    "a text in a curve": crafted(lambda state: state["curve"].update(lr=["x"])),
    "no memory": crafted(lambda state: state.update(memories={})),
    "a memory of another shape": crafted(lambda state: state["memories"]["dsr"].update(ranked=torch.zeros(2))),
    "a memory that is no tensor": crafted(lambda state: state.update(memories={"dsr": {"ranked": 1}})),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_it_is_used(fit, whole, stop_after, tmp_path, damage):
    record, _ = whole("drg+dsr")
    results = tmp_path / "damaged"
    for step in (STEPS + 1, 2):  # the second stop is in the second epoch, too
        stop_after(step)
        with pytest.raises(Stopped):
            fit("drg+dsr", results)
    latest, before = (next(results.rglob(f"0.{name}.pt")) for name in ("checkpoint", "checkpoint-before"))
    started = torch.load(before, weights_only=True)["provenance"]["started"]
    latest.write_bytes(bad := damage(latest.read_bytes()))
    stop_after(None)
    with pytest.warns(UserWarning, match=r"0\.checkpoint\.pt: damaged, or .*: set aside as 0\.checkpoint\.pt\.damaged"):
        ended = fit("drg+dsr", results)
    assert timeless(ended) == timeless(record) and ended["provenance"]["started"] == started
    assert latest.with_name("0.checkpoint.pt.damaged").read_bytes() == bad
    assert not latest.exists() and not before.exists()


def test_a_checkpoint_holds_on_another_kind_of_device(tiny):
    """What a CPU kept lacks the random state of CUDA, and what CUDA kept has one more."""
    splits = load(tiny)
    made = training("drg+dsr", splits, batch=20)
    kept = made.state.state_dict()
    made.state.check(kept | {"cuda": torch.get_rng_state()}, made.remembered)
    kept_on_cuda = State.state_dict

    with patch.object(State, "state_dict", lambda self: kept_on_cuda(self) | {"cuda": torch.get_rng_state()}):
        made.state.check(kept, made.remembered)


def test_without_a_whole_checkpoint_the_run_starts_anew(fit, whole, stop_after, tmp_path):
    record, _ = whole("drg+dsr")
    results = tmp_path / "damaged"
    stop_after(STEPS + 1)
    with pytest.raises(Stopped):
        fit("drg+dsr", results)
    (checkpoint,) = results.rglob("*.checkpoint.pt")
    checkpoint.write_bytes(b"")
    stop_after(None)
    with pytest.warns(UserWarning, match="set aside"):
        assert timeless(fit("drg+dsr", results)) == timeless(record)


def test_a_checkpoint_of_other_data_is_refused(fit, stop_after, tiny_parts, tmp_path):
    stop_after(2)
    with pytest.raises(Stopped):
        fit("vanilla")
    load_cached("tiny", None, torch.device("cpu"), 0)[0].images[0, 0, 0, 0] ^= 1
    with pytest.raises(ValueError, match="other settings, data or teacher"):
        fit("vanilla")


# --- taught runs ---

TAUGHT_BY = "tiny/resnet10_w16/vanilla/e3-fp32/0"


def digest(path):
    """sha256 over names and values of saved weights."""
    content = hashlib.sha256()
    for name, tensor in torch.load(path, weights_only=True).items():
        content.update(name.encode() + tensor.numpy().tobytes())
    return content.hexdigest()


def test_the_record_of_a_taught_run_names_the_weights_of_its_teacher(fit, tmp_path):
    record = fit("kd")
    assert record["provenance"]["teachers"] == {"vanilla": digest(tmp_path / "results" / f"{TAUGHT_BY}.weights.pt")}
    assert "teachers" not in fit("vanilla")["provenance"]


def test_a_checkpoint_of_another_teacher_is_refused_and_kept_and_goes_on_with_its_own(fit, whole, stop_after, tmp_path):
    record, _ = whole("kd")
    fit("vanilla")
    stop_after(2)
    with pytest.raises(Stopped):
        fit("kd")
    file, (checkpoint,) = tmp_path / "results" / f"{TAUGHT_BY}.weights.pt", tmp_path.rglob("*.checkpoint.pt")
    own, before = file.read_bytes(), checkpoint.read_bytes()
    of_teacher = tmp_path / "results" / f"{TAUGHT_BY}.json"
    own_record = json.loads(of_teacher.read_text())
    other = torch.load(file, weights_only=True)
    other["fc.bias"][0] += 1
    torch.save(other, file)
    stop_after(None)
    with pytest.raises(ValueError, match=r"0.weights.pt: not the weights of 0.json; move both away"):
        fit("kd")
    of_teacher.write_text(json.dumps(own_record | {"provenance": own_record["provenance"] | {"weights": digest(file)}}))
    with pytest.raises(ValueError, match=r"checkpoint.pt belongs to a run with other settings, data or teacher"):
        fit("kd")
    assert checkpoint.read_bytes() == before and not checkpoint.with_name("0.json").exists()
    file.write_bytes(own)
    of_teacher.write_text(json.dumps(own_record))
    assert timeless(fit("kd")) == timeless(record)


def test_a_teacher_whose_weights_are_gone_is_trained_anew_beside_its_record(fit, tmp_path):
    fit("vanilla")
    file = tmp_path / "results" / f"{TAUGHT_BY}.json"
    before, made = file.read_bytes(), digest(file.with_suffix(".weights.pt"))
    file.with_suffix(".weights.pt").unlink()
    assert fit("kd")["provenance"]["teachers"] == {"vanilla": made}
    assert file.read_bytes() == before and not file.with_suffix(".weights.pt").exists()
    assert digest(tmp_path / "results/teachers" / f"{TAUGHT_BY}.weights.pt") == made


def test_a_teacher_is_checkpointed_as_often_as_the_run_that_it_teaches(fit, monkeypatch):
    files, save = [], skdcore.checkpoint.save
    monkeypatch.setattr(skdcore.checkpoint, "save", lambda kept, file: (files.append(str(file)), save(kept, file)))
    fit("kd", checkpoint_minutes=0)
    assert sum("vanilla" in file and file.endswith(".checkpoint.pt") for file in files) == 3 * STEPS


def test_a_teacher_that_failed_teaches_nobody(fit):
    with pytest.raises(ValueError, match="no teacher: .* failed: the loss is not finite"):
        fit('kd(teacher="dsr(beta=1e38)")')


def test_the_seconds_of_a_step_of_a_run_that_failed_within_an_epoch_are_those_of_its_steps(fit):
    cost = fit("dsr(beta=1e38)")["cost"]
    assert cost["seconds_per_step"] < cost["seconds"] / 2, "more than one step was taken"


def test_signal_handlers_are_put_back(fit):
    names = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
    before = [signal.getsignal(name) for name in names]
    fit("vanilla")
    assert [signal.getsignal(name) for name in names] == before


def test_under_nohup_a_hangup_stops_nothing():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_signals(math.inf) as reason, interrupts():
            os.kill(os.getpid(), signal.SIGHUP)
            assert reason() is None
    finally:
        signal.signal(signal.SIGHUP, before)


# --- processes that are stopped and killed ---


@pytest.fixture(scope="module")
def long_run(folder, tmp_path_factory):
    """A run of 1 step an epoch for a few seconds, as arguments of the command line, and its uninterrupted record."""
    run = Run(f"folder:{folder}", "resnet10_w16", "drg+dsr", epochs=60)
    torch.set_num_threads(THREADS)
    arguments = [
        "--dataset",
        run.dataset,
        "--model",
        run.model,
        "--method",
        run.method,
        "--epochs",
        "60",
        "--device",
        "cpu",
    ]
    return run, arguments, train(run, "cpu", results=tmp_path_factory.mktemp("long"), progress=False)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_the_command_at_a_checkpoint_and_the_same_command_ends_it(long_run, python, tmp_path, number):
    run, arguments, expected = long_run
    command = ["-m", "skdcore", "train", *arguments, "--results", tmp_path]
    first = python(*command)
    assert "epoch 1/60, step 1/1" in first.stderr.readline(), "it is under way"
    first.send_signal(number)
    out, err = first.communicate(timeout=180)
    assert first.returncode == 3 and out == ""
    assert f"stopped by {number.name}; the same command resumes from there" in err and "Traceback" not in err
    assert kinds(tmp_path) == {".checkpoint.pt"}
    second = python(*command)
    out, err = second.communicate(timeout=180)
    assert second.returncode == 0, err
    assert out.splitlines()[-1] == f"drg+dsr seed 0: test accuracy {expected['final']['accuracy']:.2f} %"
    assert timeless(records.find(tmp_path, expected["run"])) == timeless(expected)


def test_a_killed_run_goes_on_from_its_last_checkpoint(long_run, python, tmp_path):
    run, _, expected = long_run
    script = """
import sys
from skdcore.train import Run, train
train(Run(*sys.argv[1:4], epochs=60), "cpu", results=sys.argv[4], checkpoint_minutes=0)
"""
    process = python("-c", script, run.dataset, run.model, run.method, tmp_path)
    file = records.path(tmp_path, expected["run"]).with_suffix(".checkpoint-before.pt")
    while process.poll() is None and not (file.exists() and torch.load(file, weights_only=True)["epoch"] > 3):
        time.sleep(0.02)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    kept = {kind for kind in kinds(tmp_path) if not kind.endswith(".tmp")}
    assert kept - {".checkpoint.pt"} == {".checkpoint-before.pt"}, "the latest may just be on its way"
    assert timeless(train(run, "cpu", results=tmp_path, progress=False)) == timeless(expected)


def test_two_processes_on_one_cell_train_it_once(folder, tmp_path, python):
    """Both stand before the lock of the run, which the test holds, before either may go on."""
    script = """
import contextlib, sys
from skdcore import records, train
lock, run = records.lock, train.Training.run
records.lock = lambda *arguments: (print("waits", flush=True), lock(*arguments))[1]
train.Training.run = lambda *arguments: (print("trains", flush=True), run(*arguments))[1]
record = train.train(train.Run(sys.argv[1], "resnet10_w16", "vanilla", epochs=2), "cpu", results=sys.argv[2])
print(record["final"]["nll"])
"""
    run = Run(f"folder:{folder}", "resnet10_w16", "vanilla", epochs=2)
    with records.lock(records.path(tmp_path, run.settings())):
        both = [python("-c", script, run.dataset, tmp_path) for _ in range(2)]
        assert [process.stdout.readline() for process in both] == ["waits\n", "waits\n"]
    (one, other) = [process.communicate(timeout=180)[0].split() for process in both]
    assert sorted([one[0], other[0]])[-1] == "trains" and len(one) + len(other) == 3
    assert one[-1] == other[-1], "both have the record"


def test_importing_and_training_need_none_of_the_tools_of_the_book(folder, tmp_path, python):
    """Dask, papermill, Jupyter Book, pandas, fastjsonschema and matplotlib are absent from a bare training machine."""
    script = """
import sys
sys.modules.update(dict.fromkeys(sys.argv[1].split(",")))  # None: importing it is a ModuleNotFoundError
from skdcore.__main__ import main
sys.exit(main(sys.argv[2:]))
"""
    absent = "dask,distributed,papermill,nbformat,nbclient,jupyter_book,sphinx,IPython"
    absent += ",pandas,fastjsonschema,matplotlib,scipy,yaml"
    asked = [
        "--dataset",
        f"folder:{folder}",
        "--model",
        "resnet10_w16",
        "--method",
        "drg+dsr",
        "--epochs",
        "1",
        "--device",
        "cpu",
    ]
    process = python("-c", script, absent, "train", *asked, "--results", tmp_path)
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0, err
    assert out.startswith("drg+dsr seed 0: test accuracy")
    records.under(tmp_path)  # here, with fastjsonschema, the record is checked


# --- failures ---


@pytest.mark.parametrize(
    "step, where", [(1, "epoch 1, step 1"), (STEPS, "epoch 1, step 5"), (STEPS + 2, "epoch 2, step 2")]
)
def test_a_loss_that_is_not_finite_ends_the_run_with_a_record_that_says_where(
    fit, tmp_path, spare_methods, step, where
):
    @method
    def toy(s):
        count = s.memory.setdefault("count", torch.zeros(1))
        count += 1
        return 0 * s.z.sum() + torch.where(count == step, torch.nan, 0.0)[0]

    record = fit("dsr+toy")
    assert record["state"] == "failed" and "final" not in record
    assert record["reason"].endswith(where)
    assert kinds(tmp_path / "results") == {".json"}, "no weights and no checkpoint"
    assert fit("dsr+toy") == record, "it is not tried again"


@pytest.mark.parametrize("beta", ["1e30", "1e38"])
def test_a_huge_beta_ends_in_a_failed_record(fit, beta):
    record = fit(f"dsr(beta={beta})")
    assert record["state"] == "failed" and "not finite at epoch 1, step" in record["reason"]


def test_weights_that_the_last_step_spoils_are_a_failure_too(fit, tiny, monkeypatch):
    """All losses were finite, but what the network says of the test images is not."""
    monkeypatch.setattr(DATASETS[tiny], "recipe", DATASETS[tiny].recipe | {"epochs": 1, "batch": 100, "lr": 1e38})
    record = fit("vanilla")
    assert record["state"] == "failed" and "epoch 1" in record["reason"]


def test_a_record_that_is_there_is_returned_and_neither_trained_again_nor_touched(fit, tmp_path, monkeypatch):
    first = fit("vanilla")
    (file,) = tmp_path.rglob("*.json")
    before = file.stat().st_mtime_ns, file.read_bytes()
    monkeypatch.setattr(Training, "__init__", None)
    assert fit("vanilla()") == first == json.loads(file.read_text())
    assert (file.stat().st_mtime_ns, file.read_bytes()) == before


@pytest.mark.parametrize("changed", ["data", "settings"])
def test_a_place_taken_by_another_run_is_refused_and_kept(fit, tiny, tmp_path, monkeypatch, changed):
    fit("vanilla")
    before = {name: (tmp_path / "results" / name).read_bytes() for name in files(tmp_path / "results")}
    if changed == "data":
        load_cached(tiny, None, torch.device("cpu"), 0)[1].images[0, 0, 0, 0] ^= 1
    else:
        monkeypatch.setattr(DATASETS[tiny], "recipe", DATASETS[tiny].recipe | {"lr": 0.01})
    words = {"data": "data_sha256", "settings": "lr 0.05 instead of 0.01"}[changed]
    with pytest.raises(ValueError, match=rf"0\.json belongs to another run .*{words}"):
        fit("vanilla")
    assert {name: (tmp_path / "results" / name).read_bytes() for name in files(tmp_path / "results")} == before


@contextmanager
def full_disk():
    """No file can grow beyond 100,000 bytes: the system stops the writer as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_no_partial_file_and_the_run_can_be_tried_again(fit, whole, tmp_path):
    record, _ = whole("dsr")
    with full_disk(), pytest.raises(OSError, match=r"File too large: .*0\.weights\.pt"):
        fit("dsr")
    assert files(tmp_path / "results") == []
    assert timeless(fit("dsr")) == timeless(record)


def test_a_full_disk_keeps_the_checkpoint_before(fit, stop_after, tmp_path):
    stop_after(3)
    with pytest.raises(Stopped):
        fit("dsr")
    (checkpoint,) = tmp_path.rglob("*.checkpoint.pt")
    before = checkpoint.read_bytes()
    stop_after(3)
    with full_disk(), pytest.raises(OSError, match=r"File too large: .*0\.checkpoint\.pt"):
        fit("dsr")
    assert kinds(tmp_path / "results") == {".checkpoint-before.pt"}
    assert checkpoint.with_name("0.checkpoint-before.pt").read_bytes() == before


def test_a_results_folder_that_cannot_be_written_is_named(fit, tmp_path):
    """A file stands where the folder should be: this stops even a superuser."""
    (tmp_path / "results").write_text("in the way")
    with pytest.raises(OSError, match=str(tmp_path / "results")):
        fit("vanilla")
    assert (tmp_path / "results").read_text() == "in the way"


@pytest.mark.skipif(os.geteuid() == 0, reason="a superuser may write everywhere")
def test_a_results_folder_without_permission_is_named(fit, tmp_path):
    (tmp_path / "results").mkdir(mode=0o500)
    with pytest.raises(PermissionError, match=str(tmp_path / "results")):
        fit("vanilla")


# --- progress ---


def test_progress_goes_to_stderr_and_ends_with_the_accuracy(tiny, tmp_path, capsys):
    record = train(Run(*RUN, "vanilla"), "cpu", results=tmp_path)
    out, err = capsys.readouterr()
    assert out == ""
    first = r"tiny resnet10_w16 vanilla seed 0: epoch 1/3, step 1/5, [\d.]+ (s|min|h) left"
    assert re.fullmatch(first, err.splitlines()[0])
    assert err.splitlines()[-1] == f"vanilla seed 0: test accuracy {record['final']['accuracy']:.2f} %"


def test_progress_can_be_switched_off(fit, capsys):
    fit("vanilla")
    assert capsys.readouterr() == ("", "")


def test_a_line_asks_for_its_text_only_when_it_is_time_to_show_it(capsys):
    asked = []
    with Line() as line:
        for i in range(1000):
            line.update(lambda i=i: asked.append(i) or f"step {i}")
        line.show("done")
    assert asked == [0] and capsys.readouterr().err == "step 0\ndone\n"


def test_a_terminals_line_is_rewritten_in_place(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with Line() as line:
        line.show("one")
        line.show("two")
    assert capsys.readouterr().err == "\r\033[Jone\r\033[Jtwo\n"


def test_a_terminals_table_is_rewritten_in_place_and_no_line_of_it_wraps(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "8")
    with Line() as line:
        line.show("one\ntwo\nthree and more")
        line.show("four")
    assert capsys.readouterr().err == "\r\033[Jone\ntwo\nthree a\r\033[2A\033[Jfour\n"


def test_a_table_is_one_line_in_a_log_and_whole_where_a_function_takes_it(capsys):
    taken = []
    for output in (True, taken.append):
        with Line(output) as line:
            line.show("one\ntwo")
    assert capsys.readouterr().err == "one\n" and taken == ["one\ntwo"]


@pytest.mark.parametrize("seconds, text", [(0, "0.0 s"), (59.9, "59.9 s"), (90, "1.5 min"), (9000, "2.5 h")])
def test_a_time_is_told_in_the_unit_that_suits_it(seconds, text):
    assert words(seconds) == text
