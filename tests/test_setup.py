"""pyproject.toml, requirements.lock, environment.yml and the README say the same."""

import re
import subprocess
import tomllib

import yaml
from packaging.requirements import Requirement

from skdcore.study import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = [Requirement(line) for line in (ROOT / "requirements.lock").read_text().splitlines()]


def test_lock_pins_every_dependency_exactly_and_within_its_range():
    pins = {re.sub("[-_.]+", "-", pin.name).lower(): pin.specifier for pin in LOCK}
    for text in PROJECT["dependencies"] + sum(PROJECT["optional-dependencies"].values(), []):
        wanted = Requirement(text)
        version = str(pins[wanted.name.lower()]).removeprefix("==")
        assert version in wanted.specifier, text
    assert all(str(pin.specifier).startswith("==") for pin in LOCK)


def test_conda_brings_python_and_pip_the_lock():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, pip, rest = conda["dependencies"]
    assert python.removeprefix("python=") >= PROJECT["requires-python"].removeprefix(">=") and pip == "pip"
    assert rest == {"pip": ["-r requirements.lock", "--no-deps -e ."]}


def test_readme_names_only_targets_and_files_that_exist():
    readme = (ROOT / "README.md").read_text()
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", makefile, re.M))
    assert {"book", "test", "setup", "pages", "sweep", "bench", "lab", "clean", "help"} <= targets
    assert set(re.findall(r"\bmake ([a-z]+)", readme)) <= targets
    for path in re.findall(r"\]\(([^):#]+)\)", readme):
        assert (ROOT / path).exists(), path


def test_help_lists_every_target():
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {line.split()[0] for line in shown.splitlines()} >= {"book", "test", "lab", "clean"}
