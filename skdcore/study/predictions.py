"""The predictions of a run beside vanilla's: which test images changed sides, and in which classes.

Records and the files beside them hold no labels.  Those of a test split, and the names of its classes, are kept once
for each data set, in results/labels.
"""

from dataclasses import dataclass
from math import isclose
from pathlib import Path

import numpy as np
import pandas

from skdcore import records
from skdcore.data import load
from skdcore.state import load_arrays, save_arrays
from skdcore.study.beyond_accuracy import kept, predicted
from skdcore.study.experiments import RESULTS

KEPT = RESULTS / "labels"
SHOWN = 8  # classes: those that change most


def keep(dataset, root=None):
    """Keeps the test labels and the classes of a data set, and returns the file."""
    _, test = load(dataset, root)
    labels = test.labels.numpy().astype(np.min_scalar_type(len(test.classes)))
    save_arrays({"labels": labels, "classes": np.array(test.classes)}, file := _file(dataset))
    return file


def labels(dataset):
    """The test labels and the classes of a data set; None where they are not kept.

    Raises `Damaged`, naming the file, if it is damaged.
    """
    file = _file(dataset)
    if not file.exists():
        return None
    arrays = load_arrays(file, "labels", "classes")
    return arrays["labels"], arrays["classes"].tolist()


def _file(dataset):
    """Where the labels of a data set are kept.  "cifar100(n=50)" has cifar100's, a folder is known by its name."""
    folder = dataset.startswith("folder:")
    return KEPT / f"{f'folder-{Path(dataset[7:]).resolve().name}' if folder else dataset.partition('(')[0]}.npz"


@dataclass
class Changes:
    """A method's predictions beside vanilla's.

    `heads` of the columns, one for each seed that is compared; `images` is how many there are; `sides` {words: numbers
    of images}; `classes` {class: by how many right predictions more}, those that change most.
    """

    heads: list
    images: int
    sides: dict
    classes: dict


def changes(runs, vanilla):
    """The `Changes` from vanilla to a method, over the seeds of which the predictions of both are kept; None without.

    Raises ValueError, naming the run, for predictions that do not have the accuracy of their record.
    """
    known = labels(runs.settings["dataset"])
    seeds = [seed for seed in runs.finished if _has(runs, seed) and _has(vanilla, seed)] if known else []
    if not seeds:
        return None
    truth, classes = known
    pairs = {seed: (_predicted(runs, seed, truth), _predicted(vanilla, seed, truth)) for seed in seeds}
    sides = pandas.DataFrame({seed: _sides(*pair, truth) for seed, pair in pairs.items()})
    more = pandas.DataFrame({seed: _more(*pair, truth, classes) for seed, pair in pairs.items()}, index=classes)
    first = more.sum(axis=1).abs().sort_values(ascending=False, kind="stable").index[:SHOWN]
    shown = more.loc[first].map("{:+d}".format)
    return Changes([f"seed {seed}" for seed in seeds], len(truth), sides.T.to_dict("list"), shown.T.to_dict("list"))


def _has(runs, seed):
    """Whether the predictions of a finished run are kept."""
    return seed in runs.finished and kept(runs.results, runs.finished[seed])


def _predicted(runs, seed, truth):
    """The predictions of a run.  Raises ValueError unless their accuracy is that of the record."""
    record = runs.finished[seed]
    found = predicted(runs.results, record)
    if found.shape != truth.shape or not isclose(100 * np.mean(found == truth), record["final"]["accuracy"]):
        raise ValueError(f"{records.path(runs.results, record['run'])}: the predictions have another accuracy")
    return found


def _sides(ours, vanillas, truth):
    """How many test images are right or wrong with vanilla and with a method."""
    before, after = vanillas == truth, ours == truth
    return {
        "right to wrong": int(np.sum(before & ~after)),
        "wrong to right": int(np.sum(~before & after)),
        "wrong to another wrong class": int(np.sum(~before & ~after & (ours != vanillas))),
        "no change of class": int(np.sum(ours == vanillas)),
    }


def _more(ours, vanillas, truth, classes):
    """By how many right predictions each class has more than with vanilla."""
    more = (ours == truth).astype(int) - (vanillas == truth)
    return np.bincount(truth, more, len(classes)).astype(int)
