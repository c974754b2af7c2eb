"""What is tried before anything is trained or written: a dry step of each method, which raises what would go wrong."""

from dataclasses import replace
from operator import itemgetter

import torch

from skdcore import records
from skdcore.data import checksum, images, load_run
from skdcore.machine import kernels, usable
from skdcore.sums import teachers
from skdcore.train import rehearsal


def prepare(runs, line, device=None, root=None, results="results"):
    """{run: record} of the runs that have their record; each method of the others takes a dry step.  The `line` counts.

    So a bad argument of any run raises its error before the first one is trained.  This is done on the CPU, so that a
    GPU has its memory for the runs.
    """
    device, cpu = usable(device), torch.device("cpu")
    found, checksums, rehearsed = {}, {}, set()
    by_images = sorted(((images(run), run) for run in runs), key=itemgetter(0))  # one data set at a time, each once
    with kernels():
        torch.set_num_threads(1)  # several would wait for each other where cores are busy
        for done, (those, run) in enumerate(by_images):
            line.update(lambda done=done: f"{done} of {len(runs)} runs checked")
            splits = load_run(run, root, cpu)
            if those not in checksums:
                checksums[those] = checksum(*splits)
            settings = run.settings(device, splits[0])
            if record := records.find(results, settings, checksums[those]):
                found[run] = record
            elif (alike := replace(run, seed=0, epochs=1)) not in rehearsed:
                for method in (settings["method"], *teachers(settings["method"])):
                    small = {"method": method, "batch": 2}  # a full batch takes seconds on a large network
                    rehearsal(settings | small, *splits, cpu)
                rehearsed.add(alike)
    return found
