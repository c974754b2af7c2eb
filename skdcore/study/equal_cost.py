"""Comparisons at equal cost: plain training for the epochs that a costlier method's cost buys.

A cost is a step's time over that of vanilla, from `costs` of study.yml, in which methods have their canonical names.
"""

from dataclasses import replace

from skdcore.study.definition import known, study

THRESHOLD = 1.05  # up to here equal epochs are equal cost
LONGER = ("vanilla", "ls")  # what the cost of a method is spent on instead


def costs(network):
    """{method: a step of it over one of vanilla's} on a network; empty for a network that study.yml has no costs of."""
    return study()["costs"].get(network, {})


def cost(network, method):
    """The cost of a method on a network.  Raises ValueError for a cost that study.yml lacks."""
    known("network in the costs of study.yml", [network], study()["costs"])
    known(f"cost on {network} in study.yml", [method], costs(network))
    return costs(network)[method]


def bought(epochs, network, method):
    """The epochs of vanilla that cost as much as `epochs` of a method, rounded; the same up to THRESHOLD."""
    ratio = cost(network, method)
    return round(epochs * ratio) if ratio > THRESHOLD else epochs


def longer(runs):
    """The runs of `LONGER` for the epochs that the costs of these runs buy; none for a cost that is not known."""
    chosen = {}
    for run in runs:
        if run.method in costs(run.model):
            epochs = bought(run.epochs, run.model, run.method)
            if epochs != run.epochs:
                chosen |= dict.fromkeys(replace(run, method=method, epochs=epochs) for method in LONGER)
    return list(chosen)


def row(method, epochs, usual):
    """The name of a row: the method and, if it was trained for other than the regime's usual epochs, how many."""
    return method if epochs == usual else f"{method}, {epochs} epochs"
