"""Imports torchvision at its first use, also beside a CPU-only torch: write `vision.torchvision`.

At first use, because the import takes two seconds that most commands and pages can do without.

PyPI's torchvision wheel is built for CUDA: beside a CPU build of torch its compiled operators are missing
and the import dies with "operator torchvision::nms does not exist", because it describes them to torch
whether they exist or not.  Declaring the missing names first cures it; nothing here ever calls them.
Beside a matching torch the import succeeds at once and nothing is declared.
"""

import importlib
import sys

import torch

DECLARED = []  # a Library takes its names back when it is collected, so it is kept


def _import():
    while True:
        try:
            return importlib.import_module("torchvision")
        except RuntimeError as error:
            words = str(error).split()
            if words[:1] != ["operator"] or not words[1].startswith("torchvision::") or len(DECLARED) > 50:
                raise
            for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
                del sys.modules[name]
            library = torch.library.Library("torchvision", "FRAGMENT")
            library.define(f"{words[1].removeprefix('torchvision::')}() -> Tensor")
            DECLARED.append(library)


def __getattr__(name):
    if name != "torchvision":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = module = _import()
    return module
