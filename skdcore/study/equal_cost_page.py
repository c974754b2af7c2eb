"""The page "At equal cost": what is left of a costlier method's gain once plain training may cost as much."""

from contextlib import suppress
from math import inf
from types import SimpleNamespace

import pandas

from skdcore.study.display import Table, Tabs
from skdcore.study.equal_cost import LONGER, THRESHOLD, bought, cost, row
from skdcore.study.evidence import judged, of_regime
from skdcore.study.experiments import BASELINE, MISSING, RESULTS, deciding, every_run
from skdcore.study.sentences import PERCENT, not_run
from skdcore.study.statistics import over, pairs
from skdcore.study.tables import difference

COLUMNS = "row", "cost", "inside", "accuracy", "low", "high"


class EqualCost(Tabs):
    """What is left in each regime that has records, under tabs; `points` {title: frame} are for the figure."""

    def __init__(self, results=RESULTS):
        tabs, missing, self.points = {}, [], {}
        for regime in deciding():
            there = of_regime(regime, results)
            missing += [] if there else [regime.id]
            for number, one in enumerate(there):
                blocks = _blocks(regime, one, f"tab-equal-cost-{regime.id}-{number}")
                tabs.setdefault(regime.id, [f"**Regime `{regime.id}`:** {regime.text}."]).extend(blocks)
                self.points[f"{one.title}, {one.dataset}"] = points(one, regime.epochs)
        super().__init__(tabs, not_run(missing))


def costs(network, methods):
    """{method: its cost} of those whose cost the network's benchmark holds, cheapest first."""
    found = {}
    for method in methods:
        with suppress(ValueError):
            found[method] = cost(network, method)
    return dict(sorted(found.items(), key=lambda item: item[1]))


def compare(evidence, epochs, methods):
    """A row for each method and each of `LONGER`, trained for the epochs that its cost buys; and the family's c.

    `epochs` are the regime's usual ones.  A difference has an interval if both rows are in the model, and otherwise is
    that of the `n` common seeds.  Raises ValueError for a method whose cost no benchmark holds.
    """
    accuracies, rows, contrasts = evidence.accuracies, [], {}
    for method in methods:
        more = bought(epochs, evidence.network, method)
        for rival in (row(plain, more, epochs) for plain in LONGER):
            few = pairs(accuracies.get(method, {}), accuracies.get(rival, {}))
            rows.append({"method": method, "epochs": more, "rival": rival, "n": few.n, "few": few})
            if evidence.model and evidence.model.estimates.keys() >= {method, rival}:
                contrasts[method, rival] = over(method, [rival])
    found, c = evidence.intervals(list(contrasts.values()))
    known = dict(zip(contrasts, found, strict=True))
    rows = [one | judged(known.get((one["method"], one["rival"])), one.pop("few")) for one in rows]
    return pandas.DataFrame(rows), c


def points(evidence, epochs):
    """A row for each row of a network that ran beside vanilla and whose cost is known, cheapest first.

    `cost` is that of the whole run, in runs of vanilla of `epochs`; `accuracy`, `low` and `high` are vanilla's accuracy
    and the difference to it with its interval, that of the tables or, for the longer runs, one of their own family.
    `inside` the model; on the `front`, where no cheaper row of the model has a higher accuracy.
    """
    vanilla = evidence.accuracies.get(BASELINE, {})
    inside = evidence.model.estimates if evidence.model and BASELINE in evidence.model.estimates else {}
    level = inside.get(BASELINE, pandas.Series(vanilla, dtype=float).mean())
    longer = sorted(evidence.longer & inside.keys())
    found, _ = evidence.intervals([over(name, [BASELINE]) for name in longer])
    gains, rows = evidence.gains[0] | dict(zip(longer, found, strict=True)), []
    runs = {name: next(iter(by_seed.values()))["run"] for name, by_seed in evidence.runs.items()}
    known = costs(evidence.network, {run["method"] for run in runs.values()})
    for name, run in runs.items():
        few = pairs(evidence.accuracies[name], vanilla)
        if few.n and run["method"] in known:
            gain, low, high = (judged(gains.get(name), few)[key] for key in ("gain", "low", "high"))
            at = {"row": name, "cost": known[run["method"]] * run["epochs"] / epochs, "inside": name in inside}
            rows.append(at | {"accuracy": level + gain, "low": level + low, "high": level + high})
    frame = pandas.DataFrame(rows, columns=[*COLUMNS]).sort_values("cost", ignore_index=True)
    so_far = frame["accuracy"].where(frame["inside"], -inf).cummax().shift(fill_value=-inf)
    return frame.assign(front=frame["inside"] & (frame["accuracy"] > so_far))


def _blocks(regime, one, name):
    methods = {run.method for run in every_run(regime) if (run.dataset, run.model) == (one.dataset, one.network)}
    known = costs(one.network, methods)
    frame, c = compare(one, regime.epochs, [method for method, price in known.items() if price > THRESHOLD])
    without = ", ".join(f"`{method}`" for method in sorted(methods & one.runs.keys() - known.keys()))
    blocks = [f"No committed benchmark of `{one.network}` holds the cost of {without}."] if without else []
    if frame.empty:
        return blocks
    shown = frame[frame["n"] > 0]
    where = f"`{one.network}` on `{one.dataset}`"
    if left := len(frame) - len(shown):
        blocks.append(f"{MISSING.capitalize()}: {left} of {len(frame)} comparisons at equal cost, {where}.")
    if len(shown):
        gains = {method: difference(_gain(one, method)) for method in shown["method"].unique()}
        blocks = [_left(shown, gains), _table(one, shown, gains, known, c, name), *blocks]
    return blocks


def _gain(evidence, method):
    """The columns of the gain over vanilla at equal epochs."""
    few = pairs(evidence.accuracies[method], evidence.accuracies.get(BASELINE, {}))
    return SimpleNamespace(**judged(evidence.gains[0].get(method), few))


def _left(shown, gains):
    """What is left of each gain, as a list."""
    items = []
    for method, rows in shown.groupby("method", sort=False):
        left = " and ".join(f"{row.gain:+.2f} over `{row.rival}` ({row.verdict})" for row in rows.itertuples())
        items.append(f"- `{method}`: {gains[method]}, over vanilla at equal epochs. At equal cost, {left} is left.")
    return "\n".join(items)


def _table(evidence, shown, gains, known, c, name):
    rows = []
    for method, compared in shown.groupby("method", sort=False):
        left = {f"over {plain}": MISSING for plain in LONGER}
        left |= {f"over {one.rival.partition(',')[0]}": difference(one) for one in compared.itertuples()}
        row = {"method": f"`{method}`", "cost": f"{known[method]:.2f}", "gain at equal epochs": gains[method]}
        rows.append(row | {"epochs bought": str(compared["epochs"].iloc[0])} | left)
    caption = (
        f"Differences at equal cost, {evidence.title}, in percentage points. The cost is a step's time over vanilla's; "
    )
    caption += "`vanilla` and `ls` were trained for the epochs that it buys."
    if shown["low"].notna().any():
        caption += f" {PERCENT} intervals of differences at equal cost hold together, with c = {c:.2f}."
    return Table(pandas.DataFrame(rows), caption, name)
