"""When does it help?  Gains over vanilla by how far vanilla's training accuracy is above its test accuracy, its gap.

Accuracies are in percent, gains and gaps in percentage points.  A training accuracy is that of the final network in
evaluation mode, on the training images without augmentation.
"""

from math import nan

import pandas

from skdcore.study import links
from skdcore.study.display import Table, Tabs
from skdcore.study.evidence import judged, on
from skdcore.study.experiments import BASELINE, PAPER, RESULTS, serving
from skdcore.study.sentences import not_run
from skdcore.study.statistics import pairs
from skdcore.study.tables import difference, interval

METHODS = "drg", "dsr", "drg+dsr", "dlb", "ls"  # the paper's, its strongest rival, and the plainest regulariser
TARGET = "resnet18"  # the paper's network that the prediction is about
COLUMNS = "regime network train test gap vanillas method runs n gain low high baseline verdict".split()


def measured_gains(experiment, results=RESULTS):
    """A row for each regime, network and one of METHODS that ran beside vanilla: vanilla's gap, and the gain.

    `train`, `test` and `gap` are means over vanilla's seeds, NaN if no record of it holds the training accuracy.
    `vanillas` and `runs` are the addresses of the run pages of vanilla and of the method.
    """
    rows = []
    for regime in serving(experiment):
        for one in on(experiment, regime, results):
            vanillas, *pages = links.to_runs(one.runs, [BASELINE, *METHODS])
            vanilla = {"regime": regime.id, "network": one.network, "vanillas": vanillas} | _ends(one)
            for method, page in zip(METHODS, pages, strict=True):
                few = pairs(one.accuracies.get(method, {}), one.accuracies.get(BASELINE, {}))
                if few.n:
                    rows.append(
                        vanilla | {"method": method, "runs": page, "n": few.n} | judged(one.gains[0].get(method), few)
                    )
    return pandas.DataFrame(rows, columns=COLUMNS)


def _ends(evidence):
    """Where vanilla ends, over the seeds that hold both accuracies."""
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
    """
    limit = 100 - experiment.rows[BASELINE][TARGET]
    ready = found[(found["regime"] != PAPER) & found["low"].notna() & found["gap"].notna()].sort_values("gap")
    rows = []
    for method in METHODS:
        own = ready[ready["method"] == method]
        below, above = own[own["gap"] <= limit].tail(1), own[own["gap"] > limit].head(1)
        both = pandas.concat([below, above])
        lacking = [word for word, side in (("below", below), ("above", above)) if side.empty]
        low, high = (nan, nan) if lacking else (both["low"].min(), both["high"].max())
        row = {"method": method, "regimes": " and ".join(both["regime"]), "low": low, "high": high, "lacking": lacking}
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

    A trend is shown if the two intervals do not overlap.
    """
    ready = found[found["low"].notna() & found["gap"].notna()].sort_values("gap")
    items, shown = [], []
    for method in METHODS:
        own = ready[ready["method"] == method]
        if own["gap"].nunique() < 2:
            continue
        ends = first, last = own.iloc[0], own.iloc[-1]
        if apart := last.low > first.high or last.high < first.low:
            shown.append(f"`{method}`")
        said = [f"{end.gain:+z.2f} in `{end.regime}` (gap {end.gap:.1f})" for end in ends]
        verdict = f"it {'rises' if last.gain > first.gain else 'falls'}" if apart else "the two intervals overlap"
        items.append(f"- `{method}`: {' and '.join(said)}; {verdict}.")
    if not items:
        return "**Not known yet.** No method has an interval in two regimes."
    head = f"The gain depends on the regime for {', '.join(shown)}." if shown else "No trend is shown."
    rule = "Gains in the regimes with the smallest and the largest gap where a method has an interval, in points:"
    return "\n".join([f"**{head}** {rule}", "", *items])


def prediction(experiment, found):
    """What `predictions` says, and why it does not say more."""
    limit, rows, without = 100 - experiment.rows[BASELINE][TARGET], [], {}
    for one in predictions(experiment, found).itertuples():
        if one.lacking:
            without.setdefault(" or ".join(one.lacking), []).append(f"`{one.method}`")
            continue
        row = {"method": f"`{one.method}`", "from the regimes": one.regimes}
        row |= {"predicted": interval(one)}
        side = "above" if one.paper > one.high else "below" if one.paper < one.low else "within"
        rows.append(row | {"the paper prints": "" if pandas.isna(one.paper) else f"{one.paper:+z.2f}, {side}"})
    blocks = [f"The gap of `{TARGET}` at the paper's scale is taken to be at most {limit:.2f} points."]
    if rows:
        caption = f"Predicted gains over vanilla at the paper's scale, {TARGET}, in percentage points."
        blocks.append(Table(pandas.DataFrame(rows), caption, "tab-when-prediction"))
    for sides, names in without.items():
        blocks.append(
            f"**No prediction yet** for {', '.join(names)}: no regime {sides} that gap has an interval for it."
        )
    return Tabs({"": blocks})
