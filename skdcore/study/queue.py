"""The queue: which runs of which regime come first, which are complete, and how long the others will take."""

import pandas

from skdcore import records
from skdcore.errors import unknown
from skdcore.methods import canonical
from skdcore.study.definition import at, study
from skdcore.study.equal_cost import LONGER, bought, cost
from skdcore.study.experiments import BASELINE, experiment, regime
from skdcore.train import Run


def queue(names, rounds=None, **changed):
    """The runs of some regimes in the order of study.yml, most valuable first, each once: {run: its round}.

    `rounds`: of these rounds alone.  `changed`: dataset, epochs or precision in place of the regime's.
    Raises ValueError for an unknown regime or round, naming the near ones, and for a cost that no benchmark has.
    """
    for name in names:
        regime(name)
    entries = study()["queue"]
    for name in rounds or []:
        if name not in (known := [values["round"] for values in entries]):
            raise unknown("round", name, known)
    chosen = {}
    for values in entries:
        if rounds and values["round"] not in rounds:
            continue
        with at("queue", values["round"]):
            for name in values["regimes"]:
                if name in names:
                    for run in _runs(regime(name), values, changed):
                        chosen.setdefault(run, values["round"])
    return chosen


def _runs(of, values, changed):
    """The runs of a round in one regime, seed by seed, so that what is complete is complete rows of a table."""
    methods = [row for name in values.get("rows_of", []) for row in experiment(name).rows]
    methods += map(canonical, values.get("methods", []))
    dataset = changed.get("dataset") or of.dataset or "cifar100"
    precision = changed.get("precision") or of.precision
    for seed in values.get("seeds", of.seeds):
        for network in values.get("models", of.models):
            for method in methods:
                yield Run(dataset, network, method, seed, changed.get("epochs") or of.epochs, precision)
            for method in map(canonical, values.get("at_cost_of", [])):
                epochs = bought(changed.get("epochs") or of.epochs, network, method)
                for longer in LONGER:
                    yield Run(dataset, network, longer, seed, epochs, precision)


def plan(chosen, results):
    """A pandas row for each run of the queue: its round, whether it is complete, and the minutes that it needs.

    Minutes come from records of the same data set and network: of the same method or, times its cost, of vanilla.  They
    are NaN where there is no such record.
    """
    pace = {}
    for record in records.under(results):
        if record["state"] == "finished":
            run = record["run"]
            key = run["dataset"], run["model"], run["method"]
            pace.setdefault(key, []).append(record["cost"]["seconds"] / run["epochs"] / 60)
    rows = []
    for run, name in chosen.items():
        complete = records.find(results, run.settings()) is not None
        minutes = 0.0 if complete else _minutes(run, pace)
        rows.append(
            {"round": name} | {key: getattr(run, key) for key in ("dataset", "model", "method", "epochs", "seed")}
        )
        rows[-1] |= {"complete": complete, "minutes": minutes}
    return pandas.DataFrame(rows)


def _minutes(run, pace):
    own, plain = (pace.get((run.dataset, run.model, method)) for method in (run.method, BASELINE))
    if own:
        return run.epochs * pandas.Series(own).median()
    try:
        return run.epochs * pandas.Series(plain, dtype=float).median() * cost(run.model, run.method)
    except ValueError:  # no benchmark has it
        return float("nan")


def summary(table, workers=1):
    """How much of a plan is complete and how long the rest takes, in a line."""
    left = table[~table["complete"]]
    text = f"{len(table) - len(left)} of {len(table)} runs are complete"
    if left.empty:
        return f"All {len(table)} runs are complete"
    known = left["minutes"].dropna()
    more = f" and {len(left) - len(known)} of unknown length" if len(known) < len(left) else ""
    return f"{text}; {len(known)} take about {known.sum() / 60 / workers:.1f} hours{more}"
