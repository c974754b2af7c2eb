"""The paper's claims of accuracy: what it says, what its own cells say, and the verdicts of each regime.

A claim of study.yml rests on comparisons, "A better than B" on a network.  Those with vanilla have the intervals of the
tables; all others of a regime are a family of their own, with simultaneous intervals.  In the paper's own regime a
claim is *reproduced* or *contradicted*; elsewhere it *holds* or *fails* in the regime.  A question of this study is
answered with *better* or *worse*.
"""

from dataclasses import dataclass

import pandas

from skdcore.methods import canonical
from skdcore.study.definition import at, known, study
from skdcore.study.display import Table, Tabs
from skdcore.study.evidence import FEW, judged, of_regime
from skdcore.study.experiments import BASELINE, MISSING, PAPER, RESULTS, Experiment, deciding, experiments
from skdcore.study.sentences import PERCENT, basis, not_run
from skdcore.study.statistics import BETTER, NO_GAIN, UNDECIDED, WORSE, Interval, against_the_best, over, pairs
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

    def from_gains(self, gains):
        """Its interval among those of the gains over vanilla, {method: Interval}."""
        if self.better != BASELINE:
            return gains[self.better]
        gain, low, high = gains[self.rivals[0]]
        return Interval(-gain, -high, -low)

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
    """What the paper `says` or this study `asks`, and the `size` of the gain that the paper prints, in words."""

    id: str
    where: str
    comparisons: list
    says: str = ""
    asks: str = ""
    size: str = ""

    def computed(self):
        """The gain computed from the paper's own cells, in words, and how many of these have the claim's sign."""
        cells = [comparison.cell(network) for comparison in self.comparisons for network in comparison.models]
        cells = pandas.Series(cells, dtype=float).dropna()
        if len(cells) < 2:
            return "".join(map("{:+.2f}".format, cells))
        span = f"mean {cells.mean():+.2f}, {cells.min():+.2f} to {cells.max():+.2f}"
        return f"better in {(cells > 0).sum()} of {len(cells)}: {span}"


def claims():
    """The claims of study.yml.  Raises ValueError for an experiment, a row or a network that does not exist."""
    every, names = experiments(), [entry["id"] for entry in study()["claims"]]
    return [_claim(entry, every, names) for entry in study()["claims"]]


def _claim(entry, every, names):
    with at("claims", entry["id"]):
        if ("says" in entry) == ("asks" in entry) or names.count(entry["id"]) > 1:
            raise ValueError("a claim has an id of its own, and either says or asks")
        return Claim(**entry | {"comparisons": [_comparison(every, **one) for one in entry["comparisons"]]})


def _comparison(every, better, than, experiment, models=()):
    known("experiment", [experiment], every)
    chosen = every[experiment]
    ((fold, rivals),) = than.items() if isinstance(than, dict) else [("best", [than])]
    better, *rivals = map(canonical, (better, *rivals))
    known(f"row of {experiment}", [better, *rivals], chosen.rows)
    known(f"network of {experiment}", models, chosen.models)
    return Comparison(better, rivals, fold, chosen, list(models or chosen.models))


def judge(regime, results=RESULTS):
    """A row for each claim, comparison and network of a regime, with its verdict; and the families of the networks.

    A comparison whose methods are all in the model has an interval; of the others that ran, `gain` is the difference
    over the seeds that all methods have, and `baseline` the rivals' mean there.  A family is the evidence of a network,
    how many contrasts of the claims are no gains over vanilla, and the c of their intervals.
    """
    asked = {}
    for claim in claims():
        for one in claim.comparisons:
            for network in (regime.models or one.models) if regime.serves(one.experiment) else []:
                asked.setdefault((regime.dataset or one.experiment.dataset, network), []).append((claim, one))
    there = {(evidence.dataset, evidence.network): evidence for evidence in of_regime(regime, results)}
    rows, families = [], []
    for place, pairs_ in asked.items():
        evidence, intervals = there.get(place), {}
        if evidence:
            intervals, *family = _intervals([one for _, one in pairs_], evidence)
            families.append((evidence, *family))
        for claim, one in pairs_:
            few = one.pairs(evidence.accuracies if evidence else {})
            row = {"claim": claim.id, "asked": bool(claim.asks), "size": claim.size, "comparison": one, "n": few.n}
            row |= {"network": place[1], "cell": one.cell(place[1])} | judged(intervals.get(str(one)), few)
            answers = {"": MISSING} | ({} if claim.asks else _answers(regime))
            rows.append(row | {"verdict": answers.get(row["verdict"], row["verdict"])})
    return pandas.DataFrame(rows), families


