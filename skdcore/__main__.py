"""The command line: python -m skdcore train | sweep | queue | show | bench | models | methods."""

import argparse
import inspect
import os
import re
import signal
import sys
import time
import warnings
from contextlib import suppress
from math import inf

if __name__ == "__main__":  # Ctrl-C while torch is imported, which takes seconds
    signal.signal(signal.SIGINT, lambda *_: (os.write(2, b"interrupted before anything began\n"), os._exit(3)))

import torch

from skdcore import records
from skdcore.datasets import DATASETS
from skdcore.errors import Broken, Stopped, short
from skdcore.machine import hardware, known, usable
from skdcore.methods import METHODS
from skdcore.models import MODELS
from skdcore.progress import Line
from skdcore.rehearsal import prepare
from skdcore.sums import signature
from skdcore.sweep import slots, sweep
from skdcore.train import Run, train

DRY_RUN = {"action": "store_true", "help": "print the plan and the time it takes, and train nothing"}
STOPPED = 3  # exit status of a run that stopped at its checkpoint and can resume


def main(arguments=None):
    """Runs a command; returns the exit status: 0, 1 a failed run, 2 bad input, 3 stopped at a checkpoint."""
    return carried_out(parser(), arguments)


def carried_out(parser, arguments):
    """The exit status of the command that a parser reads from arguments; errors and warnings are a line each."""
    chosen, name = parser.parse_args(arguments), parser.prog.removeprefix("python -m ")
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_: print(f"{name}: {message}", file=sys.stderr)
            return chosen.command(chosen) or 0
    except (Stopped, KeyboardInterrupt) as stopped:
        print(str(stopped) or "interrupted; the same command resumes from the latest checkpoints", file=sys.stderr)
        return STOPPED
    except Broken as broken:
        print(f"{name}: {broken}", file=sys.stderr)
        return 1
    except (ValueError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2


def parser():
    """The whole command line, as argparse sees it."""
    top = argparse.ArgumentParser(
        prog="python -m skdcore", description="Self-knowledge distillation, one run at a time."
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for command, help_, example in (
        (train_command, "train runs one after the other, without Dask", "--method drg+dsr"),
        (sweep_command, "train runs side by side, on Dask", '--method vanilla "drg(k=1)+dsr" --seed 0 1 2'),
    ):
        name = command.__name__.removesuffix("_command")
        example = f"example: python -m skdcore {name} --dataset glyphs --model resnet10_w16 {example}"
        _runs(sub := add(commands, command, help_, epilog=example))
        _how(sub)
        if command is sweep_command:
            _cluster(sub)
            sub.add_argument("--dry-run", **DRY_RUN)
    queue = add(commands, queue_command, "train the study's own runs, most valuable first")
    queue.add_argument("regime", nargs="+", help="regimes of study.yml, such as tenth, fifth or paper")
    queue.add_argument("--round", nargs="+", metavar="R", help="rounds of study.yml, such as A; default: all")
    queue.add_argument("--dry-run", **DRY_RUN)
    queue.add_argument(
        "--workers", type=at_least_one, default=1, metavar="N", help="runs at a time (default: %(default)s)"
    )
    queue.add_argument(
        "--dataset",
        help="in place of the regime's: another to try the queue out, or folder:PATH for a regime of images",
    )
    _how(queue)
    show = add(commands, show_command, "a table of records")
    show.add_argument(
        "results", nargs="?", type=folder, default="results", help="folder of records (default: %(default)s)"
    )
    _bench(add(commands, bench_command, "what a step costs, in ratios"))
    models = add(commands, models_command, "the networks and what they cost")
    models.add_argument("--side", type=at_least_one, default=32, help="image side in pixels (default: %(default)s)")
    models.add_argument("--classes", type=at_least_one, default=100, help="default: %(default)s")
    add(commands, methods_command, "the methods, their keywords and defaults")
    return top


def add(commands, command, help_, **options):
    """A sub-command whose description is its function's docstring."""
    name, description = command.__name__.removesuffix("_command"), inspect.getdoc(command)
    sub = commands.add_parser(name, help=help_, description=description, **options)
    sub.set_defaults(command=command)
    return sub


def _cluster(sub):
    sub.add_argument("--scheduler", metavar="ADDRESS", help="a Dask scheduler (tcp://host:8786); default: this machine")
    sub.add_argument(
        "--workers", type=at_least_one, metavar="N", help="runs at a time here; default: one per GPU, else one per core"
    )


def _runs(sub):
    sub.add_argument(
        "--dataset", required=True, help=f"{', '.join(DATASETS)}, folder:PATH, or a part such as cifar100(n=50)"
    )
    sub.add_argument("--model", required=True, nargs="+", help=", ".join(MODELS))
    sub.add_argument(
        "--method",
        required=True,
        nargs="+",
        help='sums such as drg+dsr or "drg(k=1,alpha=0.1)"; see the command methods',
    )
    sub.add_argument("--seed", type=int, nargs="+", default=[0], help="default: 0")


def _how(sub):
    sub.add_argument("--epochs", type=int, help="default: the data set's recipe or, in a queue, the regime's")
    sub.add_argument("--root", help="folder that holds the data set's files; only resized images are written to it")
    sub.add_argument(
        "--results", type=folder, default="results", help="folder for records and checkpoints (default: %(default)s)"
    )
    sub.add_argument("--device", help="cpu or cuda (default: cuda where there is one)")
    sub.add_argument(
        "--eager",
        action="store_true",
        help="on CUDA, launch the kernels of a step one by one; default: replay a captured step",
    )
    sub.add_argument("--precision", choices=["fp32", "bf16"], help="default: fp32 on a CPU, bf16 on CUDA")
    sub.add_argument(
        "--budget",
        type=duration,
        metavar="TIME",
        default=inf,
        help="stop at a checkpoint after this time, such as 9m or 1h30m",
    )


def _bench(sub):
    sub.add_argument("--model", default="resnet18", choices=MODELS, help="default: %(default)s")
    sub.add_argument("--all", action="store_true", help="every network, one after the other")
    sub.add_argument("--method", nargs="+", help="default: those of Tables I and IV, and ols")
    sub.add_argument(
        "--minutes", type=minutes, default=4.3, help="how long a network takes in all (default: %(default)s)"
    )
    sub.add_argument(
        "--results", type=folder, default="_build/results", help="folder for its record (default: %(default)s)"
    )
    sub.add_argument("--device", help="cpu or cuda (default: cuda where there is one)")


def at_least_one(text):
    """A whole number of at least 1."""
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"{short(text)}: a whole number of at least 1")
    return int(text)


def folder(text):
    """The path of a folder; an empty one would be this folder, which nobody means by it."""
    if not text:
        raise argparse.ArgumentTypeError("an empty path; . is this folder")
    return text


def minutes(text):
    """A number of minutes up to a day."""
    with suppress(ValueError):
        if 0 < (number := float(text)) <= 24 * 60:
            return number
    raise argparse.ArgumentTypeError(f"{short(text)}: a number of minutes above 0, up to 1440")


def duration(text):
    """Seconds of a time such as 90s, 9m or 1h30m."""
    match = re.fullmatch(r"(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?", text)
    hours, minutes, seconds = (int(part or 0) for part in match.groups()) if match else (0, 0, 0)
    if not (total := 3600 * hours + 60 * minutes + seconds):
        raise argparse.ArgumentTypeError(f"{short(text)}: a time such as 90s, 9m or 1h30m")
    return total


def runs(chosen):
    """The runs of a command line: seed by seed, and in each seed the methods in the order given."""
    return [
        Run(chosen.dataset, model, method, seed, chosen.epochs, chosen.precision)
        for model in chosen.model
        for seed in chosen.seed
        for method in chosen.method
    ]


def train_command(chosen):
    """Train the runs one after the other, in the order given (all methods of a seed, then the next seed).

    Each writes a record.  A run that has its record is not trained again, and one that was stopped resumes from its
    checkpoint.  The final test accuracy is printed last.
    """
    end, chosen_runs = time.monotonic() + chosen.budget, runs(chosen)
    if len(chosen_runs) > 1:
        with Line() as line:
            prepare(chosen_runs, line, chosen.device, chosen.root, chosen.results)
    return _one_by_one(chosen_runs, end, chosen)


def queue_command(chosen):
    """Train the study's own runs in the given regimes, round by round, the most valuable first.

    The list is `queue` of study.yml.  Complete runs are skipped, so the same command resumes where it was stopped by
    --budget or Ctrl-C.  The command gives way to other programs (nice 19).
    """
    from skdcore.study.queue import plan, queue, shown, summary

    end = time.monotonic() + chosen.budget
    changed = {"dataset": chosen.dataset, "epochs": chosen.epochs, "precision": chosen.precision}
    chosen_runs = queue(chosen.regime, chosen.round, **changed)
    device = usable(chosen.device)
    table = plan(chosen_runs, chosen.results, device, hardware(device))
    if chosen.dry_run:
        print(shown(table, chosen.workers))
        return 0
    print(summary(table, chosen.workers), file=sys.stderr)
    if hasattr(os, "nice"):
        os.nice(19)
    if chosen.workers == 1:
        return _one_by_one(chosen_runs, end, chosen)
    return _side_by_side(list(chosen_runs), chosen)


def _one_by_one(chosen_runs, end, chosen):
    status = 0
    for run in chosen_runs:
        budget = end - time.monotonic()
        record = train(run, chosen.device, chosen.root, chosen.results, budget, eager=chosen.eager)
        status |= _report(record)
    return status


def sweep_command(chosen):
    """Train the runs side by side on Dask: one process of one thread for each core, or one for each GPU.

    The longest run comes first, as far as records tell how long one takes.
    """
    from skdcore.study.queue import plan, shown

    chosen_runs = list(dict.fromkeys(runs(chosen)))
    if chosen.scheduler:  # a cluster's machines are not known here, but it is for GPUs that one has a cluster
        device, machine = known(chosen.device or "cuda"), None
    else:
        device = usable(chosen.device)
        machine = hardware(device)
    table = plan(dict.fromkeys(chosen_runs, ""), chosen.results, device, machine).drop(columns="round")
    if chosen.dry_run:
        print(shown(table, None if chosen.scheduler else chosen.workers or slots(chosen.device)))
        return 0
    order = table["minutes"].sort_values(ascending=False, na_position="first", kind="stable").index
    return _side_by_side([chosen_runs[i] for i in order], chosen, chosen.scheduler)


def _side_by_side(chosen_runs, chosen, scheduler=None):
    where = {"root": chosen.root, "results": chosen.results, "device": chosen.device, "eager": chosen.eager}
    ended = sweep(chosen_runs, **where, scheduler=scheduler, budget=chosen.budget, workers=chosen.workers)
    return max(map(_report, ended), default=0)


def _report(record):
    failed = record["state"] == "failed"
    print(records.outcome(record), file=sys.stderr if failed else sys.stdout, flush=True)
    return int(failed)


def show_command(chosen):
    """A table of all records under a folder: accuracy in percent on the test split, after the final epoch."""
    from skdcore.study.tables import listing

    found = records.under(records.folder(chosen.results))
    print(listing(found).to_string() if found else f"no records under {chosen.results}")


def models_command(chosen):
    """Parameters and multiply-adds of each network for one image, and of its auxiliary classifier (AC) by block."""
    from skdcore.study.costs import sizes

    print(sizes(chosen.classes, chosen.side).to_string())


def bench_command(chosen):
    """Time steps of batch 128 of the methods, in bf16, against vanilla and against the usual PIL DataLoader loop.

    On a GPU each method is timed twice: captured, and eager.
    """
    from pandas import DataFrame

    from skdcore.bench import bench, keep

    for model in MODELS if chosen.all else [chosen.model]:
        record = bench(model, chosen.method or _default_rows(), chosen.minutes, chosen.device)
        steps, views = (DataFrame.from_dict(record[table], orient="index") for table in ("steps", "views"))
        print(f"{model}, batch 128, {record['provenance']['device']}, {torch.get_num_threads()} threads")
        print(f"{steps.round(4).to_string()}\n")
        if record["floor"]:
            print(f"an epoch of vanilla is {steps['seconds an epoch']['vanilla'] / record['floor']:.2f} of its floor\n")
        print(f"crop, flip and normalise to float, one thread\n{views.round(1).to_string()}\n")
        print(f"kept in {keep(record, chosen.results)}")


def _default_rows():
    """The rows of Tables I and IV and, as it keeps a table of classes, ols; outside a checkout every method."""
    from skdcore.study.experiments import experiment

    try:
        return [*experiment("table_1").rows, "ols", *experiment("table_4").rows]
    except FileNotFoundError:
        return list(METHODS)


def methods_command(chosen):
    """The methods with their keywords and defaults; join them with +, as in drg(k=1)+dsr."""
    for function in METHODS.values():
        about = filter(None, [function.source, function.formula])
        lines = [": ".join(about), *(inspect.getdoc(function) or "").splitlines()]
        print("\n    ".join([signature(function), *filter(str.strip, lines)]) + "\n")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main())
