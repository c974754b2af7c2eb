"""Inputs at random: a right result, or an error of ours in one line, and nothing written."""

import contextlib
import io
import random
import shutil
from unittest.mock import patch

import yaml

from skdcore.__main__ import main
from skdcore.data import load_run
from skdcore.methods import METHODS, canonical
from skdcore.study import claims, definition
from skdcore.study.definition import study
from skdcore.study.experiments import experiments, regimes
from skdcore.study.notebook import parameters
from skdcore.study.queue import queue
from skdcore.sums import signature
from skdcore.train import Run

PIECES = list("()+=,.'\"-_ 0123456789eE[]{}:\\\n\0é")
PIECES += "drg dsr k tau alpha nan inf True None lambda 10**9 __import__".split()


def _mutated(text, chance):
    """The text with one to four pieces put in, taken out or doubled."""
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(text) + 1)
        end = min(len(text), at + chance.randint(0, 3))
        text = text[:at] + chance.choice(["", text[at:end] * 2, chance.choice(PIECES)]) + text[end:]
    return text


def methods(world, tries, chance):
    """Method texts"""
    for _ in range(tries):
        text = _mutated(
            "+".join(chance.sample([signature(one) for one in METHODS.values()], chance.randint(1, 3))), chance
        )
        try:
            again = canonical(canonical(text))
            yield None if again == canonical(text) else f"{text!r}: no canonical text"
        except ValueError as error:
            yield None if len(str(error).splitlines()) == 1 else f"{text!r}: {error}"
        except Exception as error:
            yield f"{text!r}: {type(error).__name__}: {error}"


LINES = [
    "train --dataset glyphs --model resnet10_w16 --method drg+dsr --epochs 1 --seed 0 --budget 1s",
    "sweep --dataset glyphs --model resnet10_w16 --method vanilla drg --seed 0 1 --budget 9m --workers 0",
    "queue tenth fifth --round A --dry-run --epochs 3",
    "show results",
    "models --side 32 --classes 10",
]


def arguments(world, tries, chance):
    """Command lines"""
    for _ in range(tries):
        words = chance.choice(LINES).split()
        at = chance.randrange(len(words))
        words[at] = _mutated(words[at], chance).replace("\0", "")
        results = world.folder()
        where = ["--results", str(results)] if words[0] in ("train", "sweep", "queue") else []
        said = io.StringIO()
        with (
            contextlib.redirect_stderr(said),
            contextlib.redirect_stdout(io.StringIO()),
            patch("skdcore.__main__.train", lambda *_, **__: world.expected[world.runs[0]]),  # nothing is trained
            patch("skdcore.__main__.sweep", lambda runs, **_: []),
            patch("os.nice", lambda _: None),
        ):
            try:
                status = main([*words, *where])
            except SystemExit as left:  # argparse's own
                status = left.code
            except Exception as error:
                status = f"{type(error).__name__}: {error}"
        lines = [line for line in said.getvalue().splitlines() if line.startswith("skdcore:")]
        fine = status in (0, 2, 3) and len(lines) <= 1 and not list(results.rglob("*"))
        yield None if fine else f"{words}: {status} {said.getvalue()[-200:]}"


def study_file(world, tries, chance):
    """study.yml"""
    whole = definition.FILE.read_text()
    for _ in range(tries):
        file = world.folder() / "study.yml"
        file.write_text(_mutated_yaml(whole, chance))
        with patch.object(definition, "FILE", file):
            try:
                study(), regimes(), experiments(), queue(list(regimes())), claims.claims()
                yield None
            except ValueError as error:
                yield None if "study.yml" in str(error) or "unknown" in str(error) else f"names no file: {error}"
            except Exception as error:
                yield f"{type(error).__name__}: {error}"


def _mutated_yaml(text, chance):
    """One scalar or one whole entry of the file replaced."""
    if chance.random() < 0.5:
        lines = text.splitlines(keepends=True)
        at = chance.randrange(len(lines))
        lines[at] = _mutated(lines[at].rstrip("\n"), chance).replace("\0", "") + "\n"
        return "".join(lines)
    found = yaml.safe_load(text)
    place = found
    while isinstance(place, dict | list) and place:
        key = chance.choice(list(place)) if isinstance(place, dict) else chance.randrange(len(place))
        if not isinstance(place[key], dict | list) or chance.random() < 0.3:
            place[key] = chance.choice([None, -1, 10**30, "drgg", [], {}, [[1]], {"a": {"b": 1}}, 1.5, True])
            break
        place = place[key]
    return yaml.safe_dump(found, sort_keys=False)


VALUES = [0, -1, 1.5, "text", "[0]", "[0", None, True, [], [0], ["a"], [[0]], {}, {"a": 1}, float("nan"), "1" * 400]


def notebook_parameters(world, tries, chance):
    """Notebook parameters"""
    script = world.folder() / "notebook.py"
    script.write_text("seeds: list[int] = [0]\nepochs: int | None = None\nname: str = 'a'\nlr: float = 0.1\n")
    for _ in range(tries):
        given = {"__file__": str(script), "seeds": [0], "epochs": None, "name": "a", "lr": 0.1}
        given |= {chance.choice(["seeds", "epochs", "name", "lr", "seed", "Lr", "n ame"]): chance.choice(VALUES)}
        try:
            parameters(given)
            yield None if isinstance(given["seeds"], list) else f"{given}: taken"
        except ValueError as error:
            yield None if "parameter" in str(error) else f"{given}: {error}"
        except Exception as error:
            yield f"{given}: {type(error).__name__}: {error}"


def image_folders(world, tries, chance):
    """Image folders"""
    for _ in range(tries):
        top = world.folder() / "images"
        shutil.copytree(world.images, top)
        for file in chance.sample(sorted(top.rglob("*.png")), chance.randint(1, 3)):
            if file.is_file():  # not gone with its folder
                _spoil(file, chance)
        try:
            load_run(Run(f"folder:{top}", "resnet10_w16", "vanilla"), None, _cpu())
            yield None
        except (ValueError, FileNotFoundError) as error:
            yield None if str(top) in str(error) else f"names no file: {error}"
        except Exception as error:
            yield f"{type(error).__name__}: {error}"


def _spoil(file, chance):
    content = file.read_bytes()
    kind = chance.randrange(6)
    if kind == 0:
        file.write_bytes(content[: chance.randrange(len(content))])
    elif kind == 1:
        file.write_bytes(random.Random(chance.random()).randbytes(200))
    elif kind == 2:
        file.unlink()
        file.mkdir()
    elif kind == 3:
        file.unlink()
        file.symlink_to("nowhere.png")
    elif kind == 4:
        file.rename(file.with_name("né w\n.png"))
    else:
        shutil.rmtree(file.parent, ignore_errors=True)


def _cpu():
    import torch

    return torch.device("cpu")
