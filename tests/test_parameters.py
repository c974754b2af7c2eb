"""The parameters of a notebook are those that its cell annotates; each is checked, and converted, by its annotation."""

import json
import os
from pathlib import Path

import pytest

from skdcore.study.experiments import ROOT
from skdcore.study.notebook import parameters

CELL = """
from typing import Optional

seeds: list[int] = [0]  # a comment
epochs: Optional[int] = None
models: list[str] = ["a"]
lr: float = 0.1
note: str = ""
"""


@pytest.fixture
def given(tmp_path, monkeypatch):
    """Runs `CELL` as a script, then `parameters` with other values, and gives the namespace.

    As on Python 3.14, nothing is left of the annotations but the source.
    """
    monkeypatch.chdir(tmp_path)
    (tmp_path / "script.py").write_text(CELL)

    def given(**values):
        names = {"__file__": str(tmp_path / "script.py")}
        exec(CELL, names)
        names.pop("__annotations__", None)
        names |= values
        parameters(names)
        return names

    return given


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("seeds", "[0, 1]", [0, 1]),
        ("models", "['b']", ["b"]),
        ("epochs", "3", 3),
        ("epochs", "None", None),
        ("lr", "1e-3", 1e-3),
        ("lr", 1, 1),
        ("note", "[0, 1]", "[0, 1]"),
    ],
)
def test_a_text_becomes_what_the_annotation_says(given, name, value, meant):
    assert given(**{name: value})[name] == meant


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("seeds", "0", r"list\[int\]"),
        ("seeds", ["a"], r"list\[int\]"),
        ("epochs", 1.5, "int or None"),
        ("epochs", "many", "int or None"),
        ("models", "resnet18", r"list\[str\]"),
        ("lr", True, "float"),
        ("lr", "-" * 3000 + "1", "float"),
    ],
)
def test_a_value_of_another_type_is_refused_and_the_type_is_named(given, name, value, kind):
    with pytest.raises(ValueError, match=f"parameter {name}=.*: takes {kind}$"):
        given(**{name: value})


def test_an_unknown_name_is_refused_and_the_near_one_is_named(given):
    with pytest.raises(ValueError, match="unknown parameter 'seed'; did you mean seeds"):
        given(seed=[0])


def test_relative_paths_start_at_the_project_wherever_the_kernel_was_started(given):
    given()
    assert Path.cwd() == ROOT


SESSION = """
import json
import sys
from IPython.core.interactiveshell import InteractiveShell

shell, said = InteractiveShell.instance(), []
for cell in json.loads(sys.argv[1]):
    error = shell.run_cell(cell, store_history=True).error_in_exec
    said += [str(error)] if error else []
print(json.dumps([[shell.user_ns.get(name) for name in ("seeds", "epochs", "models")], said]))
"""
CHECK = "from skdcore.study.notebook import parameters; parameters(globals())"


@pytest.fixture
def session(python, tmp_path):
    """Runs cells in IPython; gives three of the parameters, and the errors."""

    def session(*cells):
        running = python("-c", SESSION, json.dumps(cells), env=os.environ | {"IPYTHONDIR": str(tmp_path)})
        shown, errors = running.communicate(timeout=60)
        assert running.returncode == 0, errors
        return json.loads(shown.splitlines()[-1])

    return session


def test_ipython_needs_no_annotations_but_those_in_the_cells_that_ran(session):
    slip, injected = "seeds: = [0]", "# Parameters\nseeds = '[0, 1]'\n"
    cells = [slip, "%xmode minimal", CELL, injected, "globals().pop('__annotations__', None)", CHECK]
    assert session(*cells) == [[[0, 1], None, ["a"]], []]


def test_the_check_can_be_run_again_after_the_cells_below_it(session):
    assert session(CELL, CHECK, "runs, found, n = [1], {}, 3", CHECK, CELL, CHECK) == [[[0], None, ["a"]], []]


@pytest.mark.parametrize("name", ["x = 1; print(1) #", "x = y", "x[0]"])
def test_a_name_that_is_code_is_refused(session, name):
    _, (error,) = session("y, x = 1, [0]", CELL, f"# Parameters\n{name} = 1\n", CHECK)
    assert "a parameter's name must be an identifier, not code" in error


@pytest.mark.parametrize("cell", ["# Parameters\nseed = [0]\n", CELL + "seed = [0]\n"])
def test_ipython_refuses_an_unknown_name_until_it_is_corrected(session, cell):
    corrected = cell.replace("seed =", "seeds =")
    _, (error,) = session(*dict.fromkeys([CELL, cell]), CHECK, corrected, CHECK)
    assert "unknown parameter 'seed'; did you mean seeds" in error
