"""The queue: which runs of which regime come first, which are complete, and how long the others will take."""

import pandas

from skdcore import records
from skdcore.methods import canonical
from skdcore.study.definition import at, known, study
from skdcore.study.equal_cost import LONGER, bought, cost
from skdcore.study.experiments import BASELINE, Experiment, experiment, regime, regimes
from skdcore.train import Run


def queue(names, rounds=None, **changed):
    """The runs of some regimes in the order of study.yml, most valuable first, each once: {run: its round}.

    `rounds`: of these rounds alone.  `changed`: dataset, epochs or precision in place of the regime's.
    Raises ValueError for an unknown regime or round, naming the near ones, and for a cost that no benchmark has.
    """
    for name in names:
        regime(name)
    entries = study()["queue"]
    known("round", rounds or [], [values["round"] for values in entries])
    chosen = {}
    for values in entries:
        if rounds and values["round"] not in rounds:
            continue
        with at("queue", values["round"]):
            known("regime", values["regimes"], regimes())
            for name in values["regimes"]:
                if name in names:
                    for run in _runs(regime(name), values, changed):
                        chosen.setdefault(run, values["round"])
    if not chosen:
        raise ValueError(f"no round of study.yml trains {' or '.join(names)}" + (f" in {rounds}" if rounds else ""))
    return chosen


def _runs(of, values, changed):
    """The runs of a round in one regime, seed by seed, so that what is complete is complete rows of a table."""
    plain = of.dataset or Experiment.dataset
    rows = [(of.dataset or one.dataset, row) for one in map(experiment, values.get("rows_of", [])) for row in one.rows]
    rows += [(plain, canonical(method)) for method in values.get("methods", [])]
    usual, precision = changed.get("epochs") or of.epochs, changed.get("precision") or of.precision
    for seed in values.get("seeds", of.seeds):
        for network in values.get("models", of.models):
            for dataset, method in rows:
                yield Run(changed.get("dataset") or dataset, network, method, seed, usual, precision)
            for method in map(canonical, values.get("at_cost_of", [])):
                epochs = bought(usual, network, method)
                for longer in LONGER:
                    yield Run(changed.get("dataset") or plain, network, longer, seed, epochs, precision)


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
    if left.empty:
        return f"All {len(table)} runs are complete"
    timed = left["minutes"].dropna()
    parts = [f"{len(table) - len(left)} of {len(table)} runs are complete"]
    if len(timed):
        parts.append(f"{len(timed)} more take about {timed.sum() / 60 / workers:.1f} hours")
    if unknown := len(left) - len(timed):
        parts.append(f"{unknown} more take a time that is not known yet")
    return "; ".join(parts)
