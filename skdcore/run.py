"""A run: which data set, model, method and seed, and every setting that follows from them."""

from dataclasses import asdict, dataclass

import torch

from skdcore.data import entry
from skdcore.errors import unknown
from skdcore.methods import canonical
from skdcore.models import MODELS


@dataclass(frozen=True)
class Run:
    """One run: a data set, a model, a method (any text of the sum; kept in canonical form) and a seed.

    `epochs` None: the data set's recipe; `precision` None: fp32 on a CPU, bf16 on CUDA.
    Raises ValueError for a name that is not known (the near ones are named) or a number out of range.
    """

    dataset: str
    model: str
    method: str
    seed: int = 0
    epochs: int | None = None
    precision: str | None = None

    def __post_init__(self):
        object.__setattr__(self, "dataset", entry(self.dataset).where)
        if self.model not in MODELS:
            raise unknown("model", self.model, MODELS)
        if self.precision not in (None, "fp32", "bf16"):
            raise unknown("precision", self.precision, ["fp32", "bf16"])
        for name, value, least in (("epochs", self.epochs, 1), ("seed", self.seed, 0)):
            if value is not None and (type(value) is not int or not least <= value < 2**63):
                raise ValueError(f"{name}={value!r}: a whole number of at least {least} and below 2^63")
        object.__setattr__(self, "method", canonical(self.method))

    def __str__(self):
        return f"{self.dataset} {self.model} {self.method} seed {self.seed}"

    def settings(self, device="cpu", train=None):
        """Every parameter of the run with its defaults resolved: `run` of its record.

        Given the training split, the batch is 64 for large images and never larger than the split.
        """
        chosen = entry(self.dataset)
        settings = asdict(self) | {"dataset": chosen.name} | chosen.recipe
        settings["epochs"] = self.epochs or settings["epochs"]
        settings["precision"] = self.precision or ("bf16" if torch.device(device).type == "cuda" else "fp32")
        if train:
            settings["batch"] = min(64 if train.side >= 128 else settings["batch"], len(train))
        return settings


def learning_rate(settings, epoch):
    """lr * gamma^(milestones passed); one at fraction f is passed from the first epoch e >= 1, e >= f * epochs."""
    passed = sum(epoch >= max(1, f * settings["epochs"]) for f in settings["milestones"])
    return settings["lr"] * settings["gamma"] ** passed
