"""Two rooms: the core trains, the study makes pages, and the core does without the study."""

import ast
from pathlib import Path

import pytest

CORE = sorted((Path(__file__).parents[1] / "skdcore").glob("*.py"))


def imported(tree):
    """The modules that a piece of code imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))


@pytest.mark.parametrize("file", CORE, ids=lambda file: file.stem)
def test_the_core_does_not_import_the_study_but_for_commands_that_need_it(file):
    tree = ast.parse(file.read_text())
    if file.stem == "__main__":  # a command may, inside its function
        tree.body = [node for node in tree.body if not isinstance(node, ast.FunctionDef)]
    assert not [name for name in imported(tree) if name.startswith("skdcore.study")]


STUDY = sorted((CORE[0].parent / "study").glob("*.py"))


@pytest.mark.parametrize("file", CORE + STUDY, ids=lambda file: f"{file.parent.name}.{file.stem}")
def test_a_module_has_350_lines_at_most_and_a_function_a_screen_of_40_below_its_docstring(file):
    tree = ast.parse(text := file.read_text())
    assert len(text.splitlines()) <= 350
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            lines = node.end_lineno - node.lineno + 1 - len((ast.get_docstring(node, clean=False) or "").splitlines())
            assert lines <= 40, node.name


@pytest.mark.parametrize("files", [CORE, STUDY], ids=["the core", "the study"])
def test_the_map_of_a_package_names_every_module_once_and_each_imports_only_those_before_it(files):
    trees = {file.stem: ast.parse(file.read_text()) for file in files}
    about = ast.get_docstring(trees.pop("__init__"))
    lines = [line.strip().partition(":")[0] for line in about.splitlines() if line.startswith("    ")]
    order = ", ".join(lines).split(", ")
    assert sorted(order) == sorted(trees)
    package = ".".join(files[0].relative_to(CORE[0].parents[1]).parent.parts)
    for at, name in enumerate(order):
        later = {f"{package}.{other}" for other in order[at + 1 :]}
        assert not later & set(imported(trees[name])), name


def test_training_does_not_load_the_study(python):
    script = "import sys, skdcore.__main__; print([name for name in sys.modules if name.startswith('skdcore.study')])"
    out, err = python("-c", script).communicate(timeout=120)
    assert out == "[]\n", err
