"""What figures draw beyond the records: arrays measured on trained networks, kept in one small file for each figure.

A drawing needs the weights of its runs and the images; the file that it leaves needs neither.  The committed ones are
under `results/drawings`.
"""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

from skdcore import records
from skdcore.data import load_run
from skdcore.state import load_arrays, readable, save_arrays
from skdcore.study.body import again
from skdcore.study.display import Tabs
from skdcore.study.experiments import MINIATURE, RESULTS, regime
from skdcore.study.links import run_page
from skdcore.sweep import sweep
from skdcore.train import Run, trained_network

SHARED = "dataset", "model", "epochs", "precision"  # by all runs of a drawing


@dataclass(eq=False)
class Drawing:
    """The `arrays` {(method, seed): {name: array}} of a figure; `about` holds what its runs share, and its settings.

    `weights` {method: {seed: fingerprint of the weights}} says which networks were measured.
    """

    about: dict
    weights: dict
    arrays: dict
    again: str = ""  # the command that makes its page, where a notebook drew it

    @property
    def title(self):
        """Of a panel or a caption."""
        epochs = self.about["epochs"]
        where = f"{self.about['dataset']}, {self.about['model']}, {epochs} epoch{'s' * (epochs != 1)}"
        return f"{where}, {self.about['precision']}"

    @property
    def label(self):
        """Of its tables; no two drawings of a figure share it."""
        return re.sub("[^a-z0-9]+", "-", self.title.lower())

    @property
    def pages(self):
        """{method: the address of its runs}."""
        return {
            method: run_page(self.about | {"method": method, "seed": min(self.weights[method])})
            for method in self.weights
        }

    @property
    def methods(self):
        """The methods, in the order in which they are drawn."""
        return list(self.weights)

    def values(self, name):
        """The number `name` of each run: {method: {seed: value}}."""
        return {
            method: {seed: float(self.arrays[method, seed][name]) for seed in seeds}
            for method, seeds in self.weights.items()
        }


def draw(figure, runs, root=None, results=RESULTS, scheduler=None):
    """The `Drawing` of a figure from its `runs`, of one data set and network, which are trained first if need be.

    `figure` is a module with its name, FIGURE, its SETTINGS and `measure(net, test, run)`, which gives the arrays of a
    run from its network in evaluation mode and the test split, on a CPU; the record's final metrics are added.  If
    <results>/drawings holds the figure of these very networks with these settings, nothing is measured.  Where records
    have no weights beside them, as in a fresh clone, their runs are trained again.
    Raises ValueError if a run failed.
    """
    found = sweep(runs, root=root, results=results, scheduler=scheduler)
    weights = {}
    for record in found:
        if record["state"] == "failed":
            raise ValueError(f"nothing to draw: {record['run']['method']} failed: {record['reason']}")
        weights.setdefault(record["run"]["method"], {})[record["run"]["seed"]] = record["provenance"].get("weights")
    about = {key: found[0]["run"][key] for key in SHARED} | {"settings": figure.SETTINGS}
    file = records.path(Path(results, "drawings"), found[0]["run"] | {"method": figure.FIGURE}).parent.with_suffix(
        ".npz"
    )
    if file.exists() and ((kept := read(file)).weights, kept.about) == (weights, about):
        return kept
    arrays = {}
    for run, record in zip(runs, found, strict=True):
        run = replace(run, precision=record["run"]["precision"])  # a GPU's records are bf16 where this CPU's are not
        net, weights[run.method][run.seed] = trained_network(run, "cpu", root, results, progress=False)
        _, test = load_run(run, root, "cpu")
        arrays[run.method, run.seed] = record["final"] | figure.measure(net, test, run)
    drawing = Drawing(about, weights, arrays)
    write(file, drawing)
    return drawing


def trained(figure, dataset, model, seeds, epochs, precision, root, results, scheduler):
    """The `Drawing` of a figure's own METHODS, on one data set and network.  Raises ValueError without a seed."""
    if not seeds:
        raise ValueError(f"seeds={seeds!r}: at least one")
    runs = [
        Run(dataset, model, method, seed, epochs, precision)
        for seed in dict.fromkeys(seeds)
        for method in figure.METHODS
    ]
    drawing = draw(figure, runs, root, results, scheduler)
    given = {"dataset": dataset, "model": model, "seeds": seeds, "epochs": epochs, "precision": precision, "root": root}
    drawing.again = again(figure.FIGURE, given)
    return drawing


def committed(figure, results=RESULTS):
    """The drawings of a figure that can decide something, under a results folder, in the order of their files."""
    there = [read(file) for file in sorted(Path(results, "drawings").glob(f"*/*/{figure.FIGURE}/*.npz"))]
    return [one for one in there if one.about["dataset"] != regime(MINIATURE).dataset]


def page(figure, drawn, after=""):
    """What drawings show in words and tables, a tab each, and a text after them."""
    absent = "" if drawn else "**Not yet run** on photographs.\n\n"
    return Tabs({one.title: figure.shown(one) for one in drawn}, (absent + after).strip())


def write(file, drawing):
    """Writes a drawing, compressed, whole or not at all."""
    arrays = {f"{method}/{seed}/{name}": a for (method, seed), own in drawing.arrays.items() for name, a in own.items()}
    about = json.dumps({"about": drawing.about, "weights": drawing.weights})
    save_arrays({"about": about} | arrays, file)


def read(file):
    """The `Drawing` in a file.  Raises `Damaged`, naming the file, if it is damaged."""
    arrays = load_arrays(file)
    with readable(file):
        header = json.loads(str(arrays.pop("about")))
        weights = {m: {int(seed): one for seed, one in seeds.items()} for m, seeds in header["weights"].items()}
        by_run = {(method, seed): {} for method, seeds in weights.items() for seed in seeds}
        for key, array in arrays.items():
            method, seed, name = key.rsplit("/", 2)
            by_run[method, int(seed)][name] = array
        return Drawing(header["about"], weights, by_run)
