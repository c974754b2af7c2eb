"""When does it help?  Gains over vanilla by how far vanilla's training accuracy is above its test accuracy, its gap.

Accuracies are in percent, gains and gaps in percentage points.  A training accuracy is that of the final network in
evaluation mode, on the training images without augmentation.
"""

from math import nan

import pandas

from skdcore.study import links
from skdcore.study.display import Table, Tabs
from skdcore.study.evidence import on
from skdcore.study.experiments import BASELINE, PAPER, RESULTS, serving
from skdcore.study.metrics import HIGHER, LOWER, direction
from skdcore.study.rows import UNEQUAL
from skdcore.study.sentences import PERCENT, not_run
from skdcore.study.statistics import Interval, bonferroni
from skdcore.study.tables import difference, interval

METHODS = "drg", "dsr", "drg+dsr", "dlb", "ls"  # the paper's, its strongest rival, and the plainest regulariser
TARGET = "resnet18"  # the paper's network that the prediction is about
COLUMNS = "regime network train test gap vanillas method runs n gain low high baseline verdict se df".split()


def measured_gains(experiment, results=RESULTS):
    """A row for each regime, network and one of METHODS that ran beside vanilla: vanilla's gap, and the gain.

    `se` is the gain's standard error, with `df` degrees of freedom; NaN without an interval.
    `train`, `test` and `gap` are means over vanilla's seeds, NaN if no record of it holds the training accuracy.
    `vanillas` and `runs` are the addresses of the run pages of vanilla and of the method.
    """
    rows = []
    for regime in serving(experiment):
        for one in on(experiment, regime, results):
            vanillas, *pages = links.to_runs(one.runs, [BASELINE, *METHODS])
            vanilla = {"regime": regime.id, "network": one.network, "vanillas": vanillas} | gap_of(one)
            for method, page in zip(METHODS, pages, strict=True):
                if (gain := one.gain(method))["n"]:
                    row = vanilla | {"method": method, "runs": page} | gain
                    row |= {"se": (gain["high"] - gain["low"]) / 2 / one.gains[1]}
                    rows.append(row | {"df": one.model.df if one.model else nan})
    return pandas.DataFrame(rows, columns=COLUMNS)


def gap_of(evidence):
    """Where vanilla ends, `train`, `test` and their `gap`: means over the seeds that hold both accuracies."""
    finals = [record["final"] for record in evidence.runs.get(BASELINE, {}).values()]
    held = pandas.DataFrame([one for one in finals if "train_accuracy" in one], columns=["train_accuracy", "accuracy"])
    train, test = held.mean()
    return {"train": train, "test": test, "gap": train - test}


def printed_gains(experiment, found):
    """The paper's gains of METHODS, a row for each network, with the gap that this study measured for it, or NaN."""
    gaps = found[found["regime"] == PAPER].groupby("network")["gap"].first()
    rows = [
        {"method": method, "network": network, "gain": experiment.printed_gain(method, network)}
        for method in METHODS
        for network in experiment.models
    ]
    frame = pandas.DataFrame(rows).dropna(subset="gain")
    return frame.assign(gap=[gaps.get(network, nan) for network in frame["network"]])


def predictions(experiment, found):
    """A row for each of METHODS: what the regimes say of the paper's scale, before it is run, on TARGET.

    There the gap is at most 100 less the accuracy that the paper prints for vanilla.  Of the regimes where the method
    has an interval, those with the next smaller and the next larger gap enclose it; the prediction, from `low` to
    `high`, is what their two intervals span.  Without both it is NaN, and the sides that are `lacking` are named.
    `unequal` are those of the two in which the interval is too narrow, as a spread is unequal.
    """
    limit, rows = 100 - experiment.rows[BASELINE][TARGET], []
    ready = found[(found["regime"] != PAPER) & found["low"].notna() & found["gap"].notna()].sort_values("gap")
    for method in METHODS:
        own = ready[ready["method"] == method]
        below, above = own[own["gap"] <= limit].tail(1), own[own["gap"] > limit].head(1)
        both = pandas.concat([below, above])
        lacking = [word for word, side in (("below", below), ("above", above)) if side.empty]
        low, high = (nan, nan) if lacking else (both["low"].min(), both["high"].max())
        row = {"method": method, "regimes": " and ".join(both["regime"]), "low": low, "high": high, "lacking": lacking}
        row["unequal"] = both.loc[both["verdict"] == UNEQUAL, "regime"].tolist()
        rows.append(row | {"paper": experiment.printed_gain(method, TARGET)})
    return pandas.DataFrame(rows)


