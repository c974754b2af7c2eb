"""The paper's claims of accuracy: what it says, what its own cells say, and the verdicts of each regime.

A claim of study.yml rests on comparisons, "A better than B" on a network.  Those with vanilla have the intervals of the
tables; all others of a regime are a family of their own, whose intervals hold together.  In the paper's own regime a
claim is *reproduced* or *contradicted*; elsewhere it *holds* or *fails* in the regime.  A question of this study is
answered with *better* or *worse*.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import pandas

from skdcore.methods import canonical
from skdcore.study.definition import at, known, study
from skdcore.study.display import Table, Tabs
from skdcore.study.evidence import FEW, of_regime
from skdcore.study.experiments import BASELINE, MINIATURE, MISSING, PAPER, RESULTS, Experiment, experiments, regimes
from skdcore.study.sentences import PERCENT, model, not_run
from skdcore.study.statistics import BETTER, NO_GAIN, UNDECIDED, WORSE, against_the_best, over, pairs, verdict
from skdcore.study.tables import gain, interval

HOLDS = "holds", "fails"


@dataclass(frozen=True)
class Comparison:
    """Is the method `better` above the "best" or the "mean" (`fold`) of its rivals, on these networks?"""

    better: str
    rivals: list
    fold: str
    experiment: Experiment
    models: list

    def __str__(self):
        rivals = ", ".join(f"`{rival}`" for rival in self.rivals)
        return f"`{self.better}` over {f'the {self.fold} of ' if len(self.rivals) > 1 else ''}{rivals}"

    @property
    def is_gain(self):
        """Whether it is a row of a table against vanilla, or the reverse."""
        return len(self.rivals) == 1 and BASELINE in (self.better, *self.rivals)

    @property
    def contrasts(self):
        """Better than the best is better than each; better than the mean is one contrast."""
        rivals = [self.rivals] if self.fold == "mean" else [[rival] for rival in self.rivals]
        return [over(self.better, some) for some in rivals]

    def pairs(self, accuracies):
        """`Pairs` of {method: {seed: accuracy}} over the seeds that all its methods have, with the best rival there."""
        ours, *rivals = (accuracies.get(method, {}) for method in (self.better, *self.rivals))
        seeds = set(ours).intersection(*rivals)
        best = max(rivals, key=lambda rival: sum(rival[seed] for seed in seeds))
        folded = rivals if self.fold == "mean" else [best]
        return pairs(ours, {seed: sum(rival[seed] for rival in folded) / len(folded) for seed in seeds})

    def cell(self, network):
        """The same difference between the paper's own cells, in percentage points; NaN where it prints too few."""
        printed = {method: values.get(network) for method, values in self.experiment.rows.items()}
        return self.pairs({method: {0: value} for method, value in printed.items() if value is not None}).difference


@dataclass(frozen=True)
class Claim:
    """`text` is what the paper says or, if `asked`, a question of this study; `size` {fold: gain} what it prints."""

    id: str
    text: str
    asked: bool
    where: str
    size: dict
    comparisons: list

    @cached_property
    def cells(self):
        """The differences between the paper's own cells, one for each comparison and network that it prints."""
        cells = [comparison.cell(network) for comparison in self.comparisons for network in comparison.models]
        return pandas.Series(cells, dtype=float).dropna()

    @property
    def printed(self):
        """`size` as text, such as "mean +2.00, max +2.87"; of a single cell the number alone."""
        return _words(self.size, len(self.cells) == 1)

    @property
    def computed(self):
        """The same from the paper's own cells, with their range and how many have the claim's sign."""
        cells = self.cells
        if cells.empty:
            return ""
        folds = _words({fold: cells.agg(fold) for fold in [*self.size, "min", "max"]}, len(cells) == 1)
        return folds if len(cells) == 1 else f"better in {(cells > 0).sum()} of {len(cells)}: {folds}"


