"""The page "At equal cost": what is left of a costlier method's gain once plain training may cost as much."""

from math import inf
from types import SimpleNamespace

import pandas

from skdcore.study import links
from skdcore.study.display import Table, Tabs, escaped
from skdcore.study.equal_cost import LONGER, THRESHOLD, bought, costs, row
from skdcore.study.evidence import of_regime
from skdcore.study.experiments import BASELINE, MISSING, RESULTS, deciding
from skdcore.study.rows import NO_DIFFERENCE
from skdcore.study.sentences import JUDGED, family, none_run, not_run, processors
from skdcore.study.tables import difference, made

COLUMNS = "row", "cost", "inside", "accuracy", "low", "high", "verdict"  # of `points`
COMPARED = "method", "epochs", "rival", "n", "gain", "low", "high", "baseline", "verdict"  # of `at_equal_cost`


class EqualCost(Tabs):
    """What is left in each regime with records, under tabs.  For the figure: `points` {title: frame} and `basis`."""

    def __init__(self, results=RESULTS):
        tabs, missing, self.points, said, waiting = {}, [], {}, [], []
        for regime in deciding():
            there = of_regime(regime, results)
            missing += [] if there else [regime.id]
            for number, one in enumerate(there):
                title = f"{one.title}, {one.dataset}"
                self.points[title], c = points(one, regime.epochs)
                blocks, without = _blocks(regime, one, self.points[title], f"tab-equal-cost-{regime.id}-{number}")
                blocks[:0] = [f"**`{one.network}` on `{one.dataset}`**"] if blocks and len(there) > 1 else []
                if blocks:
                    tabs.setdefault(regime.id, [f"**Regime `{regime.id}`:** {regime.text}."]).extend(blocks)
                waiting += [none_run(without, f" at equal cost in `{regime.id}`, {one.network}")] if without else []
                if number_of := self.points[title]["low"].notna().sum():
                    of = "all differences from vanilla in the figure"
                    said.append(f"- {escaped(title)}: {family(one, of, number_of, c)}")
        self.basis = "\n".join(said)
        super().__init__(tabs, " ".join(filter(None, [*waiting, not_run(missing)])))


def known_costs(network, methods):
    """{method: its cost} of those whose cost on the network study.yml has, cheapest first."""
    found = costs(network)
    return dict(sorted(((one, found[one]) for one in methods if one in found), key=lambda pair: pair[::-1]))


def costlier(evidence):
    """The methods that ran for the usual epochs and cost more than THRESHOLD of vanilla, cheapest first."""
    known = known_costs(evidence.network, evidence.runs.keys() - evidence.longer)
    return [method for method, price in known.items() if price > THRESHOLD]


def at_equal_cost(evidence, epochs, methods):
    """A row for each method and each of `LONGER`, trained for the epochs that its cost buys; and the family's c.

    `epochs` are the regime's usual ones.  A difference has an interval if both rows are in the model, and otherwise is
    that of the `n` common seeds.  The gains over vanilla, which stand beside these differences, are in their family.
    Raises ValueError for a method whose cost study.yml lacks.
    """
    epochs_bought = {method: bought(epochs, evidence.network, method) for method in methods}
    asked = [(one, row(plain, more, epochs)) for one, more in epochs_bought.items() for plain in LONGER]
    known, c = evidence.differences([(method, BASELINE) for method in evidence.gained] + asked)
    rows = [
        {"method": method, "epochs": epochs_bought[method], "rival": rival} | known[method, rival]
        for method, rival in asked
    ]
    return pandas.DataFrame(rows, columns=[*COMPARED]), c


def points(evidence, epochs):
    """A row for each row of a network that ran beside vanilla and whose cost is known, cheapest first; and a c.

    `cost` is that of the whole run, in runs of vanilla of `epochs`; `accuracy`, `low` and `high` are vanilla's accuracy
    and the difference to it, whose `verdict` is there too.  The differences of all rows of the model are one family,
    the longer ones too, of that c.  `inside` the model; on the `front`, where no row of the model that costs as much or
    less has a higher accuracy.
    """
    vanilla = pandas.Series(evidence.values.get(BASELINE, {}), dtype=float).mean()
    level = evidence.model.estimates[BASELINE] if evidence.have(BASELINE) else vanilla
    runs = {name: next(iter(by_seed.values()))["run"] for name, by_seed in evidence.runs.items()}
    known = known_costs(evidence.network, {run["method"] for run in runs.values()})
    drawn = [name for name, run in runs.items() if run["method"] in known]
    differences, c = evidence.differences([(name, BASELINE) for name in drawn if name != BASELINE])
    own = NO_DIFFERENCE | {"n": len(evidence.values.get(BASELINE, {})), "gain": 0.0}
    rows = []
    for (name, _), one in (({(BASELINE, BASELINE): own} if BASELINE in drawn else {}) | differences).items():
        if one["n"]:
            price = known[runs[name]["method"]] * runs[name]["epochs"] / epochs
            at = {"row": name, "cost": price, "inside": evidence.have(BASELINE, name), "verdict": one["verdict"]}
            ends = {
                key: level + one[column] for key, column in (("accuracy", "gain"), ("low", "low"), ("high", "high"))
            }
            rows.append(at | ends)
    frame = pandas.DataFrame(rows, columns=[*COLUMNS]).sort_values("cost", ignore_index=True)
    best = frame["accuracy"].where(frame["inside"], -inf).groupby(frame["cost"]).max()
    same, cheaper = map(frame["cost"].map, (best, best.cummax().shift(fill_value=-inf)))
    return frame.assign(front=frame["inside"] & (frame["accuracy"] == same) & (frame["accuracy"] > cheaper)), c


