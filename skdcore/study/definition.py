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
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        line = f", line {error.problem_mark.line + 1}" if getattr(error, "problem_mark", None) else ""
        raise ValueError(f"{file.name}{line}: {getattr(error, 'problem', None) or error}") from None
    except fastjsonschema.JsonSchemaValueException as error:
        raise ValueError(f"{_place(file, error.path[1:])}: {error.message.removeprefix(error.name).strip()}") from None


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # the one in Python takes 0.1 s
    def construct_mapping(self, node, deep=False):
        """A mapping, unless it gives a key twice: yaml would take the later value."""
        seen = set()
        for key, _ in node.value:
            if not isinstance(key.value, str):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a text", key.start_mark)
            if key.value in seen:
                problem = f"the key {key.value!r} is there twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _yaml(file):
    return yaml.load(file.read_text(), _Loader)


@contextmanager
def at(*keys):
    """A ValueError raised inside names the file, the line and the key."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{_place(FILE, keys)}: {error}") from None


def _id(entry):
    """The `round` or `id` of an entry of a list, or None."""
    named = {name.value: value.value for name, value in entry.value} if isinstance(entry, yaml.MappingNode) else {}
    return named.get("round", named.get("id"))


def _place(file, keys):
    """Where a value of the file is, in words; an entry of a list goes by its number, its `round` or its `id`."""
    node, line = yaml.compose(file.read_text(), _Loader), 0
    for key in keys:
        if isinstance(node, yaml.MappingNode):
            found = [(name.start_mark.line, value) for name, value in node.value if name.value == key]
        elif isinstance(node, yaml.SequenceNode):
            found = [(one.start_mark.line, one) for at_, one in enumerate(node.value) if key in (str(at_), _id(one))]
        else:
            found = []
        if not found:
            break
        line, node = found[0]
    return f"{file.name}, line {line + 1}, {'.'.join(keys) or 'the whole'}"


def known(kind, names, all_):
    """Raises ValueError, naming the near ones, for a name that is not one of them all."""
    for name in names:
        if name not in all_:
            raise unknown(kind, name, all_)