def _words(sizes, one):
    texts = [f"{value:+.2f}" if one else f"{fold} {value:+.2f}" for fold, value in sizes.items()]
    return ", ".join(texts[:1] if one else texts)


def claims():
    """The claims of study.yml.  Raises ValueError for an experiment, a row or a network that does not exist."""
    every, names = experiments(), [entry["id"] for entry in study()["claims"]]
    return [_claim(entry, every, names) for entry in study()["claims"]]


def _claim(entry, every, names):
    with at("claims", entry["id"]):
        if ("says" in entry) == ("asks" in entry) or names.count(entry["id"]) > 1:
            raise ValueError("a claim has an id of its own, and either says or asks")
        comparisons = [_comparison(every, **one) for one in entry["comparisons"]]
        asked = "asks" in entry
        return Claim(
            entry["id"], entry["asks" if asked else "says"], asked, entry["where"], entry.get("size", {}), comparisons
        )


def _comparison(every, better, than, experiment, models=()):
    known("experiment", [experiment], every)
    chosen = every[experiment]
    ((fold, rivals),) = than.items() if isinstance(than, dict) else [("best", [than])]
    better, *rivals = map(canonical, (better, *rivals))
    known(f"row of {experiment}", [better, *rivals], chosen.rows)
    known(f"network of {experiment}", models, chosen.models)
    return Comparison(better, rivals, fold, chosen, list(models or chosen.models))


def judge(regime, results=RESULTS):
    """A row for each claim, comparison and network of a regime, with its verdict; and the `Family` of each network.

    A comparison whose methods are all in the model has an interval.  Of the others that ran, `gain` is the difference
    over the seeds that all methods have, and `baseline` the rivals' mean there.
    """
    there = {(one.dataset, one.network): one for one in of_regime(regime, results)}
    rows = {place: [] for place in there}
    for claim in claims():
        for one in claim.comparisons:
            for network in (regime.models or one.models) if regime.serves(one.experiment) else []:
                row = {"claim": claim.id, "asked": claim.asked, "size": claim.printed, "comparison": one}
                row |= {"network": network, "cell": one.cell(network), "verdict": MISSING, "n": 0}
                row |= dict.fromkeys(("gain", "low", "high", "baseline"), math.nan)
                rows.setdefault((regime.dataset or one.experiment.dataset, network), []).append(row)
    families = [_judge(rows[place], one, _answers(regime)) for place, one in there.items()]
    return pandas.DataFrame(sum(rows.values(), [])), families


class Family(NamedTuple):
    """How many contrasts of the claims on a network are not gains over vanilla, and the c of their intervals."""

    evidence: object
    contrasts: int
    c: float


def _judge(rows, evidence, answers):
    """Fills in the rows of a network.  One gain has one interval: that of a gain over vanilla is its table's."""
    estimates = evidence.model.estimates if evidence.model else {}
    inside = [row for row in rows if estimates.keys() >= {row["comparison"].better, *row["comparison"].rivals}]
    others = [row["comparison"] for row in inside if not row["comparison"].is_gain]
    contrasts = [contrast for comparison in others for contrast in comparison.contrasts]
    found, c = evidence.intervals(contrasts) if contrasts else ([], math.nan)
    left = iter(found)
    for row in rows:
        comparison = row["comparison"]
        difference, baseline, row["n"] = comparison.pairs(evidence.accuracies)
        if row in inside:
            own = None if comparison.is_gain else [next(left) for _ in comparison.contrasts]
            row["gain"], row["low"], row["high"] = against_the_best(own) if own else _gain(comparison, evidence)
            word = verdict(row["low"], row["high"])
            row["verdict"] = word if row["asked"] else answers.get(word, word)
        elif row["n"]:
            row |= {"gain": difference, "baseline": baseline, "verdict": FEW}
    return Family(evidence, len(contrasts), c)


def _gain(comparison, evidence):
    gains, _ = evidence.gains
    if comparison.better != BASELINE:
        return gains[comparison.better]
    gain, low, high = gains[comparison.rivals[0]]
    return -gain, -high, -low


