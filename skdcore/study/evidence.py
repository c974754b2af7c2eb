"""What the runs of a regime, or of one notebook, say: a linear model a network, and an experiment's rows of it.

The model is over every row that ran with enough seeds, of all experiments, so that one gain has one interval wherever
it is shown.
"""

from dataclasses import dataclass
from functools import cached_property

import pandas

from skdcore.study import statistics
from skdcore.study.experiments import BASELINE, CONTROLS, MISSING, RESULTS, found, regimes
from skdcore.study.statistics import MIN_SEEDS, Model, bonferroni, fit, over, pairs, verdict

FEW = f"n < {MIN_SEEDS}"
FAILED = "failed"
PROPOSED = ("drg", "dsr", "drg+dsr")  # by the paper


@dataclass(frozen=True, eq=False)
class Evidence:
    """The finished runs of one network on one data set: `runs` {method: {seed: record}}, and their model or None.

    `failed`: the methods of which a run failed.  `networks` is how many networks have a model here; the intervals of
    all of them hold together.
    """

    where: str
    dataset: str
    network: str
    runs: dict
    failed: set
    model: Model | None
    networks: int

    @property
    def title(self):
        """Of a panel or a tab."""
        return f"{self.where}, {self.network}"

    @cached_property
    def accuracies(self):
        """{method: {seed: accuracy}}, in percent: of the final epoch, on the whole test split."""
        return _accuracies(self.runs)

    def intervals(self, contrasts):
        """`statistics.intervals` of a family of contrasts, at the level that a network needs."""
        return statistics.intervals(self.model, contrasts, bonferroni(self.networks))

    @cached_property
    def gains(self):
        """The family of all rows against vanilla: {method: Interval}, and its c; empty without a model of vanilla."""
        methods = [] if self.model is None or BASELINE not in self.model.estimates else list(self.model.estimates)
        methods = [method for method in methods if method != BASELINE]
        intervals, c = self.intervals([over(method, [BASELINE]) for method in methods]) if methods else ([], None)
        return dict(zip(methods, intervals, strict=True)), c

    def compare(self, experiment):
        """A row for each method of an experiment: n, mean and sd, the gain over vanilla and its verdict, the paper's.

        A gain has an interval, from `low` to `high`, if both rows are in the model.  Otherwise it is the difference
        to vanilla at their common seeds, and `baseline` is vanilla's mean there.  Without a run, `absent` says why.
        `paper` is the paper's accuracy on this network, `paper_gain` its gain on `paper_network`: this network or, if
        the paper has another, its first.
        """
        same = experiment.shows(self.dataset)  # perhaps fewer of its images
        network = self.network if self.network in experiment.models else experiment.models[0]
        rows = []
        for method, printed in experiment.rows.items():
            accuracies = pandas.Series(self.accuracies.get(method, {}), dtype=float)
            row = {"method": method, "n": len(accuracies), "mean": accuracies.mean(), "sd": accuracies.std()}
            row |= {"absent": FAILED if method in self.failed else MISSING}
            row |= {"residual": self.model.sds.get(method) if self.model else None} | self._gain(method)
            row |= {"paper": printed.get(self.network) if self.dataset == experiment.dataset else None}
            row |= {"paper_gain": experiment.printed_gain(method, network) if same else None}
            rows.append(row | {"paper_network": network})
        numbers = ("residual", "gain", "low", "high", "baseline", "paper", "paper_gain")
        return pandas.DataFrame(rows).astype(dict.fromkeys(numbers, float))

    def _gain(self, method):
        row = {"gain": None, "low": None, "high": None, "baseline": None, "verdict": ""}
        if method in self.gains[0]:
            gain, low, high = self.gains[0][method]
            return row | {"gain": gain, "low": low, "high": high, "verdict": verdict(low, high)}
        some = pairs(self.accuracies.get(method, {}), self.accuracies.get(BASELINE, {}))
        if method == BASELINE or not some.n:
            return row
        return row | {"gain": some.difference, "baseline": some.baseline, "verdict": FEW}


def gather(records, where):
    """The `Evidence` of records, a network on a data set each, in the order of the records.

    ValueError for records that differ in more than their method and seed: they cannot stand in one table.
    """
    settings, runs, failed = {}, {}, {}
    for record in records:
        run = record["run"]
        place = run["dataset"], run["model"]
        same = {key: value for key, value in run.items() if key not in ("method", "seed")}
        if settings.setdefault(place, same) != same:
            raise ValueError(f"records of different settings cannot stand in one table: {same}, {settings[place]}")
        if record["state"] == "finished":
            runs.setdefault(place, {}).setdefault(run["method"], {})[run["seed"]] = record
        else:
            failed.setdefault(place, set()).add(run["method"])
    models = {place: fit(_accuracies(runs.get(place, {}))) for place in settings}
    networks = sum(model is not None for model in models.values())
    return [
        Evidence(where, *place, runs.get(place, {}), failed.get(place, set()), models[place], networks)
        for place in settings
    ]


def of_regime(regime, results=RESULTS):
    """The `Evidence` of a regime, in which the models are over the rows of all its experiments."""
    return gather(found(regime, results=results), f"regime {regime.id}")


def on(experiment, regime, results=RESULTS):
    """The `Evidence` of a regime where a row of an experiment ran on its images and networks, beyond vanilla and ls."""
    dataset, networks = regime.dataset or experiment.dataset, regime.models or experiment.models
    rows = experiment.rows.keys() - CONTROLS
    return [
        one
        for one in of_regime(regime, results)
        if one.dataset == dataset and one.network in networks and rows & one.runs.keys()
    ]


def nearest(experiment, results=RESULTS):
    """The regime nearest to the paper's where a method of the paper has a verdict, and the `Evidence` there.

    (None, []) if there is none.
    """
    for regime in reversed(regimes().values()):
        if regime.serves(experiment):
            judged = [one for one in on(experiment, regime, results) if one.gains[0].keys() & set(PROPOSED)]
            if judged:
                return regime, judged
    return None, []


def _accuracies(runs):
    return {
        method: {seed: record["final"]["accuracy"] for seed, record in by_seed.items()}
        for method, by_seed in runs.items()
    }
