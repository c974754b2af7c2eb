"""What safety costs: each function gives a number, in the unit that `COSTS` has for it."""

import contextlib
import copy
import io
import json
import subprocess
import time

import psutil
import torch
from cluster import Cluster
from world import start

from skdcore import checkpoint, records
from skdcore.data import Data
from skdcore.progress import Line
from skdcore.rehearsal import prepare
from skdcore.study.queue import plan
from skdcore.sweep import sweep
from skdcore.train import Run, Training

MINIATURE = "--dataset", "glyphs", "--model", "resnet10_w16", "--device", "cpu", "--results"


def overhead(world):
    """Twelve runs of the miniature: a sweep of two workers, over two processes that train six runs each"""
    seeds = "--seed", *range(6)
    together = _seconds([("sweep", *MINIATURE, world.folder(), *seeds, "--workers", 2, "--method", "vanilla", "ls")])
    apart = [("train", *MINIATURE, world.folder(), *seeds, "--method", method) for method in ("vanilla", "ls")]
    return together / _seconds(apart)


def _seconds(commands):
    """How long some commands take side by side, on one thread each."""
    began = time.monotonic()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    statuses = [process.wait() for process in [start("-m", "skdcore", *command, **quiet) for command in commands]]
    assert not any(statuses), statuses
    return time.monotonic() - began


def planning(world):
    """Planning 10,000 runs, of which 9,000 have their record"""
    runs, results = _recorded(world, 10_000, 9_000)
    began = time.monotonic()
    assert plan(dict.fromkeys(runs, ""), results)["complete"].sum() == 9_000
    return time.monotonic() - began


def checking(world):
    """Checking the same 10,000 runs before the first is trained, with a dry step of each method"""
    runs, results = _recorded(world, 10_000, 9_000)
    began = time.monotonic()
    with Line(show=False) as line:
        assert len(prepare(runs, line, "cpu", results=results)) == 9_000
    return time.monotonic() - began


def scheduler_memory(world):
    """Memory of a scheduler after 1,000 trivial runs, over that after 100"""
    runs, results = _recorded(world, 1_000, 1_000)
    with Cluster(results) as cluster:
        cluster.worker()
        held = []
        for those in (runs[:100], runs):
            with contextlib.redirect_stderr(io.StringIO()):
                sweep(those, results=results, device="cpu", scheduler=cluster.address)
            held.append(psutil.Process(cluster.processes[0].pid).memory_info().rss)
    return held[1] / held[0]


def _recorded(world, number, complete):
    """Some runs of the suite's images, and a folder in which the first have their record."""
    whole, results = world.expected[world.runs[0]], world.folder()
    where, methods = (world.runs[0].dataset, world.runs[0].model), ("vanilla", "ls", "drg", "drg+dsr")
    runs = [Run(*where, method, seed, world.epochs) for seed in range(number // 4) for method in methods]
    for run in runs[:complete]:
        record = copy.deepcopy(whole) | {"run": whole["run"] | {"method": run.method, "seed": run.seed}}
        file = records.path(results, record["run"])
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(record))
    return runs, results


def checkpoints(world):
    """A checkpoint of ResNet-18 with its checksums, the one before it kept, of the minute until the next"""
    run = Run("cifar100", "resnet18", "drg+dsr")
    images = Data(torch.zeros(256, 3, 32, 32, dtype=torch.uint8), [i % 100 for i in range(256)], map(str, range(100)))
    training = Training(run.settings(), images, images, torch.device("cpu"))
    training.step()  # as the momentum is kept as well
    file, taken = world.folder() / "0.json", []
    for _ in range(5):
        began = time.monotonic()
        checkpoint.keep(training.state, file)
        taken.append(time.monotonic() - began)
    return sorted(taken)[2] / 60