def _answers(regime):
    better, worse = ("reproduced", "contradicted") if regime.id == PAPER else (f"{w} in {regime.id}" for w in HOLDS)
    return {BETTER: better, WORSE: worse}


def overview(results=RESULTS):
    """A table of the claims: how many comparisons have which verdict in the regimes that ran, and the paper's gains."""
    judged = {regime.id: judge(regime, results)[0] for regime in _regimes()}
    judged = {name: frame.groupby("claim")["verdict"] for name, frame in judged.items() if frame["n"].any()}
    rows = []
    for claim in claims():
        row = {"claim": f"`{claim.id}`"}
        for name, verdicts in judged.items():
            counts = verdicts.get_group(claim.id).value_counts(sort=False) if claim.id in verdicts.groups else {}
            row[name] = ", ".join(f"{verdict}: {count}" for verdict, count in counts.items())
        text = f"This study asks: {claim.text}" if claim.asked else claim.text
        row |= {"what the paper says": f"{text} ({claim.where})", "its size": claim.printed}
        rows.append(row | {"its own cells": claim.computed})
    caption = "The claims, in our words; how many comparisons have which verdict in each regime that has records; the "
    caption += "gains that the paper prints, in percentage points; and the same gains, computed from its own tables."
    return Table(pandas.DataFrame(rows), caption, "tab-claims-overview")


def by_regime(results=RESULTS):
    """The comparisons that ran, a tab for each regime."""
    tabs, missing = {}, []
    for regime in _regimes():
        frame, families = judge(regime, results)
        ran = frame[frame["n"] > 0]
        if ran.empty:
            missing.append(regime.id)
            continue
        caption = f"The claims in regime {regime.id} ({regime.text}): differences in percentage points. "
        caption += f"Of {len(frame)} comparisons {len(frame) - len(ran)} are {MISSING}."
        table = Table(pandas.DataFrame(map(_row, ran.itertuples())), caption, f"tab-claims-{regime.id}")
        tabs[regime.id] = [table, *map(_family, families)]
    return Tabs(tabs, not_run(missing))


def _row(row):
    says = f"says {row.size}" if row.size else ""
    printed = "" if pandas.isna(row.cell) else f"{row.cell:+.2f}"
    span = f"({interval(row)})" if interval(row) else ""
    return {
        "claim": f"`{row.claim}`",
        "comparison": str(row.comparison),
        "network": row.network,
        "the paper": "; ".join(filter(None, [printed, says])),
        f"ours, with its {PERCENT} interval": " ".join(filter(None, [gain(row), span])),
        "n": str(row.n),
        "verdict": row.verdict,
    }


def _family(family):
    text = f"**{family.evidence.network}.** {model(family.evidence)}"
    if family.contrasts:
        text += f" The {family.contrasts} contrasts of the claims with other rows are a second family, with "
        text += f"c = {family.c:.2f}: their intervals, too, hold together."
    return text


def summary(results=RESULTS):
    """The verdicts on the paper's claims in the regime nearest to the paper's that has any."""
    for regime in reversed(_regimes()):
        frame = judge(regime, results)[0].query("not asked")
        if frame["low"].notna().any():
            break
    else:
        return "No claim of the paper has a verdict yet."
    parts = []
    for word in (*_answers(regime).values(), NO_GAIN, UNDECIDED, FEW, MISSING):
        rows = frame[frame["verdict"] == word]
        names = ", ".join(f"`{claim}`" for claim in rows["claim"].unique() if word != MISSING)
        parts.append(f"{word} ({': '.join(filter(None, [str(len(rows)), names]))})")
    return (
        f"**The paper's claims in the regime `{regime.id}`** ({regime.text}). Verdicts on {len(frame)} comparisons: "
        f"{', '.join(parts)}."
    )


def _regimes():
    """All but the miniature: its characters decide nothing about photographs."""
    return [regime for regime in regimes().values() if regime.id != MINIATURE]
