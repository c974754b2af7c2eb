"""What the runs of a regime, or of one notebook, say: one linear model per network, and an experiment's rows of it.

The model is over every row that ran with enough seeds, of all experiments, so that one gain has one interval wherever
it is shown.
"""

from dataclasses import dataclass, field
from functools import cached_property
from math import nan

import pandas

from skdcore.study import statistics
from skdcore.study.equal_cost import longer, row
from skdcore.study.experiments import (
    BASELINE,
    CONTROLS,
    MISSING,
    RESULTS,
    deciding,
    every_run,
    experiments,
    recorded,
    serving,
)
from skdcore.study.statistics import MIN_SEEDS, UNDECIDED, bonferroni, fit, over, pairs, verdict

FEW = f"n < {MIN_SEEDS}"
UNEQUAL = "unequal spread"
FAILED = "failed"
PROPOSED = ("drg", "dsr", "drg+dsr")  # by the paper


@dataclass(eq=False)
class Evidence:
    """The finished runs of one network on one data set: `runs` {method: {seed: record}}.

    A row that was trained for other than the usual epochs has its epochs in its name, and is in `longer` too.
    `failed`: the methods of which a run failed.  `networks` is how many networks have a model here; the intervals of
    all of them are simultaneous.
    """

    where: str
    dataset: str
    network: str
    runs: dict = field(default_factory=dict)
    longer: set = field(default_factory=set)
    failed: set = field(default_factory=set)
    networks: int = 1

    @property
    def title(self):
        """Of a panel or a caption."""
        return f"{self.where}, {self.network}"

    @cached_property
    def accuracies(self):
        """{method: {seed: accuracy}}, in percent: of the final epoch, on the whole test split."""
        return {
            method: {seed: record["final"]["accuracy"] for seed, record in by_seed.items()}
            for method, by_seed in self.runs.items()
        }

    @cached_property
    def model(self):
        """The linear model of its rows, or None."""
        return fit(self.accuracies)

    def intervals(self, contrasts):
        """`statistics.intervals` of a family of contrasts, at the level that each network needs."""
        return statistics.intervals(self.model, contrasts, bonferroni(max(1, self.networks)))

    @property
    def over_vanilla(self):
        """The contrast of each row with vanilla, {method: contrast}; empty without a model of vanilla."""
        rows = self.model.estimates if self.model and BASELINE in self.model.estimates else ()
        return {method: over(method, [BASELINE]) for method in rows if method not in {BASELINE, *self.longer}}

    @cached_property
    def gains(self):
        """The family of all rows against vanilla: {method: Interval}, and its c."""
        return self.intervals(self.over_vanilla)

    @cached_property
    def unequal(self):
        """The rows whose spread stands out: what the model says of their intervals is not to be relied on."""
        return set(statistics.unequal(self.model) if self.model else ())

    def judged(self, interval, few, *methods):
        """`judged` of a difference between methods; UNEQUAL in place of a verdict that rests on an unequal spread."""
        found = judged(interval, few)
        decided = interval and found["verdict"] != UNDECIDED
        return found | ({"verdict": UNEQUAL} if decided and self.unequal & set(methods) else {})

    def compare(self, experiment):
        """A row for each method of an experiment: n, mean and sd, the gain over vanilla and its verdict, the paper's.

        A gain has an interval, from `low` to `high`, if both rows are in the model.  Otherwise it is the difference
        to vanilla at their common seeds, and `baseline` is vanilla's mean there.  Without a run, `absent` says why.
        `paper` is the paper's accuracy on this network, `paper_gain` its gain on `paper_network`: this network or, if
        the paper has another, its first.
        """
        gains, accuracies = self.gains[0], self.accuracies
        network = self.network if self.network in experiment.models else experiment.models[0]
        rows = []
        for method, printed in experiment.rows.items():
            ours = pandas.Series(accuracies.get(method, {}), dtype=float)
            rivals = {} if method == BASELINE else accuracies.get(BASELINE, {})
            values = {"method": method, "n": len(ours), "mean": ours.mean(), "sd": ours.std(), "paper_network": network}
            values |= {"absent": FAILED if method in self.failed else MISSING}
            values |= {"residual": self.model.sds.get(method) if self.model else None}
            values |= {"paper": printed.get(self.network) if self.dataset == experiment.dataset else None}
            values |= {
                "paper_gain": experiment.printed_gain(method, network) if experiment.shows(self.dataset) else None
            }
            rows.append(values | self.judged(gains.get(method), pairs(dict(ours), rivals), method, BASELINE))
        return pandas.DataFrame(rows).astype(dict.fromkeys(("residual", "paper", "paper_gain"), float))


def judged(interval, few):
    """The columns of a difference: with its `Interval`, or without one the `Pairs` of few seeds."""
    if interval:
        gain, low, high = interval
        return {"gain": gain, "low": low, "high": high, "baseline": nan, "verdict": verdict(low, high)}
    without = {"gain": few.difference, "low": nan, "high": nan, "baseline": few.baseline}
    return without | {"verdict": FEW if few.n else ""}


def gather(chosen, where, epochs=None):
    """The `Evidence` of `chosen` records, for each network on a data set, in the order of the records.

    `epochs` are the usual ones, where some runs are longer.  Raises ValueError for records of a network that differ in
    more than method and seed (and then epochs).
    """
    found, settings = {}, {}
    for record in chosen:
        run = record["run"]
        pair = run["dataset"], run["model"]
        one = found.setdefault(pair, Evidence(where, *pair))
        same = {key: value for key, value in run.items() if key not in ("method", "seed")}
        name = row(run["method"], run["epochs"], usual := epochs or run["epochs"])
        if run["epochs"] != usual:
            same["epochs"] = usual
            one.longer.add(name)
        if settings.setdefault(pair, same) != same:
            raise ValueError(f"records of other settings cannot stand in one table: {same} and {settings[pair]}")
        if record["state"] == "finished":
            one.runs.setdefault(name, {})[run["seed"]] = record
        else:
            one.failed.add(name)
    networks = sum(one.model is not None for one in found.values())
    for one in found.values():
        one.networks = networks
    return list(found.values())


def of_regime(regime, results=RESULTS):
    """The `Evidence` of a regime: the rows of all its experiments, and vanilla and ls at their costs."""
    runs = every_run(regime)
    return gather(recorded([*runs, *longer(runs)], results), f"regime {regime.id}", regime.epochs)


def everywhere(results=RESULTS):
    """{id of a regime: its `Evidence`} of the regimes that can decide something."""
    return {regime.id: of_regime(regime, results) for regime in deciding()}


def on(experiment, regime, results=RESULTS):
    """The `Evidence` of a regime where an experiment's own rows ran, on its images and networks.

    Its own are those that Table I lacks or, where it lacks none, those beyond vanilla and ls.  An experiment with
    regimes of its own has all rows for itself.
    """
    dataset, networks = regime.dataset or experiment.dataset, regime.models or experiment.models
    rows = experiment.rows.keys()
    if not experiment.regimes:
        rows = rows - experiments()["table_1"].rows.keys() or rows - CONTROLS
    return [
        one
        for one in of_regime(regime, results)
        if one.dataset == dataset and one.network in networks and rows & one.runs.keys()
    ]


def nearest(experiment, results=RESULTS):
    """The regime nearest to the paper's where a method of the paper has a verdict, and the `Evidence` there.

    (None, []) if there is none.
    """
    for regime in serving(experiment):
        there = [one for one in on(experiment, regime, results) if one.gains[0].keys() & set(PROPOSED)]
        if there:
            return regime, there
    return None, []
