"""The queue: which runs of which regime come first, which are complete, and how long the others will take."""

from math import nan
from statistics import median

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
    changed = {key: value for key, value in changed.items() if value is not None}
    Run(**{"dataset": Experiment.dataset, "model": "resnet18", "method": BASELINE} | changed)  # not study.yml's fault
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
        raise ValueError(
            f"no round of study.yml trains {' or '.join(names)}"
            + (f" in round {' or '.join(rounds)}" if rounds else "")
        )
    return chosen


def _runs(of, values, changed):
    """The runs of a round in one regime, seed by seed, so that what is complete is complete rows of a table."""
    plain = changed.get("dataset", of.dataset or Experiment.dataset)
    rows = [(of.place(one)[0], row) for one in map(experiment, values.get("rows_of", [])) for row in one.rows]
    rows += [(plain, canonical(method)) for method in values.get("methods", [])]
    if not (networks := values.get("models", of.models)):
        raise ValueError(f"the regime {of.id} has no networks of its own; give models")
    usual, precision = changed.get("epochs", of.epochs), changed.get("precision", of.precision)
    for seed in values.get("seeds", of.seeds):
        for network in networks:
            for dataset, method in rows:
                yield Run(changed.get("dataset", dataset), network, method, seed, usual, precision)
            for method in map(canonical, values.get("at_cost_of", [])):
                epochs = bought(usual, network, method)
                for longer in LONGER:
                    yield Run(plain, network, longer, seed, epochs, precision)


def plan(chosen, results, device="cpu", machine=None):
    """A pandas row for each run, {run: its round}: the round, whether it is complete, and the minutes that it needs.

    Minutes come from records of the same data set and network, of any method, each divided by what its method costs;
    of a method whose cost study.yml lacks, from its own.  They are NaN where there is no such record, or none made on
    `machine`, if one is given (`machine.hardware`).  `device` decides the precision of a run that leaves it open.
    """
    settings = {run: run.settings(device) for run in chosen}
    found = {run: records.find(results, settings[run]) for run in chosen}
    pace = _pace(filter(None, found.values()), machine)
    untimed = [one for run, one in settings.items() if not found[run] and _work(one)[0] not in pace]
    for networks in {records.path(results, one).parents[2] for one in untimed}:
        pace = _pace(records.under(networks), machine) | pace
    rows = []
    for run, name in chosen.items():
        about = {key: settings[run][key] for key in ("dataset", "model", "method", "epochs", "seed")}
        kind, epochs = _work(settings[run])
        minutes = 0.0 if found[run] else epochs * pace.get(kind, nan)
        rows.append({"round": name} | about | {"complete": found[run] is not None, "minutes": minutes})
    return pandas.DataFrame(rows)


def _work(run):
    """What sets the time of a run, and how much there is of it: epochs of vanilla, or of a method without a cost."""
    place = run["dataset"], run["model"]
    try:
        return place, run["epochs"] * cost(run["model"], run["method"])
    except (ValueError, FileNotFoundError):  # no such cost, or no study.yml
        return (*place, run["method"]), run["epochs"]


def _pace(there, machine):
    """{what sets the time: minutes an epoch}, the median of the finished records made on a machine, None: on any."""
    minutes = {}
    for record in there:
        if record["state"] == "finished" and machine in (None, record["provenance"]["device"]):
            kind, epochs = _work(record["run"])
            minutes.setdefault(kind, []).append(record["cost"]["seconds"] / 60 / epochs)
    return {kind: median(values) for kind, values in minutes.items()}


def shown(table, workers):
    """A plan as text, summed up below as `summary` does."""
    return f"{table.round(1).to_string(index=False)}\n{summary(table, workers)}"


def summary(table, workers):
    """How much of a plan is complete and how long the rest takes with some workers, in a line; None: of one worker."""
    left = table[~table["complete"]]
    if left.empty:
        return f"All {len(table)} runs are complete"
    timed = left["minutes"].dropna()
    parts = [f"{len(table) - len(left)} of {len(table)} runs are complete"]
    if len(timed):
        hours = f"{timed.sum() / 60 / (workers or 1):.1f} hours{'' if workers else ' of one worker'}"
        parts.append(f"{len(timed)} more take about {hours}")
    if unknown := len(left) - len(timed):
        parts.append(f"{unknown} more take a time that is not known yet")
    return "; ".join(parts)
