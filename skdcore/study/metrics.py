"""Metrics other than accuracy, by method and seed: means, and differences from vanilla with simultaneous intervals.

The model and the intervals are those of `statistics`, a family for each metric.
"""

import pandas

from skdcore.study.display import Table
from skdcore.study.experiments import BASELINE
from skdcore.study.quantities import QUANTITIES, head, shown
from skdcore.study.rows import FEW, NO_DIFFERENCE, UNEQUAL, Rows
from skdcore.study.sentences import PERCENT
from skdcore.study.statistics import MIN_SEEDS, UNDECIDED

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
        row = found.get((method, BASELINE), NO_DIFFERENCE)
        rows.append(row | {"method": method, "n": len(series), "mean": series.mean(), "sd": series.std()})
    return pandas.DataFrame(rows)


def table(values, caption, label, to_runs, beside=None):
    """A `Table` of {metric: {method: {seed: value}}}: rows for each metric, by method.

    `to_runs` {method: the address of its runs}.  `beside` is of the form of `values`: rows that are in no model, as
    they are of another network than the methods'.
    """
    rows, pages = [], []
    for metric, by_method in values.items():
        words, others = head(metric), differences(beside[metric]) if beside else pandas.DataFrame()
        for row in pandas.concat([differences(by_method), others]).itertuples():
            about = {"metric": words, "method": f"`{row.method}`", "n": f"{row.n}", "mean ± sd": mean(metric, row)}
            rows.append(about | {"minus vanilla's": difference(metric, row), "verdict": row.verdict})
            pages.append(to_runs.get(row.method))
            words = ""
    rule = f"Means and standard deviations over n seeds; differences from vanilla with simultaneous {PERCENT} "
    rule += "intervals, a family for each metric, of the methods in this table alone. With fewer than "
    rule += f"{MIN_SEEDS} seeds there is no interval."
    return Table(pandas.DataFrame(rows), f"{caption} {rule}", label, {"mean ± sd": pages})


def mean(metric, row):
    """Mean and standard deviation of a row of `differences`."""
    return shown(metric, row.mean) + (f" ± {shown(metric, row.sd)}" if row.n > 1 else "")


def difference(metric, row):
    """The difference of a row, and its interval."""
    low, high = (shown(metric, end, "+") for end in (row.low, row.high))
    return shown(metric, row.gain, "+") + (f" ({low} to {high})" if low else "")


def direction(low, high):
    """An interval in a word: HIGHER or LOWER if it leaves out zero, else UNDECIDED."""
    return HIGHER if low > 0 else LOWER if high < 0 else UNDECIDED


def told(metric, row):
    """The difference of a row in a sentence, with its unit: that of percentages is points."""
    quantity = QUANTITIES[metric]
    unit = "points" if quantity.unit == "%" else quantity.unit
    return f"{quantity.words} {difference(metric, row)}{unit and f' {unit}'}"


def of_method(values, method):
    """The row of one method among the `differences` of a metric; None if it did not run beside vanilla."""
    rows = [row for row in differences(values).itertuples() if row.method == method and row.verdict]
    return rows[0] if rows else None


def finding(values, method, heads, decides):
    """What the metrics {metric: {method: {seed: value}}} say of a method beside vanilla, after its verdict's head.

    `heads` {verdict: sentence} are for the metric `decides`; with fewer than MIN_SEEDS seeds there is no verdict.
    """
    rows = {metric: of_method(by_method, method) for metric, by_method in values.items()}
    if None in rows.values():
        return f"{method.upper()} did not run beside vanilla."
    numbers = "; ".join(told(metric, row) for metric, row in rows.items())
    heads = heads | {FEW: f"With fewer than {MIN_SEEDS} seeds there is no verdict."}
    heads |= {UNEQUAL: "The spread of the seeds is unequal, so there is no verdict."}
    verdict = heads[rows[decides].verdict]
    return f"**{verdict}** {method.upper()} minus vanilla: {numbers}."
