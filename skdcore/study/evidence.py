"""What the runs of a regime, or of one notebook, say: one linear model per network, and an experiment's rows of it.

The model is over every row that ran with enough seeds, of all experiments, so that one gain has one interval wherever
it is shown.
"""

from dataclasses import dataclass, field
from functools import cached_property

import pandas

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
from skdcore.study.rows import NO_DIFFERENCE, Rows
from skdcore.study.statistics import bonferroni, over, verdict

FAILED = "failed"
PROPOSED = ("drg", "dsr", "drg+dsr")  # by the paper


@dataclass(eq=False)
class Evidence(Rows):
    """The finished runs of one network on one data set: `runs` {method: {seed: record}}, and the rows of accuracy.

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
    word = staticmethod(verdict)

    @property
    def title(self):
        """Of a panel or a caption."""
        return f"{self.where}, {self.network}"

    @property
    def level(self):
        """That of each network, so that the intervals of all of them hold."""
        return bonferroni(max(1, self.networks))

    @cached_property
    def values(self):
        """{method: {seed: accuracy}}, in percent: of the final epoch, on the whole test split."""
        return self.finals("accuracy")

    def finals(self, metric):
        """{method: {seed: a final metric}} of the runs that hold it."""
        return {
            method: {seed: one["final"][metric] for seed, one in by_seed.items() if metric in one["final"]}
            for method, by_seed in self.runs.items()
        }

    @cached_property
    def gained(self):
        """The methods that have an interval over vanilla: those of the model that ran for the usual epochs."""
        rows = self.model.estimates if self.have(BASELINE) else ()
        return [method for method in rows if method not in {BASELINE, *self.longer}]

    @cached_property
    def gains(self):
        """The family of all rows against vanilla: {method: Interval}, and its c."""
        return self.intervals({method: over(method, [BASELINE]) for method in self.gained})

    def gain(self, method):
        """The `difference` of a method from vanilla, in that family."""
        return self.difference(method, BASELINE, self.gains[0].get(method))

    def compare(self, experiment):
        """A row for each method of an experiment: n, mean and sd, the gain over vanilla and its verdict, the paper's.

        A gain has an interval, from `low` to `high`, if both rows are in the model.  Otherwise it is the difference
        to vanilla at their common seeds, and `baseline` is vanilla's mean there.  Without a run, `absent` says why.
        `paper` is the paper's accuracy on this network, `paper_gain` its gain on `paper_network`: this network or, if
        the paper has another, its first.
        """
        network = self.network if self.network in experiment.models else experiment.models[0]
        rows = []
        for method, printed in experiment.rows.items():
            ours = pandas.Series(self.values.get(method, {}), dtype=float)
            values = {"method": method, "n": len(ours), "mean": ours.mean(), "sd": ours.std(), "paper_network": network}
            values |= {"absent": FAILED if method in self.failed else MISSING}
            values |= {"residual": self.model.sds.get(method) if self.model else None}
            values |= {"paper": printed.get(self.network) if self.dataset == experiment.dataset else None}
            values |= {
                "paper_gain": experiment.printed_gain(method, network) if experiment.shows(self.dataset) else None
            }
            rows.append((NO_DIFFERENCE if method == BASELINE else self.gain(method)) | values)
        return pandas.DataFrame(rows).astype(dict.fromkeys(("residual", "paper", "paper_gain"), float))


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
    dataset, networks = regime.place(experiment)
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
