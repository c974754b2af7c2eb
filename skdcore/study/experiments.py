"""The regimes and experiments of study.yml, their runs, and the records that there are of them.

A page shows nothing that no record holds: what has no record is "not yet run".
"""

import warnings
from dataclasses import dataclass, field

from skdcore import records
from skdcore.data import entry
from skdcore.methods import canonical
from skdcore.models import MODELS
from skdcore.study.definition import ROOT, at, known, study
from skdcore.train import Run

RESULTS = ROOT / "results"  # the committed records
MISSING = "not yet run"
BASELINE = "vanilla"
CONTROLS = {BASELINE, "ls"}  # rows of every experiment
MINIATURE, PAPER = "miniature", "paper"  # the regimes that a reader trains, and that the paper is about


@dataclass(frozen=True)
class Experiment:
    """A table or figure: `rows` {method: {network: the accuracy in percent that the paper prints}}.

    `paper` is its name in the paper, `seconds` {method: the paper's seconds a step}, where there are any.
    `regimes` are the names of those that it belongs to; without any, it belongs to all that have its images.
    """

    name: str
    title: str
    models: list
    rows: dict
    paper: str = ""
    dataset: str = "cifar100"
    seconds: dict = field(default_factory=dict)
    regimes: list = field(default_factory=list)

    def runs(self, dataset, models, seeds, epochs=None, precision=None):
        """Its runs, seed by seed, so that an interrupted sweep leaves whole tables."""
        return [
            Run(dataset, model, method, seed, epochs, precision)
            for seed in seeds
            for model in models
            for method in self.rows
        ]

    def printed_gain(self, method, network):
        """The gain over vanilla that the paper prints for a network, in percentage points, or None."""
        ours, vanilla = (self.rows[row].get(network) for row in (method, BASELINE))
        return None if method == BASELINE or ours is None or vanilla is None else ours - vanilla

    def shows(self, dataset):
        """Whether the images of a data set are this experiment's: those of "cifar100(n=50)" are cifar100's."""
        return dataset.partition("(")[0] == self.dataset


@dataclass(frozen=True)
class Regime:
    """Where methods are compared.  Without `dataset` and `models`, each experiment has its own."""

    id: str
    text: str
    epochs: int
    precision: str
    seeds: list
    dataset: str | None = None
    models: list | None = None

    def place(self, experiment):
        """The data set and the networks on which an experiment runs in this regime."""
        return self.dataset or experiment.dataset, self.models or experiment.models

    def runs(self, experiment):
        """The runs of an experiment in this regime."""
        return experiment.runs(*self.place(experiment), self.seeds, self.epochs, self.precision)

    def serves(self, experiment):
        """Whether the experiment belongs to it: it names this regime or, without naming any, has its images."""
        if experiment.regimes:
            return self.id in experiment.regimes
        return experiment.shows(self.place(experiment)[0])


def experiments():
    """{name: Experiment} of study.yml.  Raises ValueError for a name in it that is not known."""
    return {name: _experiment(name, values) for name, values in study()["experiments"].items()}


def experiment(name):
    """The experiment `name` of study.yml.  Raises ValueError for an unknown name."""
    known("experiment", [name], every := experiments())
    return every[name]


def regimes():
    """{id: Regime} of study.yml, in its order.  Raises ValueError for a name in it that is not known."""
    return {name: _regime(name, values) for name, values in study()["regimes"].items()}


def nearest_first():
    """All regimes, from the paper's own to the farthest from it, the miniature."""
    return [*reversed(regimes().values())]


def deciding():
    """The regimes that can decide something, nearest first: the miniature's characters say nothing of photographs."""
    return [one for one in nearest_first() if one.id != MINIATURE]


def serving(experiment):
    """The regimes that an experiment belongs to, nearest first."""
    return [one for one in nearest_first() if one.serves(experiment)]


def regime(name):
    """The regime `name` of study.yml.  Raises ValueError for an unknown name."""
    known("regime", [name], every := regimes())
    return every[name]


def every_run(chosen):
    """The runs of all experiments in a regime, each once."""
    return list(dict.fromkeys(run for one in experiments().values() for run in chosen.runs(one)))


def recorded(runs, results=RESULTS):
    """The records that there are of some runs.  One that cannot be used is left out, with a warning.

    Raises FileNotFoundError for a folder that is not there.
    """
    there, results = [], records.folder(results)
    for run in runs:
        try:
            there.append(records.find(results, run.settings()))
        except ValueError as error:
            warnings.warn(f"not counted: {error}", stacklevel=2)
    return [record for record in there if record]


def _experiment(name, values):
    with at("experiments", name):
        known("network", values["models"], MODELS)
        entry(values.get("dataset", Experiment.dataset))
        rows = {canonical(method): printed for method, printed in values["rows"].items()}
        if BASELINE not in rows or len(rows) < len(values["rows"]):
            raise ValueError(f"the rows must differ, and {BASELINE} must be one of them")
        for method, printed in rows.items():
            known(f"network of the row {method}", printed, values["models"])
        seconds = {canonical(method): value for method, value in values.get("seconds", {}).items()}
        known("row", seconds, rows)
        known("regime", values.get("regimes", []), study()["regimes"])
        return Experiment(**values | {"name": name, "rows": rows, "seconds": seconds})


def _regime(name, values):
    with at("regimes", name):
        known("network", values.get("models", []), MODELS)
        dataset = values.get("dataset")
        return Regime(**values | {"id": name, "dataset": dataset and entry(dataset).name})
