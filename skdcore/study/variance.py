"""The page of Figure 3: how the variance of ranked outputs and the test accuracy move together in training.

The variance is over the test images.  The paper's text has the mean over ranks of the variance of each rank (Q22); its
code has the root of their sum, which is the root of K times that mean.  Each may be of logits or of probabilities.
"""

from math import nan

import pandas

from skdcore.study import figures, links
from skdcore.study.display import Picture, Table, Tabs
from skdcore.study.evidence import of_regime
from skdcore.study.experiments import BASELINE, MINIATURE, RESULTS, nearest_first
from skdcore.study.sentences import not_run

# {definition: (the curve of a record, the power of it)}.  A factor, such as the root of K, changes no correlation.
DEFINITIONS = {
    "logits, mean of variances": ("var_logits", 1),
    "logits, root of their sum": ("var_logits", 0.5),
    "probabilities, mean of variances": ("var_probs", 1),
    "probabilities, root of their sum": ("var_probs", 0.5),
}
DRAWN = {"test": "accuracy", "var_logits": "variance of ranked logits", "var_probs": "of ranked probabilities"}
LEAST = 3  # points of a curve: two always lie on a line
COLUMNS = ["where", "method", "trained", "seed", *DEFINITIONS]


class Variance(Tabs):
    """The correlations of each regime under tabs; `runs` {where: records of vanilla, none of a longer run}.

    `found` has a row for each run except the miniature's: its characters decide nothing about photographs.
    """

    def __init__(self, results=RESULTS):
        tabs, found, missing, self.runs = {}, [pandas.DataFrame(columns=COLUMNS)], [], {}
        for regime in nearest_first():
            there = [one for one in of_regime(regime, results) if one.runs.get(BASELINE)]
            missing += [] if there else [regime.id]
            for one in there:
                where = f"{regime.id}, {one.network} on {one.dataset}"
                frame = correlations(one.runs)
                name = f"tab-fig-3-{regime.id}-{len(tabs.get(regime.id, []))}"
                tabs.setdefault(regime.id, []).append(_table(frame, where, name, one.runs))
                self.runs[where] = list(one.runs[BASELINE].values())
                if regime.id != MINIATURE:
                    found.append(frame.assign(where=where))
        self.found = pandas.concat([one for one in found if len(one)] or found, ignore_index=True)
        super().__init__(tabs, not_run(missing))


def correlations(runs):
    """A row for each run of {row: {seed: record}}: Pearson's r of variance and accuracy by each definition.

    `method` is the name of the row, `trained` the method alone: "vanilla" also where vanilla was trained for longer.
    """
    rows = [
        {"method": name, "trained": record["run"]["method"], "seed": seed}
        | {definition: pearson(record["curve"], *how) for definition, how in DEFINITIONS.items()}
        for name, by_seed in runs.items()
        for seed, record in by_seed.items()
    ]
    return pandas.DataFrame(rows, columns=COLUMNS[1:])


def pearson(curve, key, power):
    """Pearson's r of a variance, to a power, and the test accuracy over the epochs that were scored.

    NaN with fewer than LEAST of them, or where one of the two never changes.
    """
    from scipy.stats import pearsonr  # takes a second

    variance, accuracy = pandas.Series(curve[key]) ** power, pandas.Series(curve["test"])
    if len(accuracy) < LEAST or variance.nunique() == 1 or accuracy.nunique() == 1:
        return nan
    return float(pearsonr(variance, accuracy).statistic)


