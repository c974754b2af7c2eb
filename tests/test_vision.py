"""torchvision is imported even where its operators do not exist: each missing one is declared, and nothing else."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

# Packages that stand for torchvision.  `deep` is a module of theirs that is imported before anything can fail.
START = "import torch, torchvision.deep\n"
PACKAGES = {
    "matching": START,
    "cpu_only": START + "for name in ('one', 'two'): torch.library.register_fake(f'torchvision::{name}')(lambda: None)",
    "another_operator": START + "torch.library.register_fake('another::one')(lambda: None)",
    "another_error": START + "raise RuntimeError('no memory')",
    "incurable": START + "raise RuntimeError('operator torchvision::three does not exist')",
}
IMPORT = """
import importlib, json, sys, torch

found = {}
for name in sys.argv[2:]:
    sys.path.insert(0, f"{sys.argv[1]}/{name}")
    importlib.invalidate_caches()
    for module in [m for m in sys.modules if m.split(".")[0] == "torchvision" or m == "skdcore.vision"]:
        del sys.modules[module]
    try:
        vision = importlib.import_module("skdcore.vision")
        lazy = "torchvision" not in sys.modules
        vision.torchvision
    except RuntimeError as error:
        found[name] = str(error)
    else:
        again, plain = (importlib.import_module(m) for m in ("skdcore.vision", "torchvision"))
        found[name] = {
            "lazy": lazy,
            "declared": len(vision.DECLARED),
            "exist": all(hasattr(torch.ops.torchvision, name) for name in ("one", "two")),
            "place": vision.torchvision.__file__,
            "whole": vision.torchvision.deep is sys.modules["torchvision.deep"],
            "same": plain is again.torchvision is vision.torchvision,
        }
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What importing `skdcore.vision` gives beside each of the packages: facts, or the words of its RuntimeError."""
    folder = tmp_path_factory.mktemp("packages")
    for name, source in PACKAGES.items():
        (folder / name / "torchvision").mkdir(parents=True)
        (folder / name / "torchvision/__init__.py").write_text(source)
        (folder / name / "torchvision/deep.py").touch()
    command = [sys.executable, "-c", IMPORT, folder, *PACKAGES]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_each_missing_operator_is_declared_once_and_the_package_is_imported_whole(found):
    assert found["cpu_only"]["declared"] == 2 and found["cpu_only"]["exist"]
    assert "cpu_only" in found["cpu_only"]["place"] and found["cpu_only"]["whole"]


@pytest.mark.parametrize("package", ["matching", "cpu_only"])
def test_the_package_is_imported_when_it_is_first_used(found, package):
    assert found[package]["lazy"]


def test_beside_a_matching_torch_nothing_is_declared(found):
    assert found["matching"]["declared"] == 0 and "matching" in found["matching"]["place"]


@pytest.mark.parametrize("package", ["matching", "cpu_only"])
def test_a_second_import_gives_the_same_module(found, package):
    assert found[package]["same"]


def test_other_runtime_errors_are_raised_as_they_are(found):
    assert found["another_error"] == "no memory"
    assert found["another_operator"] == "operator another::one does not exist"


def test_an_operator_that_stays_missing_once_declared_is_an_error_and_no_endless_loop(found):
    assert "torchvision::three" in found["incurable"]


def test_the_installed_torchvision_is_imported():
    from skdcore.vision import torchvision

    assert torchvision is sys.modules["torchvision"] and torchvision.models.resnet18
