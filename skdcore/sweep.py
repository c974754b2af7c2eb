"""Many runs on Dask: this machine's slots by default, or a cluster by its scheduler's address."""

import logging
import multiprocessing
import os
import signal
import sys
import time
from contextlib import contextmanager, suppress
from math import inf
from multiprocessing import forkserver, resource_tracker
from uuid import uuid4

import torch

from skdcore import records
from skdcore.errors import Broken, Stopped
from skdcore.machine import usable
from skdcore.progress import Line, words
from skdcore.rehearsal import prepare
from skdcore.stop import ASKED, ask, interrupts
from skdcore.train import train

# Dask's workers return memory to the system at once; asking for it again makes a step 1.4 times slower.
KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": 2**30, "MALLOC_MMAP_THRESHOLD_": 2**25}
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), 1)
METHOD = "distributed.worker.multiprocessing-method"
FORKS = sys.platform == "linux"
LOCAL = {  # Dask's settings for workers on this machine
    "distributed.nanny.pre-spawn-environ": KEEP_MEMORY | ONE_THREAD,
    "distributed.worker.profile.enabled": False,  # it looks at the training thread every 10 ms, which costs it 8 %
    METHOD: "forkserver" if FORKS else "spawn",
}


def sweep(runs, root=None, results="results", device=None, scheduler=None, budget=inf, workers=None, eager=False):
    """Trains the runs that have no record under `results` yet and returns all their records, in order.

    By default each GPU of this machine is a slot, or each core is one (a process of one thread); `workers`
    sets another number.  Give the address of a Dask scheduler to use its workers instead; they must see the
    same `root` and `results`.  If a worker dies, another one resumes its run from the checkpoint.
    When `budget` seconds are over, or at Ctrl-C, runs stop at their checkpoints and `Stopped` is raised; a second
    Ctrl-C ends at once.  A run that failed is a record too.  One that ends in an exception, or that has three workers
    die on it, does not keep the others from being trained; `Broken` names it when all is done.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"workers={workers}: at least 1")
    runs = list(dict.fromkeys(runs))
    where = {"device": device, "root": root and os.path.abspath(root), "results": os.path.abspath(results)}
    options = where | {"eager": eager}
    if len(runs) == 1 and scheduler is None:
        return [train(runs[0], budget=budget, **options)]
    deadline = time.time() + budget  # workers share the clock, not the counter
    with Line() as line, interrupts():
        found = {} if scheduler else _prepared(runs, line, **where)
        missing = [run for run in runs if run not in found]
        line.show(f"{len(runs)} runs, {len(found)} of them complete")
        if missing:
            with _client(scheduler, min(workers or slots(device), len(missing))) as client:
                found |= zip(missing, _train_all(client, missing, line, deadline=deadline, **options), strict=True)
    return [found[run] for run in runs]


def _prepared(runs, line, device, root, results):
    """What `prepare` gives; if a record is missing, what workers need is imported meanwhile, in another process."""
    device = usable(device)
    if not all(records.path(results, run.settings(device)).exists() for run in runs):
        preload("skdcore.preload")
    return prepare(runs, line, device, root, results)


def _train_all(client, runs, line, **options):
    """The records of the runs, in order.  Ctrl-C asks them to stop at checkpoints; a second one is not caught."""
    options["sweep"] = uuid4().hex
    futures = client.map(_train, runs, pure=False, **options)
    table = Table({future.key: str(run) for run, future in zip(runs, futures, strict=True)}, line)
    client.subscribe_topic(options["sweep"], table.hear)
    try:
        _wait(futures, table)
    except KeyboardInterrupt:
        line.show("stopping at checkpoints; Ctrl-C again ends at once")
        try:
            client.register_plugin(_asking(options["sweep"]))
        except OSError:  # the signal has ended the workers, too; new ones would begin again
            raise KeyboardInterrupt from None
        _wait(futures, table)
        client.unregister_worker_plugin(options["sweep"])
    return _ended(runs, futures)


def _ended(runs, futures):
    """The records of the runs.  Raises `Stopped` or, first of all, `Broken` if one has none."""
    if any(future.cancelled() for future in futures):
        raise Stopped("the Dask scheduler is gone; the same command resumes, once there is one")
    broken = {run: future.exception() for run, future in zip(runs, futures, strict=True) if future.status == "error"}
    if broken:
        names = "; ".join(f"{run}: {_reason(error)}" for run, error in broken.items())
        raise Broken(f"{len(broken)} of {len(runs)} runs broke, the others went on: {names}")
    results = [future.result() for future in futures]
    if stopped := [text for text in results if isinstance(text, str)]:
        raise Stopped(f"{len(stopped)} of {len(runs)} runs are not finished; the first: {stopped[0]}")
    return results


def _asking(sweep):
    """What asks a sweep's runs to stop on every worker, on those too that join later."""
    from distributed import WorkerPlugin

    class Asking(WorkerPlugin):
        name = sweep

        def setup(self, worker):
            ask(sweep)

    return Asking()


