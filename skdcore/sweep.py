"""Many runs on Dask: this machine's slots by default, or a cluster by its scheduler's address."""

import logging
import os
import signal
import time
from contextlib import contextmanager, suppress
from math import inf
from multiprocessing import resource_tracker
from uuid import uuid4

import torch

from skdcore.errors import Broken, Stopped
from skdcore.progress import Line
from skdcore.stop import ASKED, ask, interrupts
from skdcore.train import outcome, prepare, train

# Dask's workers return memory to the system at once; asking for it again makes a step 1.4 times slower.
KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": 2**30, "MALLOC_MMAP_THRESHOLD_": 2**25}
# Dask's own profiler looks at the training thread every 10 ms, which costs it 8 %.
QUIET = {"distributed.worker.profile.enabled": False}
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), 1)


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
        found = {} if scheduler else prepare(runs, line, **where)
        missing = [run for run in runs if run not in found]
        line.show(f"{len(runs)} runs, {len(found)} of them complete")
        if missing:
            with _client(scheduler, min(workers or _slots(device), len(missing))) as client:
                found |= zip(missing, _train_all(client, missing, line, deadline=deadline, **options), strict=True)
    return [found[run] for run in runs]


def _train_all(client, runs, line, **options):
    """The records of the runs, in order.  Ctrl-C asks them to stop at checkpoints; a second one is not caught."""
    options["sweep"] = uuid4().hex
    futures = client.map(_train, runs, pure=False, **options)
    try:
        _wait(client, runs, futures, line)
    except KeyboardInterrupt:
        line.show("stopping at checkpoints; Ctrl-C again ends at once")
        try:
            client.run(ask, options["sweep"])
        except OSError:  # the signal has ended the workers, too; new ones would begin again
            raise KeyboardInterrupt from None
        _wait(client, runs, futures, line)
    broken = {run: future.exception() for run, future in zip(runs, futures, strict=True) if future.status == "error"}
    if broken:
        names = "; ".join(f"{_name(run)}: {_reason(error)}" for run, error in broken.items())
        raise Broken(f"{len(broken)} of {len(runs)} runs broke, the others went on: {names}")
    results = [future.result() for future in futures]
    if stopped := [text for text in results if isinstance(text, str)]:
        raise Stopped(f"{len(stopped)} of {len(runs)} runs are not finished; the first: {stopped[0]}")
    return results


def _wait(client, runs, futures, line):
    """Waits for all futures, with a line of progress for each that ends."""
    from distributed import as_completed

    by_key = {future.key: run for run, future in zip(runs, futures, strict=True)}
    began, slots = time.monotonic(), len(client.nthreads())
    line.show(f"0 of {len(runs)} runs done, {slots} at a time")
    for done, future in enumerate(as_completed(futures), 1):
        if future.status == "error":
            text = f"{_name(by_key[future.key])} broke: {_reason(future.exception())}"
        else:
            text = ended if isinstance(ended := future.result(), str) else outcome(ended)
        minutes = (time.monotonic() - began) / 60
        line.show(f"{done} of {len(runs)} runs done, {slots} at a time, {minutes:.1f} min; latest: {text}")


def _name(run):
    return f"{run.dataset} {run.model} {run.method} seed {run.seed}"


def _reason(error):
    """An exception in one line; Dask's own for a run whose workers died, again and again, in other words."""
    from distributed import KilledWorker

    if isinstance(error, KilledWorker):
        return "its worker died, three times and more"
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _train(run, deadline, device, sweep, **options):
    """What a worker does: the record, or the words of `Stopped`."""
    if sweep in ASKED:
        return f"{_name(run)}: not begun"
    if device in (None, "cuda") and torch.cuda.is_available():
        device = _gpu()
    try:
        return train(run, device, budget=deadline - time.time(), progress=False, sweep=sweep, **options)
    except Stopped as stopped:
        return str(stopped)


def _gpu():
    """A local cluster's workers are numbered and share out the GPUs; any other worker has its own."""
    from distributed import get_worker

    name = get_worker().name
    return f"cuda:{name % torch.cuda.device_count()}" if isinstance(name, int) else "cuda"


def _slots(device):
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
    with dask.config.set(QUIET | {"distributed.nanny.pre-spawn-environ": KEEP_MEMORY | ONE_THREAD}), _no_sigint():
        client = _started(Client, workers)
    with client:
        try:
            yield client
        except KeyboardInterrupt:
            for nanny in client.cluster.workers.values():
                with suppress(ProcessLookupError, TypeError):  # it has no process just now
                    os.kill(nanny.pid, signal.SIGKILL)
            raise


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
def _no_sigint():
    """What starts in this block never sees SIGINT; this thread sees it after the block, if it came meanwhile."""
    resource_tracker.ensure_running()  # else it would be started in the block, and then take the mask away
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
