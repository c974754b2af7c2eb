"""The words, the unit and the decimals of each quantity that a page shows, once for all pages."""

from typing import NamedTuple

import pandas


class Quantity(NamedTuple):
    """How a number is shown."""

    words: str
    unit: str = ""
    decimals: int = 4


QUANTITIES = {
    "accuracy": Quantity("test accuracy", "%", 2),
    "train_accuracy": Quantity("training accuracy", "%", 2),
    "nll": Quantity("NLL", "nats"),
    "nll_scaled": Quantity("scaled NLL", "nats"),
    "ece": Quantity("ECE"),
    "ece_scaled": Quantity("scaled ECE"),
    "temperature": Quantity("fitted temperature", "", 3),
    "entropy": Quantity("entropy", "nats"),
    "p_true": Quantity("p(true class)"),
    "differs": Quantity("differs from vanilla", "%", 1),
    "silhouette": Quantity("silhouette"),
    "neighbours": Quantity("nearest-neighbour accuracy", "%", 2),
    "deletion": Quantity("deletion"),
    "insertion": Quantity("insertion"),
    "minutes": Quantity("minutes", "", 1),
}


def head(key):
    """The head of a column of a quantity: its words, and its unit if it has one."""
    one = QUANTITIES[key]
    return f"{one.words}, {one.unit}" if one.unit else one.words


def shown(key, value, sign=""):
    """A value of a quantity as a text, empty for NaN or None; with `sign` "+", a difference."""
    return "" if pandas.isna(value) else f"{value:{sign}z.{QUANTITIES[key].decimals}f}"
