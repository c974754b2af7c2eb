"""study.yml, read and checked against a schema; whoever reads a name from it checks that name, inside `at`."""

from contextlib import contextmanager
from functools import cache
from pathlib import Path

import fastjsonschema
import yaml

from skdcore.errors import unknown

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "study.yml"


def _object(required, **properties):
    return {"type": "object", "required": required.split(), "properties": properties, "additionalProperties": False}


def _each(values):
    return {"type": "object", "additionalProperties": values}


def _list(items):
    return {"type": "array", "items": items, "minItems": 1, "uniqueItems": True}


TEXT, NUMBER = {"type": "string", "minLength": 1}, {"type": "number"}
TEXTS, SEEDS = _list(TEXT), _list({"type": "integer", "minimum": 0})
RIVALS = {  # a row, or several under the word that folds them
    "type": ["string", "object"],
    "properties": {"best": TEXTS, "mean": TEXTS},
    "additionalProperties": False,
    "minProperties": 1,
    "maxProperties": 1,
}
SCHEMA = _object(
    "regimes queue experiments claims",
    regimes=_each(
        _object(
            "text epochs precision seeds",
            text=TEXT,
            dataset=TEXT,
            models=TEXTS,
            epochs={"type": "integer", "minimum": 1},
            precision={"enum": ["fp32", "bf16"]},
            seeds=SEEDS,
        )
    ),
    queue=_list(_object("models seeds", models=TEXTS, seeds=SEEDS, methods=TEXTS, rows_of=TEXTS)),
    experiments=_each(
        _object(
            "title models rows",
            paper=TEXT,
            title=TEXT,
            dataset=TEXT,
            models=TEXTS,
            rows=_each(_each({"type": "number", "minimum": 0, "maximum": 100})),
            seconds=_each(NUMBER),
        )
    ),
    claims=_list(
        _object(
            "id where comparisons",
            id=TEXT,
            says=TEXT,
            asks=TEXT,
            where=TEXT,
            size=_object("", mean=NUMBER, min=NUMBER, max=NUMBER),
            comparisons=_list(
                _object("better than experiment", better=TEXT, than=RIVALS, experiment=TEXT, models=TEXTS)
            ),
        )
    ),
)
FORM = fastjsonschema.compile(SCHEMA)


def study():
    """What study.yml says.  Raises ValueError, naming the file and the key, unless it has the form of `SCHEMA`."""
    return _load(FILE)


@cache
def _load(file):
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing: the study's experiments need a checkout of the repository")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in Python takes 0.1 s
    try:
        return FORM(yaml.load(file.read_text(), loader))
    except yaml.YAMLError as error:
        raise ValueError(f"{file.name}: {error}") from None
    except fastjsonschema.JsonSchemaValueException as error:
        keys = ".".join(error.path[1:]) or "the whole"
        raise ValueError(f"{file.name}, {keys}: {error.message.removeprefix(error.name).strip()}") from None


@contextmanager
def at(*keys):
    """A ValueError raised inside names the file and the key."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{FILE.name}, {'.'.join(keys)}: {error}") from None


def known(kind, names, all_):
    """Raises ValueError, naming the near ones, for a name that is not one of them all."""
    for name in names:
        if name not in all_:
            raise unknown(kind, name, all_)
