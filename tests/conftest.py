"""What the tests share: a tiny data set inside this process, a folder of images for other processes, a step."""

import copy
import os
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from browser import PROGRAM, Browser
from PIL import Image

import skdcore.data
import skdcore.train
from skdcore import records
from skdcore.data import Data
from skdcore.datasets import DATASETS, glyphs, padded
from skdcore.errors import Damaged
from skdcore.methods import METHODS
from skdcore.models import network
from skdcore.step import Step
from skdcore.study.experiments import experiments, regime
from skdcore.sums import teachers
from skdcore.train import Run, Training, train

PROJECT = Path(__file__).parents[1]
ROWS = sorted({row for one in experiments().values() for row in one.rows})
STEPS = 5  # of an epoch of `tiny`
THREADS = int(os.environ.setdefault("OMP_NUM_THREADS", "1"))  # of torch, here and in the processes that tests start


@pytest.fixture(autouse=True)
def one_thread_and_seeded():
    """Every test begins with the same number of threads and a seeded random state."""
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def glyph_parts():
    return glyphs(None, 0)


@pytest.fixture(scope="session")
def tiny_parts(glyph_parts):
    """10 classes of glyphs: 100 images to train on, 50 to test."""
    (train_images, train_labels), (test_images, test_labels), characters = glyph_parts
    chosen = [(labels < 10).nonzero().flatten() for labels in (train_labels, test_labels)]
    first, second = chosen[0][:100], chosen[1][:50]
    return (train_images[first], train_labels[first]), (test_images[second], test_labels[second]), characters[:10]


@pytest.fixture
def tiny(tiny_parts, monkeypatch):
    """Makes `tiny` a data set with a recipe: 3 epochs of 5 steps, cropped and mirrored at random.  Gives its name."""

    def tiny(root, seed):
        return copy.deepcopy(tiny.splits)

    monkeypatch.setitem(DATASETS, "tiny", tiny)
    tiny.splits = tiny_parts
    tiny.recipe, tiny.augment = glyphs.recipe | {"epochs": 3, "batch": 100 // STEPS}, padded
    skdcore.data.load_cached.cache_clear()
    yield "tiny"
    skdcore.data.load_cached.cache_clear()


@pytest.fixture
def fit(tiny, tmp_path):
    """Trains a method on `tiny` without a word and returns its record."""

    def fit(method="vanilla", results=tmp_path / "results", seed=0, **options):
        return train(Run(tiny, "resnet10_w16", method, seed), device="cpu", results=results, progress=False, **options)

    return fit


@pytest.fixture
def stop_after(monkeypatch):
    """Makes runs stop just before the given step (counted from 0 over the epochs of this call); None: never."""

    def stop_after(step):
        @contextmanager
        def stop_signals(deadline, sweep):
            left = iter(range(step)) if step is not None else iter(int, 1)
            yield lambda: "the test says so" if next(left, None) is None else None

        monkeypatch.setattr(skdcore.train, "stop_signals", stop_signals)

    return stop_after


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """A function that gives a folder of a name, not made yet, which all worker processes of this test run share."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    top = tmp_path_factory.getbasetemp().parent / f"shared-{run}" if run else tmp_path_factory.mktemp("shared")
    top.mkdir(exist_ok=True)
    return top.joinpath


@pytest.fixture
def ran(tmp_path):
    """Writes records of a regime, {method: accuracies of seeds 0, 1, ..}, and gives their folder.

    Accuracy and the variance of probabilities rise from epoch to epoch, the variance of logits falls.  With a `gap`,
    the training accuracy is so many points above the test accuracy.
    """

    def ran(where="paper", model=None, dataset="cifar100", code="x", epochs=None, gap=None, **accuracies):
        chosen, made = regime(where), dict.fromkeys("torch device data_sha256 started ended".split(), "x")
        place = chosen.dataset or dataset, model or (chosen.models or ["resnet18"])[0]
        for method, values in accuracies.items():
            for seed, accuracy in enumerate(values):
                settings = Run(*place, method, seed, epochs or chosen.epochs, chosen.precision).settings()
                length, every = settings["epochs"], settings["score_every"]
                scored = [*range(every, length, every), length]
                test = [accuracy * epoch / length for epoch in scored[:-1]] + [accuracy]
                train = [accuracy * epoch / length for epoch in range(1, length + 1)]
                curve = {"test": test, "var_probs": test, "var_logits": test[::-1], "scored": scored}
                curve |= {"train": train, "lr": train, "loss": {"vanilla": train}}
                cost = dict.fromkeys("seconds_per_step seconds params_trained params_deployed peak_memory".split(), 60)
                final = dict.fromkeys("nll ece entropy p_true".split(), 0.5) | {"accuracy": accuracy}
                final |= {"train_accuracy": accuracy + gap} if gap is not None else {}
                record = {"run": settings, "state": "finished", "final": final, "curve": curve, "cost": cost}
                record |= {"best": {"accuracy": accuracy, "epoch": length}}
                record |= {"provenance": made | {"threads": 1, "code": code}}
                records.write(records.path(tmp_path, settings), record)
        return tmp_path

    return ran


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """An image folder of 2 classes, 6 + 3 images each, of several sizes and formats; classes have awkward names."""
    top, chance = tmp_path_factory.mktemp("pets"), np.random.default_rng(0)
    for part, count in (("train", 6), ("test", 3)):
        for label, name in enumerate(("a cat's", "dög+1")):
            (top / part / name).mkdir(parents=True)
            for i in range(count):
                pixels = chance.integers(0, 128, (32 + i, 36, 3), dtype=np.uint8) + np.uint8(100 * label)
                Image.fromarray(pixels).save(top / part / name / f"{i}.{('png', 'jpg', 'bmp')[i % 3]}")
    return top


@pytest.fixture(scope="session")
def browser():
    if PROGRAM is None:
        pytest.skip("no Chromium on this machine")
    with Browser() as opened:
        yield opened


@pytest.fixture
def python():
    """Starts `python ARGUMENTS` from the project's root, on one thread; kills what the test left running."""
    started = []

    def python(*arguments, **options):
        settings = {"cwd": PROJECT, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        path = os.pathsep.join([str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])])
        env = os.environ | {"PYTHONPATH": path}
        started.append(subprocess.Popen([sys.executable, *map(str, arguments)], **settings | {"env": env} | options))
        return started[-1]

    yield python
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def make_step(tiny_parts):
    """A function that makes a `Step` on a small network, with further values of its own set beforehand."""
    data = Data(*tiny_parts[0], tiny_parts[2])
    net = network("resnet10_w16", 10, side=16)

    def make_step(memories=None, **values):
        step = Step(
            net=net,
            data=data,
            index=torch.arange(8) * 12,
            epoch=0,
            epochs=2,
            memories={} if memories is None else memories,
        )
        for name, value in values.items():
            setattr(step, name, value)
        return step

    return make_step


