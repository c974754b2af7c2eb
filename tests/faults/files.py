"""Files that were damaged: checkpoints, weights and records."""

import copy
import json
import math
import os
import resource
import shutil
import subprocess
import warnings
from contextlib import contextmanager, suppress
from io import BytesIO
from unittest.mock import patch

import torch
from world import quiet, start

from skdcore import records
from skdcore.errors import Stopped
from skdcore.train import Run, train


def _flipped(content, chance):
    at = chance.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << chance.randrange(8)]) + content[at + 1 :]


def _crafted(content, chance):
    """A file that torch can read, with one thing in it that cannot be."""
    kept = torch.load(BytesIO(content), weights_only=True)
    place = chance.choice(list(kept))
    kept[place] = chance.choice([None, -5, "text", torch.ones(2), [], {}, math.nan])
    torch.save(kept, new := BytesIO())
    return new.getvalue()


DAMAGES = [
    _flipped,
    _flipped,  # the commonest
    lambda content, chance: content[: chance.randrange(len(content))],
    lambda content, chance: b"",
    lambda content, chance: b"a text file\n" * 50,
    _crafted,
]


@contextmanager
def _stopping(steps):
    """Runs stop after some steps, with a checkpoint after each."""

    @contextmanager
    def stop_signals(deadline, sweep):
        left = iter(range(steps))
        yield lambda: "enough" if next(left, None) is None else None

    with patch("skdcore.train.stop_signals", stop_signals):
        yield


def checkpoint(world, tries, chance):
    """Checkpoint: bit flipped, truncated, empty, text, crafted"""
    run = chance.choice(world.runs)
    begun = world.folder()
    with _stopping(world.epochs - 2), suppress(Stopped):
        train(run, "cpu", results=begun, progress=False, checkpoint_minutes=0)
    for _ in range(tries):
        results = world.folder()
        shutil.copytree(begun, results, dirs_exist_ok=True)
        both = sorted(results.rglob("*.checkpoint*.pt"))
        for file in chance.sample(both, chance.choice([1, 1, len(both)])):
            file.write_bytes(chance.choice(DAMAGES)(file.read_bytes(), chance))
        yield _trained(world, run, results)
        shutil.rmtree(results)


def _trained(world, run, results):
    """Trains the run to its end: the undisturbed record, or an error of ours that names a file."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            train(run, "cpu", results=results, progress=False)
        except ValueError as error:
            return None if str(results) in str(error) else f"an error that names no file: {error}"
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    problem = world.difference(results, [run])
    return f"{problem}, after {[str(one.message) for one in said]}" if problem else None


def other_runs(world, tries, chance):
    """Checkpoint of another run, or a teacher's weights that are another's, or damaged"""
    own, other = (Run(*_where(world), "vanilla", seed, world.epochs) for seed in (0, 1))
    taught = Run(*_where(world), 'kd(teacher="vanilla")', 0, world.epochs)
    whole = world.folder()
    world.expected[taught] = train(taught, "cpu", results=whole, progress=False)
    train(other, "cpu", results=whole, progress=False)
    for _ in range(tries):
        results = world.folder()
        shutil.copytree(whole, results, dirs_exist_ok=True)
        records.path(results, taught.settings()).unlink()
        weights, foreign = (records.path(results, run.settings()).with_suffix(".weights.pt") for run in (own, other))
        change = chance.choice([*DAMAGES, None])
        weights.write_bytes(change(weights.read_bytes(), chance) if change else foreign.read_bytes())
        yield _trained(world, taught, results)
        shutil.rmtree(results)


def _where(world):
    return world.runs[0].dataset, world.runs[0].model


def record(world, tries, chance):
    """Record: truncated, wrong type, NaN, out of range, contradicting itself, a key twice, a loop"""
    whole = world.expected[world.runs[0]]
    for _ in range(tries):
        results = world.folder()
        file = records.path(results, whole["run"])
        file.parent.mkdir(parents=True)
        kind = chance.choice([*RECORDS, _loop])
        kind(file, copy.deepcopy(whole), chance)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            found = records.under(results)
        named = any(str(file) in str(one.message) for one in said)
        yield None if named and not found else f"{kind.__name__}: counted {len(found)}, named {named}"


def _truncated(file, whole, chance):
    text = json.dumps(whole)
    file.write_text(text[: chance.randrange(len(text))])


def _another_type(file, whole, chance):
    section = chance.choice(["final", "best", "cost", "run"])
    key = chance.choice([key for key, value in whole[section].items() if isinstance(value, int | float)])
    whole[section][key] = chance.choice(["text", None, [], {}])
    file.write_text(json.dumps(whole))


def _nan(file, whole, chance):
    whole["final"][chance.choice(list(whole["final"]))] = chance.choice([math.nan, math.inf, -math.inf])
    file.write_text(json.dumps(whole))


def _out_of_range(file, whole, chance):
    section, key = chance.choice([("final", "accuracy"), ("best", "accuracy"), ("cost", "seconds")])
    whole[section][key] = chance.choice([-1, -1e9]) if section == "cost" else chance.choice([-0.1, 100.5, 1e9])
    file.write_text(json.dumps(whole))


def _contradicting(file, whole, chance):
    section, key, value = chance.choice(
        [("final", "accuracy", 12.5), ("best", "epoch", 10**6), ("curve", "test", [1.0]), ("run", "epochs", 3)]
    )
    whole[section][key] = value
    file.write_text(json.dumps(whole))


def _key_twice(file, whole, chance):
    key = chance.choice(list(whole))
    file.write_text(json.dumps(whole)[:-1] + f', "{key}": {json.dumps(whole[key])}}}')


def _one_more_field(file, whole, chance):
    whole["run"][chance.choice(["alpha", "note", "lr2"])] = 1
    file.write_text(json.dumps(whole))


def _elsewhere(file, whole, chance):
    whole["run"] |= chance.choice([{"seed": 7}, {"method": "dsr"}, {"model": "resnet18"}])
    file.write_text(json.dumps(whole))


def _loop(file, whole, chance):
    file.symlink_to(chance.choice([file.name, "nowhere.json"]))


RECORDS = [_truncated, _another_type, _nan, _out_of_range, _contradicting, _key_twice, _one_more_field, _elsewhere]


def full_disk(world, tries, chance):
    """Disk full while a checkpoint, a record or weights are written"""
    run = world.runs[1]
    given = ["train", "--dataset", run.dataset, "--model", run.model, "--method", run.method, "--epochs", world.epochs]
    for _ in range(tries):
        results, limit = world.folder(), int(10 ** chance.uniform(2, 6))

        def full(limit=limit):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        where = ["--device", "cpu", "--results", results]
        process = start("-m", "skdcore", *given, *where, preexec_fn=full, **how)
        _, said = process.communicate(timeout=120)
        status, temporary = process.returncode, [*results.rglob("*.tmp")]
        problem = f"exit status {status}: {said[-300:]}" if status not in (0, 2) else None
        problem = problem or (f"{temporary} stays" if temporary else None)
        yield problem or _trained(world, run, results)


def read_only(world, tries, chance):
    """A results folder in which nothing can be written"""
    for _ in range(tries):
        results = world.folder()
        blocked = results / "blocked"
        blocked.write_text("a file where a folder should be")  # holds for a superuser, too
        try:
            with quiet():
                train(chance.choice(world.runs), "cpu", results=blocked, progress=False)
            yield "no error"
        except OSError as error:
            yield None if "blocked" in str(error) else f"an error that names no file: {error}"
        assert os.listdir(results) == ["blocked"]
