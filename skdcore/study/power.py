"""How many seeds?  The power of a regime's intervals, and what three seeds could have shown of the paper's tables.

With n seeds of each row the difference to vanilla, over its standard error s sqrt(2/n), has a noncentral t distribution
with k (n - 1) degrees of freedom, k rows of the model beside vanilla.  Its interval leaves out zero where that is
beyond -c or c.
"""

from bisect import bisect_left
from math import sqrt

import numpy as np
import pandas

from skdcore.study.display import Table, Tabs
from skdcore.study.evidence import PROPOSED, on
from skdcore.study.experiments import BASELINE, RESULTS, serving
from skdcore.study.statistics import LEVEL, MIN_SEEDS, critical

DIFFERENCES = 0.2, 0.5, 1, 2  # percentage points
ENOUGH = 0.8  # the usual power that a study is planned for (Cohen, 1988)
MOST = 100  # seeds; more are not counted


def power(difference, s, rows, seeds, level=LEVEL, others=0):
    """The probability that the simultaneous interval of a `difference` to vanilla leaves out zero.

    The difference and `s`, the standard deviation of a run, are in percentage points.  The family are `rows` methods
    against vanilla, all of them with `seeds` runs, and all its intervals hold with probability `level`.  `others` are
    the rows of the model that are in no such family, such as longer runs: they add degrees of freedom.
    """
    from scipy.stats import ncf  # takes a second; the square of a noncentral t is a noncentral F

    df = (rows + others) * (seeds - 1)
    c = critical(np.hstack([np.eye(rows), -np.ones((rows, 1))]), df, level)
    noncentral = difference**2 * seeds / (2 * s**2)
    return float(ncf.sf(c**2, 1, df, max(noncentral, 1e-12)))  # at 0 scipy 1.17 gives 1 too little


def seeds_for(difference, s, rows, level=LEVEL, others=0):
    """The least number of seeds with which `power` is ENOUGH; MOST + 1 if even MOST are too few."""
    numbers = range(MIN_SEEDS, MOST + 1)
    return MIN_SEEDS + bisect_left(numbers, ENOUGH, key=lambda seeds: power(difference, s, rows, seeds, level, others))


def shown_by(seeds, s, rows, level=LEVEL, others=0):
    """The least difference, in percentage points, that has ENOUGH `power` with these seeds."""
    from scipy.optimize import brentq

    return brentq(lambda difference: power(difference, s, rows, seeds, level, others) - ENOUGH, 0, 100 * s)


def estimated(experiment, results=RESULTS):
    """A row for each regime and network of an experiment with intervals.

    It has s and its df, the `rows` and the `level` of its family, and the `others` of its model.
    """
    rows = []
    for regime in serving(experiment):
        for one in on(experiment, regime, results):
            if gains := one.gains[0]:
                row = {"regime": regime.id, "network": one.network, "s": one.model.s, "df": one.model.df}
                family = {"rows": len(gains), "level": one.level}
                rows.append(row | family | {"others": len(one.model.estimates) - 1 - len(gains)})
    return pandas.DataFrame(rows)


def planned(found):
    """The table of `estimated` regimes: the power of three seeds, and the seeds that are enough."""
    rows = []
    for one in found.itertuples():
        low, high = _s_interval(one)
        row = {"regime": f"`{one.regime}`", "network": one.network, "methods": str(one.rows)}
        row["s (95 % interval)"] = f"{one.s:.2f} ({low:.2f} to {high:.2f})"
        for difference in DIFFERENCES:
            shown = power(difference, one.s, one.rows, MIN_SEEDS, one.level, one.others)
            seeds = seeds_for(difference, one.s, one.rows, one.level, one.others)
            row[f"{difference:g} point{'s' * (difference != 1)}"] = (
                f"{100 * shown:.0f} %; {seeds if seeds <= MOST else f'over {MOST}'}"
            )
        rows.append(row)
    caption = (
        f"The probability that the interval of a true difference leaves out zero with {MIN_SEEDS} seeds; and the "
        f"number of seeds that makes it {100 * ENOUGH:g} %. The family is as many methods against vanilla as ran."
    )
    return Table(pandas.DataFrame(rows), caption, "tab-power")


def _s_interval(one):
    from scipy.stats import chi2

    return (one.s * sqrt(one.df / chi2.isf(tail, one.df)) for tail in (0.025, 0.975))


def printed_differences(experiment):
    """{(method, rival): {network: points}} that the paper prints: over vanilla, and of its own methods over DLB."""
    asked = [(method, BASELINE) for method in experiment.rows if method != BASELINE]
    asked += [(method, "dlb") for method in PROPOSED]
    rows = experiment.rows
    found = {(method, rival): {n: rows[method][n] - rows[rival][n] for n in rows[method]} for method, rival in asked}
    return {pair: points for pair, points in found.items() if points}


def could_show(differences, least):
    """The table of the `printed_differences`: how many are as large as the `least` that is shown, {regime: points}."""
    rows = []
    for (method, rival), printed in differences.items():
        points = pandas.Series(printed)
        row = {"difference": f"`{method}` over `{rival}`", "printed": f"{points.min():+z.2f} to {points.max():+z.2f}"}
        rows.append(row | {name: f"{(points.abs() >= bound).sum()} of {len(points)}" for name, bound in least.items()})
    caption = (
        f"The differences printed in Table I, in percentage points, and how many of them {MIN_SEEDS} seeds show "
        f"with a probability of at least {100 * ENOUGH:g} %, if they are the true ones and s is that of a regime."
    )
    return Table(pandas.DataFrame(rows), caption, "tab-power-printed")


def page(experiment, results=RESULTS):
    """The tables of an experiment, and what they say."""
    found = estimated(experiment, results)
    if found.empty:
        return Tabs({}, f"Not known yet. Estimating s needs vanilla and another row with {MIN_SEEDS} seeds each.")
    differences, least, items = printed_differences(experiment), {}, []
    for one in found.itertuples():
        name = f"`{one.regime}`, {one.network}"
        least[name] = bound = shown_by(MIN_SEEDS, one.s, one.rows, one.level, one.others)
        text = f"- {name}: {MIN_SEEDS} seeds show {bound:.2f} points or more with a probability of {100 * ENOUGH:g} %."
        for rival, words in ((BASELINE, "gains over vanilla"), ("dlb", "differences between its own methods and DLB")):
            points = pandas.Series(
                [d for pair, printed in differences.items() if pair[1] == rival for d in printed.values()]
            )
            large = (points.abs() >= bound).sum()
            text += (
                f" Of the {len(points)} {words} printed in Table I, {large or 'none'} {'is' if large < 2 else 'are'} "
                "as large"
            )
            lost = (points <= -bound).sum()
            favour = f"in favour of `{rival}`."
            text += "." if not lost else f", {favour}" if lost == large else f", {lost} of them {favour}"
        items.append(text)
    return Tabs({"": [planned(found), "\n".join(items), could_show(differences, least)]})
