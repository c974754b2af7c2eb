"""What the records say, in words: the sentences of the pages, as Markdown."""

import pandas

from skdcore.study.evidence import FEW, PROPOSED, nearest, on
from skdcore.study.experiments import BASELINE, MINIATURE, MISSING, RESULTS, regimes
from skdcore.study.statistics import BETTER, LEVEL, MARGIN, MIN_SEEDS, NO_GAIN, UNDECIDED, WORSE, bonferroni, unequal

PERCENT = f"{100 * LEVEL:g} %"
HEADS = {
    BETTER: "Better than vanilla",
    WORSE: "Worse than vanilla",
    NO_GAIN: f"No gain above {MARGIN:g} points",
    UNDECIDED: "Undecided",
    FEW: f"Fewer than {MIN_SEEDS} seeds, so without an interval",
}


def rules():
    """What a verdict means, and when there is one."""
    return (
        f"A difference is *{BETTER}* or *{WORSE}* if its {PERCENT} interval leaves out zero. It shows *{NO_GAIN}* "
        f"points if the interval holds zero but ends below {MARGIN:g} points, and is *{UNDECIDED}* otherwise. A row "
        f"with fewer than {MIN_SEEDS} seeds has no interval."
    )


def verdicts(frame):
    """The methods of a comparison under their verdicts, with their gains."""
    parts = []
    for verdict, head in HEADS.items():
        rows = frame[frame["verdict"] == verdict]
        names = ", ".join(f"`{row.method}` ({row.gain:+.2f})" for row in rows.itertuples())
        parts += [f"{head}: {names}."] if names else []
    return " ".join(parts) or "There is nothing to compare with vanilla yet."


def ends(evidence):
    """Where vanilla ends on both splits; empty without a run of it."""
    ran = evidence.runs.get(BASELINE, {}).values()
    if not ran:
        return ""
    test, train = pandas.DataFrame((run["curve"]["test"][-1], run["curve"]["train"][-1]) for run in ran).mean()
    return f"Vanilla ends at {test:.1f} % on the test images and {train:.1f} % on the augmented training images."


def basis(evidence):
    """Where the intervals of a network come from, and a warning where their assumption looks wrong."""
    if not evidence.gains[0]:
        return f"There are no intervals: they need vanilla and another row with {MIN_SEEDS} seeds each."
    of, (gains, c) = evidence.model, evidence.gains
    text = (
        f"{family(evidence, 'all gains over vanilla', len(gains), c)} They come from one linear model, accuracy = "
        f"method + seed + error, of the {len(of.estimates)} rows of {evidence.where} that have at least {MIN_SEEDS} "
        "seeds; s is the standard deviation of an error, and the residual sd of a row its own estimate of s."
    )
    return text + "".join(
        f" **Unequal spread:** `{method}` has a residual sd of {of.sds[method]:.2f} points, more than chance explains. "
        "The model takes all rows to be alike in this, so the interval of this row is too narrow, the others' too wide."
        for method in unequal(of)
    )


def family(evidence, contrasts, number, c):
    """What a family of simultaneous intervals is of, in words and in number, and what made them as wide as they are."""
    level = 100 * bonferroni(evidence.networks)
    networks = f" and on all {evidence.networks} networks (Bonferroni: {level:.3g} % on each)"
    return (
        f"The simultaneous {PERCENT} intervals of {contrasts} ({number}){networks * (evidence.networks > 1)} have "
        f"c = {c:.2f}, s = {evidence.model.s:.2f} points and {evidence.model.df} degrees of freedom."
    )


def answer(experiment, results=RESULTS):
    """Does it work?  The first words of the book, from the regime that is `nearest`."""
    regime, there = nearest(experiment, results)
    if not there:
        return f"**Not known yet.** None of the paper's methods has {MIN_SEEDS} seeds."
    frame = pandas.concat([one.compare(experiment).assign(network=one.network) for one in there])
    frame = frame[frame["low"].notna()]
    ours, others = (frame[frame["method"].isin(PROPOSED) == is_ours] for is_ours in (True, False))
    every, better = len(ours) == len(PROPOSED) * len(there), ours["verdict"] == BETTER
    none = every and ours["verdict"].isin([WORSE, NO_GAIN]).all()
    head = "Yes," if every and better.all() else "In part" if better.any() else HEADS[NO_GAIN] if none else "Not shown"
    names = ", ".join(f"`{name}`" for name in others.loc[others["verdict"] == BETTER, "method"].unique())
    found = " ".join(
        (f"On {one.network}: " if len(there) > 1 else "") + verdicts(ours[ours["network"] == one.network])
        for one in there
    )
    gains = (
        f"The gains are {_span(ours, 'gain', 'gain')} points and their simultaneous {PERCENT} intervals reach from "
        f"{_span(ours, 'low', 'high')}; the paper's gains on {ours['paper_network'].iloc[0]} are "
        f"{_span(ours, 'paper_gain', 'paper_gain')}."
    )
    if len(ours) == 1:
        (row,) = ours.itertuples()
        gains = (
            f"The gain is {row.gain:+.2f} points, with a simultaneous {PERCENT} interval from {row.low:+.2f} to "
            f"{row.high:+.2f}; the paper's gain on {row.paper_network} is {row.paper_gain:+.2f}."
        )
    return (
        f"**{head} in the regime `{regime.id}`** ({regime.text}). {found} {gains} Better than vanilla among the other "
        f"methods: {names or 'none'}."
    )


def _span(frame, low, high):
    return f"{frame[low].min():+.2f} to {frame[high].max():+.2f}"


def by_regime(experiment, miniature):
    """What each regime says of an experiment, the paper's first, as a list.  `miniature`: where its records are."""
    items, missing = [], []
    for regime in reversed(regimes().values()):
        there = on(experiment, regime, miniature if regime.id == MINIATURE else RESULTS)
        missing += [] if there else [regime.id]
        items += [
            f"**`{regime.id}`** ({regime.text}; {one.network}). {verdicts(one.compare(experiment))} {ends(one)}"
            for one in there
        ]
    return _list(items, missing)


def _list(items, missing):
    return "\n".join(f"- {item}" for item in [*items, *filter(None, [not_run(missing)])])


def not_run(names):
    """A sentence on the regimes without a record; empty without a name."""
    return f"{MISSING.capitalize()}: {', '.join(f'`{name}`' for name in names)}." if names else ""


def none_run(number, of=""):
    """A sentence on comparisons that all lack a record."""
    return f"{number} comparisons{of}, none run yet."
