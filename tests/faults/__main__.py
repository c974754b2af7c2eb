"""The fault suite, `make faults`: what a sweep must survive, tried at random moments, and how often it held.

Every try has a number: `--only killed_worker --seed 7` repeats the tries of one kind with the same moments.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

import cluster
import files
import fuzz
import processes
import torch
from world import World

from skdcore.machine import provenance
from skdcore.progress import Line
from skdcore.records import atomically

EQUAL = "the same command ends in the undisturbed records"
KINDS = {  # what is tried: how often, in the short form, and what must hold
    processes.killed_worker: (12, 1, f"another worker takes over; {EQUAL}"),
    processes.killed_sweep: (12, 1, f"no process stays; {EQUAL}"),
    cluster.killed_scheduler: (6, 0, f"the sweep says so and ends; {EQUAL}"),
    processes.asked_to_stop: (16, 1, f"no process stays, none hangs; {EQUAL}"),
    processes.frozen: (4, 0, f"the sweep goes on; {EQUAL}"),
    files.checkpoint: (150, 5, "set aside; the one before it is used, or the run begins anew: the undisturbed record"),
    files.other_runs: (50, 3, "the undisturbed record, or an error that names the file"),
    files.record: (60, 20, "named, not counted"),
    files.full_disk: (6, 1, "a clear error, earlier files whole; with space again, the undisturbed record"),
    files.read_only: (2, 1, "a clear error"),
    cluster.two_sweeps: (5, 0, "each run is trained once"),
    cluster.late_worker: (5, 0, "the sweep ends with the undisturbed records"),
    cluster.removed: (5, 0, f"the sweep ends; {EQUAL}"),
    fuzz.methods: (1000, 200, "one canonical text, or an error in one line"),
    fuzz.arguments: (400, 40, "a plan, or an error in one line and exit status 2; nothing written"),
    fuzz.study_file: (300, 10, "read, or an error that names the file"),
    fuzz.notebook_parameters: (250, 50, "taken as what the annotation says, or an error that names the parameter"),
    fuzz.image_folders: (60, 10, "read, or an error that names the file"),
}


def main(arguments=None):
    """Tries all kinds of faults; exit status 1 if one did not hold."""
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    names = [kind.__name__ for kind in KINDS]
    parser.add_argument("--short", action="store_true", help="a few tries of each kind, as the tests do")
    parser.add_argument("--only", nargs="+", choices=names, metavar="KIND", help=f"of {', '.join(names)}")
    parser.add_argument("--tries", type=int, help="of each kind; default: the study's numbers")
    parser.add_argument("--seed", type=int, default=0, help="of moments and damages (default: %(default)s)")
    parser.add_argument("--results", default="_build/results", help="folder for faults.json (default: %(default)s)")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as top:
        world = World(top)
        rows = [_tried(world, kind, chosen) for kind in KINDS if not chosen.only or kind.__name__ in chosen.only]
    if not (chosen.only or chosen.tries or chosen.short):
        made = provenance(torch.device("cpu"))
        report = {"seed": chosen.seed, "kinds": rows, "provenance": made}
        atomically(Path(chosen.results, "faults.json"), json.dumps(report, indent=1).encode() + b"\n")
    return int(any(row["problems"] for row in rows))


def _tried(world, kind, chosen):
    """A kind of fault, tried: a row of the report, which is printed as well."""
    usual, short, holds = KINDS[kind]
    tries = chosen.tries or (short if chosen.short else usual)
    began, problems, fault = time.monotonic(), {}, kind.__doc__
    with Line() as line:
        chance = random.Random(f"{chosen.seed} {kind.__name__}")
        for number, problem in enumerate(islice(kind(world, tries, chance), tries), 1):
            if problem:
                problems[number] = problem.replace(str(world.top), "")
            line.update(lambda done=number: f"{fault}: {done} of {tries}, {len(problems)} did not hold")
    seconds = round(time.monotonic() - began, 1)
    print(f"{tries - len(problems):5} of {tries:5} held in {seconds:6.1f} s  {fault}", flush=True)
    for number, problem in problems.items():
        print(f"      try {number}: {problem}", flush=True)
    return {"kind": kind.__name__, "fault": fault, "tries": tries, "held": tries - len(problems), "holds": holds} | {
        "seconds": seconds,
        "problems": problems,
    }


if __name__ == "__main__":
    sys.exit(main())
