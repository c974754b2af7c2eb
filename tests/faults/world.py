"""What every fault is tried on: 12 runs on a few images, their undisturbed records, and sweeps in processes."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from itertools import count
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from skdcore import records
from skdcore.train import Run, train

PROJECT = Path(__file__).parents[2]
METHODS, SEEDS = ("vanilla", "drg+dsr", "dlb", "ps_kd"), (0, 1, 2)
PATIENCE = 120  # seconds until a sweep counts as hanging


class Undisturbed(dict):
    """{run: its record}, each trained in this process when it is first asked for."""

    def __init__(self, folder):
        self.folder = folder

    def __missing__(self, run):
        self[run] = train(run, "cpu", results=self.folder, progress=False)
        return self[run]


class World:
    """A folder of images, the `runs` on it, and `expected` {run: its record}."""

    def __init__(self, top, epochs=6):
        self.top, self.images, self.numbers = Path(top), Path(top, "images"), count()
        _draw(self.images)
        where = f"folder:{self.images}", "resnet10_w16"
        self.epochs, self.runs = epochs, [Run(*where, method, seed, epochs) for seed in SEEDS for method in METHODS]
        self.expected, began = Undisturbed(self.folder()), time.monotonic()
        _ = self.expected[self.runs[0]]
        self.seconds = len(self.runs) * (time.monotonic() - began)  # of all runs, without a sweep around them

    def folder(self):
        """A new folder for results."""
        (new := self.top / f"results-{next(self.numbers)}").mkdir()
        return new

    def difference(self, results, runs=None):
        """In what the records in a folder differ from the undisturbed ones, in words, or None."""
        for run in runs or self.runs:
            with quiet():
                found = records.find(results, run.settings())
            if found is None:
                return f"{run.method} seed {run.seed}: no record"
            if timeless(found) != timeless(self.expected[run]):
                return f"{run.method} seed {run.seed}: another record"
        return None

    def sweep(self, results, *more, workers=3):
        """Starts a sweep of all runs in a process, and a session, of its own."""
        return Sweep(self, results, more or ("--workers", workers))


class Sweep:
    """A sweep under way; the processes that it starts are looked for when it is touched."""

    def __init__(self, world, results, more):
        given = ["sweep", "--dataset", f"folder:{world.images}", "--model", "resnet10_w16", "--method", *METHODS]
        given += ["--seed", *SEEDS, "--epochs", world.epochs, "--device", "cpu", "--results", results, *more]
        self.said = tempfile.TemporaryFile("w+")  # noqa: SIM115  it lives as long as the sweep
        self.process = start("-m", "skdcore", *given, stdout=subprocess.DEVNULL, stderr=self.said)
        self.tree = psutil.Process(self.process.pid)
        self.seen = set()

    def children(self):
        """All processes below it that run now."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self.seen |= set(self.tree.children(recursive=True))
        return [child for child in self.seen if child.is_running()]

    def workers(self):
        """Those of its children that train."""
        children = self.children()
        parents = {_parent(child) for child in children}  # the server that forks the workers among them
        return [child for child in children if child.pid not in parents and _trains(child)]

    def wait(self, seconds):
        """Whether it ends within some seconds."""
        end = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < end:
            self.children()
            time.sleep(0.05)
        return self.process.poll() is not None

    def signal(self, number, group=False):
        """Sends it a signal; to the `group`, as a terminal does, to all its processes."""
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(self.process.pid, number)

    def problem(self, statuses):
        """What is wrong with how it ended, in words, or None: it hangs, another exit status, a process that stays."""
        if not self.wait(PATIENCE):
            self.signal(signal.SIGKILL, group=True)
            return "it hangs"
        if self.process.returncode not in statuses:
            self.said.seek(0)
            return f"exit status {self.process.returncode}: {self.said.read()[-300:]}"
        _, left = psutil.wait_procs(self.children(), 30)
        left = [child for child in left if child.status() != psutil.STATUS_ZOMBIE]
        for child in left:
            child.kill()
        return f"{len(left)} processes stay" if left else None


def start(*arguments, **options):
    """Starts `python ARGUMENTS` on one thread, in a session of its own."""
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT)}
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)], cwd=PROJECT, env=env, start_new_session=True, **options
    )


def timeless(record):
    """A record without what depends on machine and time."""
    return {key: value for key, value in record.items() if key not in ("cost", "provenance")}


@contextlib.contextmanager
def quiet():
    """A block whose warnings are what is asked for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _trains(process):
    try:
        return re.search("spawn_main|forkserver", " ".join(process.cmdline()))
    except psutil.Error:
        return False


def _parent(process):
    try:
        return process.ppid()
    except psutil.Error:
        return None


def _draw(top):
    chance = np.random.default_rng(0)
    for split, images in (("train", 8), ("test", 4)):
        for label in range(4):
            (folder := top / split / f"class {label}").mkdir(parents=True)
            for i in range(images):
                pixels = chance.integers(0, 128, (32, 32, 3), dtype=np.uint8) + np.uint8(30 * label)
                Image.fromarray(pixels).save(folder / f"{i}.png")
