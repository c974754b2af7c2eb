"""The fault suite, `make faults`: what a sweep must survive, tried at random moments, and how often it held.

Every try has a number: `--only killed_worker --seed 7` repeats the tries of one kind with the same moments.
"""

import argparse
import random
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import islice

import cluster
import costs
import files
import fuzz
import processes
import torch
from world import World

from skdcore.machine import provenance
from skdcore.progress import Line
from skdcore.study import faults

EQUAL = "the same command ends in the undisturbed records"
AT_ONCE = 2  # kinds of faults; a third one at once makes the others slower by as much
KINDS = {  # what is tried: how often, in the short form, and what must hold
    processes.killed_worker: (12, 1, f"another worker takes over; {EQUAL}"),
    processes.killed_sweep: (12, 1, f"no process stays; {EQUAL}"),
    cluster.killed_scheduler: (6, 0, f"the sweep says so and ends; {EQUAL}"),
    processes.asked_to_stop: (16, 1, f"no process stays, none hangs; {EQUAL}"),
    processes.frozen: (4, 0, f"the sweep goes on; {EQUAL}"),
    cluster.two_sweeps: (5, 0, "each run is trained once"),
    cluster.late_worker: (5, 0, "the sweep ends with the undisturbed records"),
    cluster.removed: (5, 0, f"the sweep ends; {EQUAL}"),
    files.checkpoint: (150, 5, "set aside; the one before it is used, or the run begins anew: the undisturbed record"),
    files.other_runs: (50, 3, "the undisturbed record, or an error that names the file"),
    files.record: (60, 20, "named, not counted"),
    files.full_disk: (6, 1, "a clear error, earlier files whole; with space again, the undisturbed record"),
    files.read_only: (2, 1, "a clear error"),
    fuzz.methods: (1000, 200, "one canonical text, or an error in one line"),
    fuzz.arguments: (400, 40, "a plan, or an error in one line and exit status 2; nothing written"),
    fuzz.study_file: (300, 10, "read, or an error that names the file"),
    fuzz.notebook_parameters: (250, 50, "taken as what the annotation says, or an error that names the parameter"),
    fuzz.image_folders: (60, 10, "read, or an error that names the file"),
}
COSTS = {  # what safety costs: the unit, and the most that it should
    costs.overhead: ("", 1.1),
    costs.planning: ("s", 5),
    costs.checking: ("s", 5),
    costs.scheduler_memory: ("", 1.1),
    costs.checkpoints: ("%", 0.02),
}


def main(arguments=None):
    """Tries all kinds of faults, then measures the costs; exit status 1 if a fault did not hold."""
    chosen = _parser().parse_args(arguments)
    kinds, measured = ([one for one in every if one.__name__ in (chosen.only or NAMES)] for every in (KINDS, COSTS))
    rows, found, began = [], [], time.monotonic()
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as top,
        ProcessPoolExecutor(1 if chosen.short else AT_ONCE, initializer=_begin, initargs=(top,)) as pool,
        Line() as line,
    ):
        tried = [pool.submit(_tried, kind, _tries(kind, chosen), chosen.seed) for kind in kinds]
        for done, future in enumerate(as_completed(tried), 1):
            rows.append(future.result())
            _report(rows[-1])
            line.show(f"{done} of {len(kinds)} kinds of faults tried")
        for cost in () if chosen.short else measured:  # one by one, each alone
            found.append(pool.submit(_measured, cost).result())
            print("{value:8.3f} (at most {at_most}) {unit:1} {cost}".format(**found[-1]), flush=True)
    if not (chosen.only or chosen.tries or chosen.short):
        rows.sort(key=lambda row: NAMES.index(row["kind"]))
        made = {"seconds": round(time.monotonic() - began, 1), "provenance": provenance(torch.device("cpu"))}
        report = {"seed": chosen.seed, "kinds": rows, "costs": found} | made
        faults.write(report, chosen.results)
    return int(any(row["problems"] for row in rows))


NAMES = [one.__name__ for one in (*KINDS, *COSTS)]


def _parser():
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--short", action="store_true", help="a few tries of each kind, as the tests do; no costs")
    parser.add_argument("--only", nargs="+", choices=NAMES, metavar="KIND", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--tries", type=int, help="of each kind; default: the study's numbers")
    parser.add_argument("--seed", type=int, default=0, help="of moments and damages (default: %(default)s)")
    parser.add_argument("--results", default="_build/results", help="folder for faults.json (default: %(default)s)")
    return parser


def _tries(kind, chosen):
    usual, short, _ = KINDS[kind]
    return chosen.tries or (short if chosen.short else usual)


def _begin(top):
    """What a process does before it tries faults: it makes a world of its own."""
    global world
    torch.set_num_threads(1)
    world = World(tempfile.mkdtemp(dir=top))


def _tried(kind, tries, seed):
    """A kind of fault, tried: a row of the report."""
    began, chance = time.monotonic(), random.Random(f"{seed} {kind.__name__}")
    found = enumerate(islice(kind(world, tries, chance), tries), 1)
    problems = {number: problem.replace(str(world.top), "") for number, problem in found if problem}
    return {
        "kind": kind.__name__,
        "fault": kind.__doc__,
        "tries": tries,
        "held": tries - len(problems),
        "holds": KINDS[kind][2],
        "seconds": round(time.monotonic() - began, 1),
        "problems": problems,
    }


def _measured(cost):
    """A cost, measured: a row of the report."""
    unit, most = COSTS[cost]
    return {"cost": cost.__doc__, "value": round(cost(world), 4), "unit": unit, "at_most": most}


def _report(row):
    print(f"{row['held']:5} of {row['tries']:5} held in {row['seconds']:6.1f} s  {row['fault']}", flush=True)
    for number, problem in row["problems"].items():
        print(f"      try {number}: {problem}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
