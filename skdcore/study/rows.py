"""Values of one metric on one network: their linear model, and the differences between rows with their verdicts."""

from functools import cached_property
from math import nan

from skdcore.study import statistics
from skdcore.study.statistics import LEVEL, MIN_SEEDS, fit, over, pairs, verdict

FEW = f"n < {MIN_SEEDS}"
UNEQUAL = "unequal spread"
NO_DIFFERENCE = {"gain": nan, "low": nan, "high": nan, "baseline": nan, "verdict": ""}  # of a row from itself


class Rows:
    """The `values` {row: {seed: value}} of a metric.

    The intervals of a family hold simultaneously with probability `level`; `word` puts one, from `low` to `high`, into
    a word.
    """

    def __init__(self, values, level=LEVEL, word=verdict):
        self.values, self.level, self.word = values, level, word

    @cached_property
    def model(self):
        """The linear model of the rows, or None."""
        return fit(self.values)

    @cached_property
    def unequal(self):
        """The rows whose spread stands out: what the model says of their intervals is not to be relied on."""
        return set(statistics.unequal(self.model) if self.model else ())

    def have(self, *rows):
        """Whether the model has all these rows."""
        return bool(self.model) and set(rows) <= self.model.estimates.keys()

    def intervals(self, contrasts):
        """`statistics.intervals` of a family of contrasts."""
        return statistics.intervals(self.model, contrasts, self.level)

    def differences(self, asked):
        """{(row, rival): their `difference`} of those that are `asked` for, a family; and its c."""
        known, c = self.intervals({(one, rival): over(one, [rival]) for one, rival in asked if self.have(one, rival)})
        return {pair: self.difference(*pair, known.get(pair)) for pair in asked}, c

    def difference(self, one, rival, interval):
        """The columns of a difference between two rows: `n` common seeds, and what `judged` gives."""
        few = pairs(self.values.get(one, {}), self.values.get(rival, {}))
        return {"n": few.n} | self.judged(interval, few, one, rival)

    def judged(self, interval, few, *rows):
        """The columns of a difference between rows: with its `Interval`, or without one the `Pairs` of few seeds."""
        if not interval:
            without = {"gain": few.difference, "low": nan, "high": nan, "baseline": few.baseline}
            return without | {"verdict": FEW if few.n else ""}
        gain, low, high = interval
        found = UNEQUAL if self.unequal & set(rows) else self.word(low, high)
        return {"gain": gain, "low": low, "high": high, "baseline": nan, "verdict": found}
