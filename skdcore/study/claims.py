"""The claims of study.yml, and the verdicts on those of accuracy.

A claim of accuracy rests on comparisons, "A better than B" on a network.  Those with vanilla have the intervals of the
tables; all others of a regime are a family of their own, with simultaneous intervals.  In the paper's own regime a
claim is *reproduced* or *contradicted*; elsewhere it *holds* or *fails* there, and the verdict names the place.  A
question of this study is answered with *better* or *worse*.  What other kinds of claims measure is in measured.py.
"""

from dataclasses import dataclass, field
from math import inf

import pandas

from skdcore.methods import canonical
from skdcore.models import MODELS
from skdcore.study.definition import at, known, study
from skdcore.study.experiments import BASELINE, MISSING, PAPER, Experiment, experiments
from skdcore.study.links import known_runs
from skdcore.study.rows import UNEQUAL, Rows
from skdcore.study.statistics import BETTER, UNDECIDED, WORSE, Interval, against_the_best, over, pairs

ACCURACY = "accuracy"  # the kind of a claim that has comparisons


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

    def printed(self, network):
        """The same difference as the paper prints it, in percentage points; NaN where it prints too few numbers."""
        printed = {method: values.get(network) for method, values in self.experiment.rows.items()}
        return self.pairs({method: {0: value} for method, value in printed.items() if value is not None}).difference


@dataclass(frozen=True)
class Claim:
    """What the paper `says` or this study `asks`, and the `size` that the paper prints, in words.

    A claim of the `kind` accuracy has `comparisons`.  Any other kind measures the methods `of` the claim, `against`
    each of some others or by themselves, on the networks `models`.  What is measured must lie between `at_least` and
    `at_most`; a claim of accuracy without these asks for a gain above zero.  `printed` {method: number} are the two
    numbers from which the paper has a ratio.
    """

    id: str
    where: str
    says: str = ""
    asks: str = ""
    size: str = ""
    kind: str = ACCURACY
    comparisons: list = field(default_factory=list)
    of: list = field(default_factory=list)
    against: list = field(default_factory=list)
    models: list = field(default_factory=list)
    printed: dict = field(default_factory=dict)
    at_least: float = -inf
    at_most: float = inf

    @property
    def has_bounds(self):
        """Whether what is measured must lie between two ends."""
        return (self.at_least, self.at_most) != (-inf, inf)

    def verdict(self, place, low, high):
        """An interval against the bounds, in words: it lies between them, outside, or across one of them."""
        if self.at_least <= low and high <= self.at_most:
            return answers(place)[0]
        return answers(place)[1] if high < self.at_least or low > self.at_most else UNDECIDED

    def computed(self):
        """The same from the paper's own numbers, in words: its ratio, or its gains and how many have the right sign."""
        if self.printed:
            ours, rival = self.printed.values()
            return f"×{ours / rival:.2f}"
        gains = [comparison.printed(network) for comparison in self.comparisons for network in comparison.models]
        gains = pandas.Series(gains, dtype=float).dropna()
        if len(gains) < 2:
            return "".join(map("{:+z.2f} points".format, gains))
        span = f"{gains.mean():+z.2f} points on average ({gains.min():+z.2f} to {gains.max():+z.2f})"
        return f"above zero in {(gains > 0).sum()} of {len(gains)}; {span}"


def answers(place):
    """How a claim is confirmed and refuted `place`, such as "in tenth"; at the paper's own scale, without a place."""
    return (f"holds {place}", f"fails {place}") if place else ("reproduced", "contradicted")


def within(regime):
    """A regime as the place of a verdict."""
    return "" if regime.id == PAPER else f"in {regime.id}"


def claims():
    """The claims of study.yml.  Raises ValueError for an experiment, a row or a network that does not exist."""
    every, names = experiments(), [entry["id"] for entry in study()["claims"]]
    return [_claim(entry, every, names) for entry in study()["claims"]]