@pytest.fixture
def spare_methods():
    """A copy of the table of methods, so that a test may register methods of its own."""
    before = dict(METHODS)
    yield
    METHODS.clear()
    METHODS.update(before)


def training(method, splits, precision="fp32", model="resnet10_w16", **changed):
    """A `Training` of a method on two splits, in training mode, with untrained teachers and some settings changed."""
    data, test = splits
    device = data.labels.device
    run = Run("glyphs", model, method, epochs=2, precision=precision)
    torch.manual_seed(1)
    size = len(data.classes), data.side
    taught_by = {name: network(model, *size).to(device).eval() for name in teachers(run.method)}
    made = Training(run.settings(device, data) | changed, data, test, device, taught_by)
    made.state.net.train()
    return made


def descend(net, losses, rate):
    """Plain gradient descent by one step on the sum of the losses by term; gradients stay to be looked at."""
    net.zero_grad()
    sum(losses.values()).backward()
    with torch.no_grad():
        for p in net.parameters():
            if p.grad is not None:
                p -= rate * p.grad


def same(one, other):
    """True if two nests of dicts, lists and tensors agree bit for bit."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def timeless(record):
    """A record without what depends on machine and time."""
    return {key: value for key, value in record.items() if key not in ("cost", "provenance")}


def files(results):
    """What stands under a results folder, without locks."""
    return sorted(
        p.relative_to(results).as_posix() for p in Path(results).rglob("*") if p.is_file() and p.suffix != ".lock"
    )


def kinds(results):
    """The endings of the files under a results folder: what there is beside a record."""
    return {re.sub(r"^\d+", "", file.rpartition("/")[2]) for file in files(results)}


def any_byte_altered(file, read):
    """Alters each byte of a file in turn; `read` gives it whole or names it as damaged, which is most often."""
    whole, damaged = file.read_bytes(), 0
    for at in range(len(whole)):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
        try:
            read(file)
        except Damaged as error:
            assert str(file) in str(error)
            damaged += 1
    assert damaged > len(whole) / 2