def gains(experiment, found):
    """The table of an experiment's `measured_gains`, and a sentence on what is missing in it or in the figure."""
    found = found.sort_values("gap", kind="stable")
    rows = [
        {
            "regime": f"`{one.regime}`, {one.network}",
            "vanilla, training / test, %": "" if pandas.isna(one.gap) else f"{one.train:.1f} / {one.test:.1f}",
            "gap": "not recorded" if pandas.isna(one.gap) else f"{one.gap:.1f}",
            "method": f"`{one.method}`",
            "gain over vanilla": difference(one),
            "n": str(one.n),
        }
        for one in found.itertuples()
    ]
    caption = (
        "Vanilla's gap between training and test accuracy, and gains over it, in percentage points. Intervals and "
        "verdicts are those of the regimes' own tables; vanilla's accuracies are means over the seeds whose records "
        "hold the training accuracy."
    )
    absent = not_run([regime.id for regime in serving(experiment) if regime.id not in set(found["regime"])])
    unknown = ", ".join(f"`{name}`" for name in found.loc[found["gap"].isna(), "regime"].unique())
    unknown = unknown and f"No record of vanilla holds its training accuracy yet, so there is no gap: {unknown}."
    to_runs = {"vanilla, training / test, %": found["vanillas"], "n": found["runs"]}
    table = [Table(pandas.DataFrame(rows), caption, "tab-when", to_runs)] if rows else []
    return Tabs({"": table} if rows else {}, " ".join(filter(None, [unknown, absent])))


def finding(found):
    """How each method's gain goes from the regime with the smallest gap to that with the largest, as a list.

    The change of a gain has a t interval with Welch and Satterthwaite's degrees of freedom, as the two regimes have a
    model each; those of all methods are simultaneous (Bonferroni).  A trend is shown if it leaves out zero.
    """
    relied = found["low"].notna() & found["gap"].notna() & (found["verdict"] != UNEQUAL)
    ready = found[relied].sort_values("gap")
    own = {method: ready[ready["method"] == method] for method in METHODS}
    pairs_ = {method: (rows.iloc[0], rows.iloc[-1]) for method, rows in own.items() if rows["gap"].nunique() > 1}
    if not pairs_:
        return "**Not known yet.** No method has an interval to rely on in two regimes."
    items, shown = [], {}
    for method, pair in pairs_.items():
        change = _change(*pair, len(pairs_))
        way = shown[method] = direction(change.low, change.high)
        said = [f"{end.gain:+z.2f} in `{end.regime}` (gap {end.gap:.1f})" for end in pair]
        items.append(f"- `{method}`: {' and '.join(said)}: {change.estimate:+z.2f} ({interval(change)}), {way}.")
    parts = [", ".join(f"`{method}`" for method in shown if shown[method] == way) for way in (HIGHER, LOWER)]
    heads = [
        f"The gain of {names} is {way} where the gap is larger."
        for names, way in zip(parts, (HIGHER, LOWER), strict=True)
        if names
    ]
    rule = (
        "Gains in the regimes with the smallest and the largest gap where a method has an interval to rely on, and how "
    )
    rule += f"far the second is above the first, with simultaneous {PERCENT} intervals, in points:"
    return "\n".join([f"**{' '.join(heads) or 'No trend is shown.'}** {rule}", "", *items])


def _change(first, last, methods):
    """The `Interval` of the difference of two gains, from two models, at the level that so many methods need."""
    from scipy.stats import t  # takes a second

    variances = first.se**2, last.se**2
    df = sum(variances) ** 2 / (variances[0] ** 2 / first.df + variances[1] ** 2 / last.df)
    half = t.isf((1 - bonferroni(methods)) / 2, df) * sum(variances) ** 0.5
    change = last.gain - first.gain
    return Interval(change, change - half, change + half)


def prediction(experiment, found):
    """What `predictions` says, and why it does not say more."""
    limit, rows, without, notes = 100 - experiment.rows[BASELINE][TARGET], [], {}, []
    relied = predictions(experiment, found[found["verdict"] != UNEQUAL]).set_index("method")
    for one in predictions(experiment, found).itertuples():
        if one.lacking:
            without.setdefault(" or ".join(one.lacking), []).append(f"`{one.method}`")
            continue
        row = {"method": f"`{one.method}`", "from the regimes": one.regimes}
        row |= {"predicted": interval(one)}
        side = "above" if one.paper > one.high else "below" if one.paper < one.low else "within"
        rows.append(row | {"the paper prints": "" if pandas.isna(one.paper) else f"{one.paper:+z.2f}, {side}"})
        if one.unequal:
            other = relied.loc[one.method]
            range_ = "there would be no prediction" if other.lacking else f"the range would be {interval(other)}"
            regimes = " and ".join(f"`{name}`" for name in one.unequal)
            notes.append(f"For `{one.method}` a spread in {regimes} is unequal; without it {range_}.")
    blocks = [f"The gap of `{TARGET}` at the paper's scale is taken to be at most {limit:.2f} points."]
    if rows:
        caption = f"Predicted gains over vanilla at the paper's scale, {TARGET}, in percentage points."
        blocks += [Table(pandas.DataFrame(rows), caption, "tab-when-prediction"), *notes]
    for sides, names in without.items():
        it = "them" if len(names) > 1 else "it"
        blocks.append(
            f"**No prediction yet** for {', '.join(names)}: no regime {sides} that gap has an interval for {it}."
        )
    return Tabs({"": blocks})
