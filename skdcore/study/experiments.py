"""The experiments of study.yml: their cells, the comparison with vanilla, and the tables of the book.

A page shows nothing that no record holds: a cell without a record reads "not yet run".
"""

from dataclasses import dataclass
from pathlib import Path

import pandas
import yaml

from skdcore import records
from skdcore.errors import unknown
from skdcore.methods import canonical
from skdcore.sweep import sweep
from skdcore.train import Run

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "results"  # the committed records
NOISE = "within noise"
FEW = "n < 3"
MISSING = "not yet run"
OTHER_PARTS = {"scales", "queue", "claims"}  # of study.yml: all else in it is an experiment


@dataclass(frozen=True)
class Experiment:
    """A table or figure of the paper: `rows` {method: {model: the paper's value in percent}}.

    `seconds` {method: the paper's seconds a step}, where it prints them.
    """

    name: str
    paper: str
    title: str
    columns: list
    rows: dict
    seconds: dict
    dataset: str = "cifar100"

    def cells(self, dataset, models, seeds, epochs=None, precision=None):
        """Its runs, seed by seed, so that an interrupted sweep leaves whole tables."""
        return [
            Run(dataset, model, method, seed, epochs, precision)
            for seed in seeds
            for model in models
            for method in self.rows
        ]

    def run(self, *, root, results, scheduler=None, **cells):
        """Trains the cells without a record and returns the records of all."""
        return sweep(self.cells(**cells), root=root, results=results, scheduler=scheduler)

    def by_cell(self, found, models):
        """The finished records of a few models as {(model, method): {seed: record}}, a key for each cell.

        Only records that differ in nothing but method, model and seed may be compared; ValueError otherwise.
        """
        found = [r for r in found if r["state"] == "finished" and r["run"]["model"] in models]
        free = ("method", "model", "seed")
        if len({str({k: v for k, v in r["run"].items() if k not in free}) for r in found}) > 1:
            raise ValueError("records of different settings cannot stand in one table")
        ours = {(model, method): {} for model in models for method in self.rows}  # then {seed: record}
        for r in found:
            ours[r["run"]["model"], r["run"]["method"]][r["run"]["seed"]] = r
        return ours

    def printed_gain(self, method, model):
        """The gain over vanilla that the paper prints for a model, in percentage points, or None."""
        ours, vanilla = (self.rows[row].get(model) for row in (method, "vanilla"))
        return None if ours is None or vanilla is None else ours - vanilla

    def compare(self, found, models):
        """A row for each model and method: the paper's value, ours (n, mean, sd) and the gain over vanilla.

        Accuracies are in percent, of the final epoch on the whole test part; gains in percentage points,
        paired by seed, with a 95 % t interval where there are at least 3 pairs.  `paper_gain` is the paper's gain on
        the network `paper_model`: the model, or the paper's first where it has not this one; on its data set only.
        ValueError as in `by_cell`.
        """
        ours = self.by_cell(found, models)
        same_data = all(record["run"]["dataset"] == self.dataset for record in found)
        rows = []
        for (model, method), by_seed in ours.items():
            accuracies = pandas.Series(accuracy(by_seed), dtype=float)
            paper_model = model if model in self.columns else self.columns[0]
            paper_gain = self.printed_gain(method, paper_model) if same_data else None
            row = {"model": model, "method": method, "paper": self.rows[method].get(model)}
            row |= {"paper_model": paper_model, "paper_gain": paper_gain}
            row |= {"n": len(by_seed), "mean": accuracies.mean(), "sd": accuracies.std()}
            vanilla = {} if method == "vanilla" else ours.get((model, "vanilla"), {})
            rows.append(row | paired(accuracy(by_seed), accuracy(vanilla)))
        return pandas.DataFrame(rows)


def paired(ours, other):
    """Mean difference of two {seed: accuracy} over common seeds, its 95 % t interval, and a verdict."""
    seeds = sorted(ours.keys() & other.keys())
    a, b = ([by_seed[seed] for seed in seeds] for by_seed in (ours, other))
    row = {"pairs": len(seeds), "gain": None, "low": None, "high": None, "verdict": ""}
    if seeds:
        row |= {"gain": sum(a) / len(a) - sum(b) / len(b), "verdict": FEW}
    if len(seeds) >= 3:
        from scipy import stats  # a training machine may lack it

        low, high = stats.ttest_rel(a, b).confidence_interval(0.95)
        verdict = "better" if low > 0 else "worse" if high < 0 else NOISE
        row |= {"low": float(low), "high": float(high), "verdict": verdict}
    return row


def accuracy(by_seed):
    """The accuracies, in percent, of a {seed: record}."""
    return {seed: record["final"]["accuracy"] for seed, record in by_seed.items()}


def _study():
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in Python takes 0.1 s
    return yaml.load((ROOT / "study.yml").read_text(), loader)


def experiment(name):
    """The experiment `name` of study.yml.  Raises ValueError for an unknown name."""
    study = _study()
    if name not in study.keys() - OTHER_PARTS:
        raise unknown("experiment", name, study.keys() - OTHER_PARTS)
    entry = study[name]
    rows = {
        canonical(method): dict(zip(entry["columns"], values, strict=True)) if values else {}
        for method, values in entry["rows"].items()
    }
    seconds = {canonical(method): value for method, value in entry.get("seconds", {}).items()}
    return Experiment(
        name, entry["paper"], entry["title"], entry["columns"], rows, seconds, entry.get("dataset", "cifar100")
    )


def queue(dataset="cifar100", epochs=None, precision=None):
    """The cells of the paper's scale, most valuable first: `queue` of study.yml, each cell once."""
    cells = []
    for entry in _study()["queue"]:
        rows = [row for name in entry.get("rows_of", []) for row in experiment(name).rows]
        for seed in entry["seeds"]:
            for model in entry["models"]:
                cells += [Run(dataset, model, row, seed, epochs, precision) for row in entry.get("methods", rows)]
    return list(dict.fromkeys(cells))


def claims():
    """The paper's claims as they stand in study.yml; skdcore/claims.py reads them."""
    return _study()["claims"]


def scale(name):
    """The scale `name` (miniature, small or paper) of study.yml: the keywords of `Experiment.cells`, and its text."""
    scales = _study()["scales"]
    if name not in scales:
        raise unknown("scale", name, scales)
    return scales[name]


def at_scale(table, name, results=RESULTS):
    """The records there are of an experiment at a scale, and its models."""
    chosen = scale(name)
    dataset, models = chosen.get("dataset", table.dataset), chosen.get("models", table.columns)
    cells = table.cells(dataset, models, chosen["seeds"], chosen["epochs"], chosen["precision"])
    found = (records.find(results, cell.settings()) for cell in cells)
    return [record for record in found if record], models
