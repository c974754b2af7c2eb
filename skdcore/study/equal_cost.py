"""Comparisons at equal cost: plain training for the epochs that a costlier method's cost buys.

A cost is a step's seconds over vanilla's, from the committed benchmark of the network.
"""

from contextlib import suppress
from dataclasses import replace

from skdcore import bench
from skdcore.errors import unknown
from skdcore.study.experiments import RESULTS

THRESHOLD = 1.05  # up to here equal epochs are equal cost
LONGER = ("vanilla", "ls")  # what the cost of a method is spent on instead


def cost(network, method, results=RESULTS):
    """A step of a method over one of vanilla's, on a network.  Raises ValueError if no committed benchmark has it."""
    kept = bench.kept(results, network)
    if not kept:
        raise ValueError(f"no benchmark of {network} in {results}/bench; see `python -m skdcore bench --help`")
    steps = max(kept, key=lambda record: record["provenance"]["ended"])["steps"]
    if method not in steps:
        raise unknown(f"method in the benchmark of {network}", method, steps)
    return steps[method]["over vanilla"]


def bought(epochs, network, method, results=RESULTS):
    """The epochs of vanilla that cost as much as `epochs` of a method, rounded; the same up to THRESHOLD."""
    ratio = cost(network, method, results)
    return round(epochs * ratio) if ratio > THRESHOLD else epochs


def longer(runs, results=RESULTS):
    """The runs of `LONGER` for the epochs that the costs of these runs buy; none for a cost that no benchmark has."""
    chosen = {}
    for run in runs:
        with suppress(ValueError):
            epochs = bought(run.epochs, run.model, run.method, results)
            if epochs != run.epochs:
                chosen |= dict.fromkeys(replace(run, method=method, epochs=epochs) for method in LONGER)
    return list(chosen)


def row(method, epochs, usual):
    """The name of a row: the method and, if it was trained for other than the regime's usual epochs, how many."""
    return method if epochs == usual else f"{method}, {epochs} epochs"