def _claim(entry, every, names):
    with at("claims", entry["id"]):
        if ("says" in entry) == ("asks" in entry) or names.count(entry["id"]) > 1:
            raise ValueError("a claim has an id of its own, and either says or asks")
        if len(entry.keys() & {"comparisons", "kind"}) != 1 or ("kind" in entry) != ("of" in entry):
            raise ValueError("a claim has either comparisons, or a kind and what it is of")
        known("network", entry.get("models", []), MODELS)
        names_ = {key: list(map(canonical, entry.get(key, []))) for key in ("of", "against")}
        printed = {canonical(method): number for method, number in entry.get("printed", {}).items()}
        comparisons = [_comparison(every, **one) for one in entry.get("comparisons", [])]
        return Claim(**entry | names_ | {"printed": printed, "comparisons": comparisons})


def _comparison(every, better, than, experiment, models=()):
    known("experiment", [experiment], every)
    chosen = every[experiment]
    ((fold, rivals),) = than.items() if isinstance(than, dict) else [("best", [than])]
    better, *rivals = map(canonical, (better, *rivals))
    known(f"row of {experiment}", [better, *rivals], chosen.rows)
    known(f"network of {experiment}", models, chosen.models)
    return Comparison(better, rivals, fold, chosen, list(models or chosen.models))


def judge(regime, evidence):
    """A row for each claim, comparison and network of a regime, with its verdict; and the families of the networks.

    `evidence` is that of the regime, a list as `of_regime` gives it.  `runs` are the addresses of the pages of a
    comparison's runs, those of the better method first.

    A comparison whose methods are all in the model has an interval; of the others that ran, `gain` is the difference
    over the seeds that all methods have, and `baseline` the rivals' mean there.  A family is the evidence of a network,
    how many contrasts of the claims are no gains over vanilla, and the c of their intervals.
    """
    asked = {}
    for claim in claims():
        for one in claim.comparisons:
            dataset, _ = regime.place(one.experiment)
            for network in (regime.models or one.models) if regime.serves(one.experiment) else []:
                asked.setdefault((dataset, network), []).append((claim, one))
    there = {(one.dataset, one.network): one for one in evidence}
    rows, families = [], []
    for pair, pairs_ in asked.items():
        found, intervals = there.get(pair), {}
        if found:
            intervals, *family = _intervals([one for _, one in pairs_], found)
            families.append((found, *family))
        for claim, one in pairs_:
            rows_ = found or Rows({})
            few = one.pairs(rows_.values)
            row = {"claim": claim.id, "asked": bool(claim.asks), "comparison": one, "n": few.n}
            row |= {"network": pair[1], "printed": one.printed(pair[1])}
            row |= rows_.judged(intervals.get(str(one)), few, one.better, *one.rivals)
            row["runs"] = known_runs(found.runs if found else {}, [one.better, *one.rivals])
            rows.append(row | {"verdict": _verdict(claim, regime, row)})
    return pandas.DataFrame(rows), families


def _intervals(comparisons, evidence):
    """{comparison: Interval} of those whose methods are all in the model, the size of their family, and its c.

    One gain has one interval: that of a gain over vanilla is its table's.
    """
    inside = [one for one in comparisons if evidence.have(one.better, *one.rivals)]
    family = {(str(one), i): it for one in inside if not one.is_gain for i, it in enumerate(one.contrasts)}
    found, c = evidence.intervals(family)
    gains, known = evidence.gains[0], {}
    for one in inside:
        own = [interval for (name, _), interval in found.items() if name == str(one)]
        known[str(one)] = one.from_gains(gains) if one.is_gain else against_the_best(own)
    return known, len(family), c


def _verdict(claim, regime, row):
    if not row["verdict"]:
        return MISSING
    if row["verdict"] == UNEQUAL:
        return UNEQUAL
    if claim.has_bounds and not pandas.isna(row["low"]):
        return claim.verdict(within(regime), row["low"], row["high"])
    words = {} if claim.asks else dict(zip((BETTER, WORSE), answers(within(regime)), strict=True))
    return words.get(row["verdict"], row["verdict"])
