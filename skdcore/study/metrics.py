"""Metrics other than accuracy, by method and seed: means, and differences from vanilla with simultaneous intervals.

The model and the intervals are those of `statistics`, a family for each metric.
"""

from math import isnan, nan

import pandas

from skdcore.study.display import Table
from skdcore.study.experiments import BASELINE
from skdcore.study.rows import FEW, UNEQUAL, Rows
from skdcore.study.statistics import LEVEL, MIN_SEEDS, UNDECIDED

HIGHER, LOWER = "higher", "lower"


def differences(values):
    """A row for each method of {method: {seed: value}}: n, mean, sd, the difference from vanilla and its verdict.

    The difference, `gain`, has an interval, from `low` to `high`, if both have at least MIN_SEEDS seeds.  All intervals
    hold simultaneously.
    """
    pairs = [(method, BASELINE) for method in values if method != BASELINE]
    found, _ = Rows(values, word=direction).differences(pairs)
    rows = []
    for method, by_seed in values.items():
        series = pandas.Series(by_seed, dtype=float)
        row = found.get((method, BASELINE), {"gain": nan, "low": nan, "high": nan, "verdict": ""})
        rows.append(row | {"method": method, "n": len(series), "mean": series.mean(), "sd": series.std()})
    return pandas.DataFrame(rows)


def table(values, columns, caption, label, beside=None):
    """A `Table` of {metric: {method: {seed: value}}}: rows for each metric of `columns` {name: words}, by method.

    `beside` is of the same form: rows that are in no model, as they are of another network than the methods'.
    """
    rows = []
    for metric, words in columns.items():
        others = differences(beside[metric]) if beside else pandas.DataFrame()
        for row in pandas.concat([differences(values[metric]), others]).itertuples():
            shown = {"metric": words, "method": f"`{row.method}`", "n": f"{row.n}", "mean ± sd": mean(row)}
            rows.append(shown | {"minus vanilla's": difference(row), "verdict": row.verdict})
            words = ""
    rule = f"Means and standard deviations over n seeds; differences from vanilla with simultaneous {100 * LEVEL:g} % "
    rule += f"intervals, a family for each metric. With fewer than {MIN_SEEDS} seeds there is no interval."
    frame = pandas.DataFrame(rows)
    return Table(frame.loc[:, (frame != "").any()], f"{caption} {rule}", label)


def mean(row):
    """Mean and standard deviation of a row of `differences`."""
    return f"{row.mean:.3f}" + (f" ± {row.sd:.3f}" if row.n > 1 else "")


def difference(row):
    """The difference of a row, and its interval."""
    if isnan(row.gain):
        return ""
    return f"{row.gain:+z.3f}" + ("" if isnan(row.low) else f" ({row.low:+z.3f} to {row.high:+z.3f})")


def direction(low, high):
    """An interval in a word: HIGHER or LOWER if it leaves out zero, else UNDECIDED."""
    return HIGHER if low > 0 else LOWER if high < 0 else UNDECIDED


def of_method(values, method):
    """The row of one method among the `differences` of a metric; None if it did not run beside vanilla."""
    rows = [row for row in differences(values).itertuples() if row.method == method and row.verdict]
    return rows[0] if rows else None


def finding(values, method, heads, decides):
    """What the metrics {words: {method: {seed: value}}} say of a method beside vanilla, after the head of its verdict.

    `heads` {verdict: sentence} are for the metric `decides`; with fewer than MIN_SEEDS seeds there is no verdict.
    """
    rows = {words: of_method(by_method, method) for words, by_method in values.items()}
    if None in rows.values():
        return f"{method.upper()} did not run beside vanilla."
    numbers = "; ".join(f"{words} {difference(row)}" for words, row in rows.items())
    heads = heads | {FEW: f"With fewer than {MIN_SEEDS} seeds there is no verdict."}
    heads |= {UNEQUAL: "The spread of the seeds is unequal, so there is no verdict."}
    head = heads[rows[decides].verdict]
    return f"**{head}** {method.upper()} minus vanilla: {numbers}."