class Table:
    """What a sweep shows: how many runs have ended and, below, how far each is that a worker trains.

    `names` {key of a future: name of its run}.
    """

    def __init__(self, names, line):
        self.names, self.line, self.began = names, line, time.monotonic()
        self.done, self.running, self.latest = set(), {}, ""
        self.line.show(self.text())

    def hear(self, event):
        """Takes what the worker of a run reports: (time, (key, text))."""
        key, text = event[1]
        if key not in self.done:
            self.running[key] = text
            self.line.update(self.text)

    def end(self, key, text):
        """Takes how a run ended."""
        self.done.add(key)
        self.running.pop(key, None)
        self.latest = f"; latest: {text}"
        self.line.show(self.text())

    def text(self):
        """The table, under a line that sums it up."""
        head = f"{len(self.done)} of {len(self.names)} runs ended, {len(self.running)} running"
        rows = [(self.names[key], text.rpartition(": ")[2]) for key, text in list(self.running.items())]
        width = max((len(name) for name, _ in rows), default=0)
        rows = [f"  {name:{width}}  {text}" for name, text in rows]
        return "\n".join([f"{head}, {words(time.monotonic() - self.began)}{self.latest}", *rows])


def _wait(futures, table):
    """Waits for all futures; those that end go to the table."""
    from distributed import as_completed

    for future in as_completed(futures):
        if future.status == "error":
            table.end(future.key, f"{table.names[future.key]} broke: {_reason(future.exception())}")
        elif not future.cancelled():
            ended = future.result()
            table.end(future.key, ended if isinstance(ended, str) else records.outcome(ended))


def _reason(error):
    """An exception in one line; Dask's own for a run whose workers died, again and again, in other words."""
    from distributed import KilledWorker

    if isinstance(error, KilledWorker):
        return "its worker died, three times and more"
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _train(run, deadline, device, sweep, **options):
    """What a worker does: the record, or the words of `Stopped`."""
    from distributed import get_worker

    if sweep in ASKED:
        return f"{run}: not begun"
    worker = get_worker()
    if worker.state.nthreads > 1:  # runs side by side in one process would share torch's random state
        raise ValueError(f"the worker {worker.address} has {worker.state.nthreads} threads; start it with --nthreads 1")
    if device in (None, "cuda") and torch.cuda.is_available():
        device = _gpu(worker.name)
    key = worker.get_current_task()
    options |= {"budget": deadline - time.time(), "sweep": sweep}
    try:
        return train(run, device, progress=lambda text: worker.log_event(sweep, (key, text)), **options)
    except Stopped as stopped:
        return str(stopped)


def _gpu(name):
    """A local cluster's workers have numbers for names and share out the GPUs; any other worker has its own."""
    return f"cuda:{name % torch.cuda.device_count()}" if isinstance(name, int) else "cuda"


def slots(device):
    """How many runs this machine trains at a time: one for each GPU or, without one, for each core."""
    from dask.system import CPU_COUNT  # knows of containers

    if device not in (None, "cuda", "cpu"):
        return 1  # a GPU by its number
    return (device != "cpu" and torch.cuda.device_count()) or CPU_COUNT


@contextmanager
def _client(scheduler, workers):
    """A client of the scheduler or, without one, of new workers on this machine, of which none outlives the block.

    The workers do not see Ctrl-C, which a terminal sends to every process: it is for the sweep to tell them.
    """
    import dask
    from distributed import Client

    if scheduler:
        with Client(scheduler) as client:
            yield client
        return
    with dask.config.set(LOCAL):
        with _no_sigint():
            client = _started(Client, workers)
        with client:
            try:
                yield client
            except KeyboardInterrupt:
                for nanny in client.cluster.workers.values():
                    with suppress(ProcessLookupError, TypeError):  # it has no process just now
                        os.kill(nanny.pid, signal.SIGKILL)
                raise


def preload(*modules, **variables):
    """Starts the process that workers are forked from, on systems that fork, unless it already runs.

    It imports `modules` in the background, once for all workers.  `variables` are added to its environment.
    """
    if FORKS:
        multiprocessing.set_forkserver_preload([*modules])
        with environment(KEEP_MEMORY | ONE_THREAD | variables), _no_sigint():  # what the workers get from it
            forkserver.ensure_running()


def _started(make, workers, tries=3):
    """A client of `workers` new processes; if one dies while it starts, all are started again."""
    for left in reversed(range(tries)):
        try:
            how = {"dashboard_address": ":0", "memory_limit": None, "silence_logs": logging.CRITICAL}
            return make(n_workers=workers, threads_per_worker=1, **how)
        except (RuntimeError, OSError, TimeoutError):  # Dask's nanny raises them when its worker does not come up
            if not left:
                raise


@contextmanager
def environment(values):
    """Processes that start in this block have these variables, {name: value}, in their environment."""
    before = {name: os.environ.get(name) for name in values}
    os.environ |= {name: str(value) for name, value in values.items()}
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


@contextmanager
def _no_sigint():
    """What starts in this block never sees SIGINT; this thread sees it after the block, if it came meanwhile."""
    resource_tracker.ensure_running()  # else it would be started in the block, and then take the mask away
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