def finding(found):
    """What the correlations say of the paper's sign, from the rows of vanilla and then of all methods."""
    r = found.loc[found["trained"] == BASELINE, [*DEFINITIONS]].dropna()
    if r.empty:
        return f"**Not known yet.** No run of `{BASELINE}` on photographs has {LEAST} scored epochs."
    span, negative = f"{r.min(axis=None):+z.2f} to {r.max(axis=None):+z.2f}", r < 0
    named = ", ".join(f"`{name}`" for name in found.loc[r.index, "where"].str.partition(",")[0].unique())
    runs = f"{'the only run' if len(r) == 1 else f'all {len(r)} runs'} of plain training on photographs ({named})"
    if not negative.any(axis=None):
        text = f"**Not the paper's sign.** In {runs}, Pearson's r of accuracy and the variance of the ranked outputs "
        text += f"is {span}, whichever of the four definitions is used; the paper's is strongly negative."
    elif negative.all(axis=None):
        text = f"**The sign is the paper's.** In {runs}, the variance of the ranked outputs falls "
        text += f"as the accuracy rises, by each of the four definitions: Pearson's r is {span}."
    else:
        counts = ", ".join(f"{name} {count}" for name, count in negative.sum().items())
        text = f"**The sign is not the same everywhere.** Pearson's r in plain training is {span}. How many of the "
        text += f"{len(r)} runs have the negative sign of the paper, by definition: {counts}."
    return f"{text}{_beyond(found)}"


def _beyond(found):
    """The same of all methods, as a sentence; empty if vanilla alone ran."""
    every = found.dropna()
    if set(every["trained"]) == {BASELINE}:
        return ""
    least, others = every[[*DEFINITIONS]].min(axis=1), every["trained"] != BASELINE
    lowest, number = every.loc[least.idxmin()], others.sum()
    return (
        f" In {(least[others] < 0).sum()} of {number} run{'s' * int(number != 1)} of other methods on photographs, r "
        f"is negative by some definition. The lowest of all is {least.min():+z.2f}: `{lowest['method']}`, seed "
        f"{lowest['seed']}, in {lowest['where']}."
    )


def curves(runs):
    """The picture of accuracy and variances by epoch in the runs of vanilla, {where: records}; None without one."""
    if not runs:
        return None
    parts = []
    for where, records in runs.items():
        ends = {key: pandas.DataFrame([run["curve"][key] for run in records]).mean() for key in DRAWN}
        said = [f"{words} from {ends[key].iloc[0]:.3g} to {ends[key].iloc[-1]:.3g}" for key, words in DRAWN.items()]
        parts.append(f"{where}: {', '.join(said)}.")
    alt = f"Curves over the epochs of plain training, by their means over the runs. {' '.join(parts)}"
    caption = (
        "Plain training, a row of panels for each regime and a line for each run: test accuracy, and the variance "
        "of ranked outputs as the paper's text defines it. Longer runs are not drawn."
    )
    return Picture(figures.variances(runs), caption, alt, "fig-3-curves")


def coefficients(found):
    """The picture of Pearson's r in the runs of vanilla, by definition; None without a run."""
    rows = found[found["trained"] == BASELINE]
    if rows.empty:
        return None
    known = {name: values for name in DEFINITIONS if len(values := rows[name].dropna())}
    parts = [f"{name}: {values.min():+z.2f} to {values.max():+z.2f}" for name, values in known.items()]
    alt = f"Pearson's r of {len(rows)} runs of plain training, by definition. {'; '.join(parts)}."
    caption = (
        "Pearson's r of variance and test accuracy by the four definitions; a mark is a run of plain training, longer "
        "runs included."
    )
    return Picture(figures.correlations(rows, DEFINITIONS), caption, alt, "fig-3-coefficients")


def _table(frame, where, name, runs):
    rows = []
    for method, own in frame.groupby("method", sort=False):
        row = {"method": f"`{method}`", "n": str(len(own))}
        rows.append(row | {words: _span(own[words].dropna()) for words in DEFINITIONS})
    caption = f"Pearson's r of the variance of ranked outputs and the test accuracy, regime {where}: the mean over n "
    to_runs = {"n": links.to_runs(runs, frame["method"].unique())}
    return Table(pandas.DataFrame(rows), f"{caption}runs, and the lowest and the highest.", name, to_runs)


def _span(r):
    if r.empty:
        return "too few points"
    return f"{r.mean():+z.2f}" + (f" ({r.min():+z.2f} to {r.max():+z.2f})" if len(r) > 1 else "")
