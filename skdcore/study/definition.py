"""study.yml, read and checked against schema.yml; whoever reads a name from it checks that name, inside `at`."""

from contextlib import contextmanager
from functools import cache
from pathlib import Path

import fastjsonschema
import yaml

from skdcore.errors import unknown

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "study.yml"
SCHEMA = Path(__file__).with_name("schema.yml")


def study():
    """What study.yml says.  Raises ValueError, naming the file and the key, unless it has the form of schema.yml."""
    return _load(FILE)


@cache
def _load(file):
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing: the study's experiments need a checkout of the repository")
    try:
        return fastjsonschema.compile(_yaml(SCHEMA))(_yaml(file))
    except yaml.YAMLError as error:
        raise ValueError(f"{file.name}: {error}") from None
    except fastjsonschema.JsonSchemaValueException as error:
        keys = ".".join(error.path[1:]) or "the whole"
        raise ValueError(f"{file.name}, {keys}: {error.message.removeprefix(error.name).strip()}") from None


def _yaml(file):
    return yaml.load(file.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # the one in Python takes 0.1 s


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