def _intervals(comparisons, evidence):
    """{comparison: Interval} of those whose methods are all in the model, the size of their family, and its c.

    One gain has one interval: that of a gain over vanilla is its table's.
    """
    estimates = evidence.model.estimates if evidence.model else {}
    inside = [one for one in comparisons if estimates.keys() >= {one.better, *one.rivals}]
    contrasts = [contrast for one in inside if not one.is_gain for contrast in one.contrasts]
    found, c = evidence.intervals(contrasts)
    left, gains = iter(found), evidence.gains[0]
    known = {
        str(one): one.from_gains(gains) if one.is_gain else against_the_best([next(left) for _ in one.contrasts])
        for one in inside
    }
    return known, len(contrasts), c


def _answers(regime):
    better, worse = ("reproduced", "contradicted") if regime.id == PAPER else (f"{w} in {regime.id}" for w in HOLDS)
    return {BETTER: better, WORSE: worse}


def overview(results=RESULTS):
    """A table of the claims: how many comparisons have which verdict in the regimes that ran, and the paper's gains."""
    frames = {regime.id: judge(regime, results)[0] for regime in deciding()}
    frames = {name: frame for name, frame in frames.items() if frame["n"].any()}
    rows = []
    for claim in claims():
        row = {"claim": f"`{claim.id}`"}
        for name, frame in frames.items():
            counts = frame.loc[frame["claim"] == claim.id, "verdict"].value_counts(sort=False)
            row[name] = ", ".join(f"{verdict}: {count}" for verdict, count in counts.items())
        text = claim.says or f"This study asks: {claim.asks}"
        row |= {"what the paper says": f"{text} ({claim.where})", "its size": claim.size}
        rows.append(row | {"its own cells": claim.computed()})
    caption = "The claims, in our words; how many comparisons have which verdict in each regime that has records; the "
    caption += "gains that the paper prints, in percentage points; and the same gains, computed from its own tables."
    return Table(pandas.DataFrame(rows), caption, "tab-claims-overview")


def tabs(results=RESULTS):
    """The comparisons that ran, a tab for each regime."""
    shown, missing = {}, []
    for regime in deciding():
        frame, families = judge(regime, results)
        ran = frame[frame["n"] > 0]
        if ran.empty:
            missing.append(regime.id)
            continue
        caption = f"The claims in regime {regime.id} ({regime.text}): differences in percentage points. "
        caption += f"Of {len(frame)} comparisons {len(frame) - len(ran)} are {MISSING}."
        table = Table(pandas.DataFrame(map(_row, ran.itertuples())), caption, f"tab-claims-{regime.id}")
        shown[regime.id] = [table, *(_family(*family) for family in families)]
    return Tabs(shown, not_run(missing))


def _row(row):
    says = f"says {row.size}" if row.size else ""
    printed = "" if pandas.isna(row.cell) else f"{row.cell:+.2f}"
    span = f"({interval(row)})" if interval(row) else ""
    return {
        "claim": f"`{row.claim}`",
        "comparison": f"{row.comparison}, {row.comparison.experiment.paper or row.comparison.experiment.name}",
        "network": row.network,
        "the paper": "; ".join(filter(None, [printed, says])),
        f"ours, with its {PERCENT} interval": " ".join(filter(None, [gain(row), span])),
        "n": str(row.n),
        "verdict": row.verdict,
    }


def _family(evidence, contrasts, c):
    text = f"**{evidence.network} on {evidence.dataset}.** {basis(evidence)}"
    if contrasts:
        text += f" The {contrasts} contrasts of the claims with other rows are a second family, with c = {c:.2f}."
    return text


def summary(results=RESULTS):
    """The verdicts on the paper's claims in the regime nearest to the paper's that has any."""
    for regime in reversed(deciding()):
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