def _blocks(regime, one, drawn, name):
    """What is shown of a network and, if none of its comparisons ran, how many there are."""
    methods = one.runs.keys() - one.longer
    known = known_costs(one.network, methods)
    frame, c = at_equal_cost(one, regime.epochs, costlier(one))
    shown = frame[frame["n"] > 0]
    if shown.empty:
        return [], len(frame)
    gains = {method: difference(SimpleNamespace(**one.gain(method))) for method in shown["method"].unique()}
    longer = longer_gains(drawn)
    items = [
        f"- `{method}`: {gains[method]}, over vanilla at equal epochs. {remains(rows, longer, regime.epochs)}"
        for method, rows in shown.groupby("method", sort=False)
    ]
    blocks = ["\n".join(items), _table(one, shown, gains, known, name), *_families(one, shown, c, bool(longer))]
    blocks += [where] if (where := one.model and processors(one)) else []
    blocks += [missing] if (missing := not_compared(frame)) else []
    if without := ", ".join(f"`{method}`" for method in sorted(methods - known.keys())):
        blocks.append(f"`study.yml` has no cost on `{one.network}` of {without}.")
    return blocks, 0


def longer_gains(drawn):
    """{row: its gain over vanilla, in words} of those in the `points` of a network that have an interval."""
    level = drawn.loc[drawn["row"] == BASELINE, "accuracy"].sum()
    gained = drawn.assign(gain=drawn["accuracy"] - level, low=drawn["low"] - level, high=drawn["high"] - level)
    return {one.row: difference(one) for one in gained.dropna(subset="low").itertuples()}


def remains(rows, longer, usual):
    """What longer plain training does for the cost of a method, and what remains of its gain, in sentences.

    `rows` are those of `at_equal_cost` that are about the method, `longer` the `longer_gains`.
    """
    method, epochs = rows["method"].iloc[0], rows["epochs"].iloc[0]
    verdicts = dict(zip(rows["rival"], rows["verdict"], strict=True))
    verdict = verdicts.get(plain := row(BASELINE, epochs, usual))
    head = f"**At equal cost, `{method}` {JUDGED[verdict][0]}.** " if verdict in JUDGED else ""
    gained = f": {longer[plain]}" if plain in longer else ""
    parts = "; ".join(f"over `{one.rival}`: {difference(one)}" for one in rows.itertuples())
    plain_ = f"For what `{method}` costs, `{BASELINE}` can train {epochs} epochs instead of {usual}{gained}."
    return f"{head}{plain_} `{method}` {parts}."


def not_compared(frame):
    """A sentence on the methods in a frame of `at_equal_cost` that did not run beside plain training of their cost."""
    ran = frame.loc[frame["n"] > 0, "method"]
    absent = frame[~frame["method"].isin(ran)].drop_duplicates("method")
    items = ", ".join(f"`{one.method}` ({one.epochs} epochs)" for one in absent.itertuples())
    return f"Not yet compared with plain training at equal cost: {items}." if items else ""


def _families(evidence, shown, c, longer):
    """Sentences on the families of a table and, where there are `longer` runs, of their gains in the list above it."""
    gains, c_of_gains = evidence.gains
    families = [("all gains at equal epochs", len(gains), c_of_gains)]
    if left := shown["low"].notna().sum():
        families += [("these gains and the differences at equal cost together", left + len(gains), c)]
    said = [family(evidence, of, number, its_c) for of, number, its_c in families if number]
    said += ["The gains of longer plain training are in the family of the figure below."] if longer else []
    return [" ".join(said)] if said else []


def _table(evidence, shown, gains, known, name):
    rows = []
    for method, compared in shown.groupby("method", sort=False):
        left = {f"over {plain}": MISSING for plain in LONGER}
        left |= {f"over {one.rival.partition(',')[0]}": difference(one) for one in compared.itertuples()}
        row = {"method": f"`{method}`", "cost": f"{known[method]:.2f}", "gain at equal epochs": gains[method]}
        rows.append(row | {"epochs bought": str(compared["epochs"].iloc[0])} | left)
    caption = (
        f"Differences at equal cost, {evidence.title}, in percentage points. The cost is a step's time over vanilla's; "
        f"`vanilla` and `ls` were trained for the epochs that it buys. {made(_compared(evidence, shown))}"
    )
    frame = pandas.DataFrame(rows)
    longer = {f"over {plain}": [f"{plain}, {epochs} epochs" for epochs in frame["epochs bought"]] for plain in LONGER}
    to_runs = {"gain at equal epochs": shown["method"].unique()} | longer
    return Table(frame, caption, name, {column: links.to_runs(evidence.runs, of) for column, of in to_runs.items()})


def _compared(evidence, shown):
    """The records behind a table of `at_equal_cost`, those of vanilla too."""
    names = dict.fromkeys([BASELINE, *shown["method"], *shown["rival"]])
    return [record for name in names for record in evidence.runs.get(name, {}).values()]
