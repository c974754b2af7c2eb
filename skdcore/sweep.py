"""Many runs on Dask: this machine's slots by default, or a cluster by its scheduler's address."""

import os
import time
from math import inf

import torch

from skdcore.errors import Stopped
from skdcore.progress import Line
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
    When `budget` seconds are over, runs stop at their checkpoints and `Stopped` is raised.  A run that
    failed is a record too, and does not keep the others from being trained.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"workers={workers}: at least 1")
    runs = list(dict.fromkeys(runs))
    where = {"device": device, "root": root and os.path.abspath(root), "results": os.path.abspath(results)}
    options = where | {"eager": eager}
    if len(runs) == 1 and scheduler is None:
        return [train(runs[0], budget=budget, **options)]
    deadline = time.time() + budget  # workers share the clock, not the counter
    found = {} if scheduler else prepare(runs, **where)
    missing = [run for run in runs if run not in found]
    with Line() as line:
        line.show(f"{len(runs)} runs, {len(found)} of them complete")
        if missing:
            with _client(scheduler, min(workers or _slots(device), len(missing))) as client:
                found |= zip(missing, _gather(client, missing, line, deadline=deadline, **options), strict=True)
    return [found[run] for run in runs]


def _gather(client, runs, line, **options):
    """The records of the runs, in order, with a line of progress for each that ends."""
    from distributed import as_completed

    futures = client.map(_train, runs, pure=False, **options)
    began, slots = time.monotonic(), len(client.nthreads())
    line.show(f"0 of {len(runs)} runs done, {slots} at a time")
    for done, future in enumerate(as_completed(futures), 1):
        ended, minutes = future.result(), (time.monotonic() - began) / 60
        text = ended if isinstance(ended, str) else outcome(ended)
        line.show(f"{done} of {len(runs)} runs done, {slots} at a time, {minutes:.1f} min; latest: {text}")
    results = client.gather(futures)
    if stopped := [text for text in results if isinstance(text, str)]:
        raise Stopped(f"{len(stopped)} of {len(runs)} runs are not finished; the first: {stopped[0]}")
    return results


def _train(run, deadline, device, **options):
    """What a worker does: the record, or the words of `Stopped`."""
    if device in (None, "cuda") and torch.cuda.is_available():
        device = _gpu()
    try:
        return train(run, device, budget=deadline - time.time(), progress=False, **options)
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


def _client(scheduler, workers):
    import dask
    from distributed import Client

    if scheduler:
        return Client(scheduler)
    with dask.config.set(QUIET | {"distributed.nanny.pre-spawn-environ": KEEP_MEMORY | ONE_THREAD}):
        return Client(n_workers=workers, threads_per_worker=1, dashboard_address=":0", memory_limit=None)
