"""Writing one function is all it takes: the example of the page "How to rerun", exactly as it is printed there."""

import re
import shutil
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
SCRIPT = """
import torch
from conftest import training
from skdcore.data import load
from skdcore.methods import METHODS
from skdcore.study.descriptions import descriptions

for name in ("two_exits", "two_exits(alpha=0.1)+dsr"):
    made = training(name, load("glyphs"))
    for _ in range(3):
        made.step()
    losses = made.state.meter[:3, :-1]
    assert losses.isfinite().all() and (losses > 0).all()
section = descriptions().split("### two_exits")[1]
assert METHODS["two_exits"].__doc__ in section and "alpha * kl((a + b) / 2, s.z, tau)" in section, section
print("trained")
"""


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """A copy of the package at whose methods.py the page's example stands at the end."""
    (example,) = re.findall(r"```python\n(@method\ndef two_exits.*?)```", (PROJECT / "book/rerun.md").read_text(), re.S)
    folder = tmp_path_factory.mktemp("extended")
    for name in ("skdcore", "tests"):
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "study.yml", folder)
    with open(folder / "skdcore/methods.py", "a") as methods:
        methods.write(f"\n\n{example}")
    return folder


def run(python, extended, *arguments):
    out, err = (process := python(*arguments, cwd=extended)).communicate(timeout=120)
    assert process.returncode == 0, err
    return out


def test_the_example_is_listed(python, extended):
    assert "two_exits(alpha=0.2, tau=1.0)\n    Blocks 1 and 2" in run(python, extended, "-m", "skdcore", "methods")


def test_the_example_is_trained_alone_and_in_a_sum_and_stands_on_the_page(python, extended):
    assert run(python, extended, "-c", f"import sys; sys.path.insert(0, 'tests'){SCRIPT}") == "trained\n"
