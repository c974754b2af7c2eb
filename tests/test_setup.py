"""The files that set the project up agree: pyproject.toml, requirements.lock, the Makefile, CI, and the README."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = [Requirement(line) for line in (ROOT / "requirements.lock").read_text().splitlines()]
PINS = {re.sub("[-_.]+", "-", pin.name).lower(): str(pin.specifier).removeprefix("==") for pin in LOCK}
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))


def test_lock_pins_every_dependency_exactly_and_within_its_range():
    for text in PROJECT["dependencies"] + sum(PROJECT["optional-dependencies"].values(), []):
        wanted = Requirement(text)
        assert PINS[wanted.name.lower()] in wanted.specifier, text
    assert all(str(pin.specifier).startswith("==") for pin in LOCK)


def test_conda_brings_python_and_pip_the_lock():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, pip, rest = conda["dependencies"]
    assert python.removeprefix("python=") >= PROJECT["requires-python"].removeprefix(">=") and pip == "pip"
    index, *packages = rest["pip"]
    assert index.startswith("--extra-index-url https://download.pytorch.org/")
    assert packages == ["-r requirements.lock", "-e ."]


def test_readme_names_only_targets_and_files_that_exist():
    readme = (ROOT / "README.md").read_text()
    assert set(re.findall(r"\bmake ([a-z]+)", readme)) <= TARGETS
    for path in re.findall(r"\]\(([^):#]+)\)", readme):
        assert (ROOT / path).exists(), path


def test_help_lists_every_target():
    command = ["make", "--no-print-directory", "help"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {line.split()[0] for line in shown.splitlines()} == TARGETS
    assert {"setup", "book", "pages", "test", "quick", "sweep", "bench", "faults", "lab", "clean", "help"} == TARGETS


@pytest.mark.parametrize("target", sorted(TARGETS - {"setup", "help", "clean"}))
def test_target_does_its_own_setup(target):
    commands = ["make", "--dry-run", "--always-make", target]
    shown = subprocess.run(commands, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "pip install --quiet --requirement requirements.lock" in shown


@pytest.fixture
def build(tmp_path):
    """Runs `make TARGET` in a project of empty files, where `jupyter-book` is a script and Python does nothing."""

    def build(target, jupyter_book):
        for name in ("book/x", "skdcore/x", "_build/pages/x", "_config.yml", "requirements.lock", "pyproject.toml"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        for name, script in (("python", "true"), ("jupyter-book", jupyter_book), ("ready", "")):
            file = tmp_path / ".venv" / ("" if name == "ready" else "bin") / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"#!/bin/sh\n{script}\n")
            file.chmod(0o755)
        shutil.copy(ROOT / "Makefile", tmp_path)
        return subprocess.run(["make", target], cwd=tmp_path, capture_output=True, text=True)

    return build


@pytest.mark.parametrize("target", ["book", "pages"])
def test_a_build_that_leaves_no_index_fails_even_if_there_was_one_before(build, tmp_path, target):
    assert build(target, "mkdir -p _build/html && touch _build/html/index.html").returncode == 0
    assert (tmp_path / "_build/html/index.html").exists()
    failed = build(target, "exit 0")
    assert failed.returncode != 0 and "no _build/html/index.html" in failed.stderr


def test_the_workflow_runs_make_test_and_make_book_and_keeps_the_site():
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]
    steps = {name: [step.get("run") or step["uses"].split("@")[0] for step in jobs[name]["steps"]] for name in jobs}
    assert {run.split()[1] for run in sum(steps.values(), []) if run.startswith("make ")} <= TARGETS
    wanted = ["make test", "make book", "test -f _build/html/index.html", "actions/upload-artifact"]
    assert [step for step in steps["book"] if step in wanted] == wanted
    pythons = [
        step["with"]["python-version"] for name in jobs for step in jobs[name]["steps"] if "setup-python" in str(step)
    ]
    assert pythons == [PROJECT["requires-python"].removeprefix(">="), "3.14"]


def test_pre_commit_has_the_locked_versions_and_strips_only_templates():
    found = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    versions = {
        repo["repo"].split("/")[-1].removesuffix("-pre-commit"): repo["rev"].removeprefix("v") for repo in found
    }
    assert versions == {name: PINS[name] for name in ("ruff", "nbstripout")}
    (strip,) = (hook for repo in found for hook in repo["hooks"] if hook["id"] == "nbstripout")
    assert strip["files"] == "^notebooks/"
    program = Path(sys.executable).with_name("nbstripout")
    templates = sorted((ROOT / "notebooks").glob("*.ipynb"))
    assert subprocess.run([program, *strip["args"], "--verify", *templates]).returncode == 0
