"""What the records say, in words: the sentences of the pages, as Markdown."""

from pathlib import Path

import pandas

from skdcore.study.evidence import PROPOSED, nearest, on
from skdcore.study.experiments import BASELINE, MINIATURE, MISSING, RESULTS, serving
from skdcore.study.experiments import regime as regime_of
from skdcore.study.rows import FEW, UNEQUAL
from skdcore.study.statistics import BETTER, LEVEL, MARGIN, MIN_SEEDS, NO_GAIN, UNDECIDED, WORSE
from skdcore.study.tables import interval, parts

PERCENT = f"{100 * LEVEL:g} %"
HEADS = {
    BETTER: "Better than vanilla",
    WORSE: "Worse than vanilla",
    NO_GAIN: f"No gain above {MARGIN:g} points",
    UNDECIDED: "Undecided",
    UNEQUAL: "Without a verdict, because of unequal spread",
    FEW: f"Fewer than {MIN_SEEDS} seeds, so without an interval",
}

JUDGED = {  # of one method, of several
    BETTER: ("is better than plain training", "are better than plain training"),
    WORSE: ("is worse than plain training", "are worse than plain training"),
    NO_GAIN: (f"has {NO_GAIN} points", f"have {NO_GAIN} points"),
    UNDECIDED: ("is shown to be neither better nor worse", "are shown to be neither better nor worse"),
    UNEQUAL: ("has no verdict, because of unequal spread", "have no verdict, because of unequal spread"),
}


NOTHING = "There is nothing to compare with vanilla yet."


def rules():
    """What a verdict means, and when there is one."""
    return (
        f"A difference is *{BETTER}* or *{WORSE}* if its {PERCENT} interval leaves out zero. It shows *{NO_GAIN}* "
        f"points if the interval holds zero but ends below {MARGIN:g} points, and is *{UNDECIDED}* otherwise. A row "
        f"with fewer than {MIN_SEEDS} seeds has no interval. A difference that involves a row of *{UNEQUAL}* has no "
        "verdict."
    )


def verdicts(frame):
    """The methods of a comparison under their verdicts, with their gains, and the intervals that leave out zero."""
    parts = []
    for verdict, head in HEADS.items():
        named = []
        for row in frame[frame["verdict"] == verdict].itertuples():
            span = f", {interval(row)}" if verdict in (BETTER, WORSE) else ""
            named.append(f"`{row.method}` ({row.gain:+z.2f}{span})")
        parts += [f"{head}: {', '.join(named)}."] if named else []
    return " ".join(parts) or NOTHING


def ends(evidence):
    """Where vanilla ends on both splits, the mean over its seeds; empty without a run of it."""
    if BASELINE not in evidence.runs:
        return ""
    curves = [run["curve"] for run in evidence.runs[BASELINE].values()]
    test, train = (pandas.Series([curve[split][-1] for curve in curves]).mean() for split in ("test", "train"))
    text = f"Vanilla ends at {test:.1f} % on the test images and {train:.1f} % on the training images, as it saw them "
    return f"{text}in its last epoch."


def basis(evidence):
    """Where the intervals of a network come from, and a warning where their assumption looks wrong."""
    if not evidence.gains[0]:
        return f"There are no intervals: they need vanilla and another row with {MIN_SEEDS} seeds each."
    of, (gains, c) = evidence.model, evidence.gains
    where = processors(evidence)
    text = (
        f"{family(evidence, 'all gains over vanilla', len(gains), c)} They come from one linear model, accuracy = "
        f"method + seed + error, of the {len(of.estimates)} rows of {evidence.where} that have at least {MIN_SEEDS} "
        "seeds, on this page or another; s is the standard deviation of an error, and the residual sd of a row its own "
        f"estimate of s.{where and f' {where}'}"
    )
    return text + "".join(
        f" **Unequal spread:** `{method}` has a residual sd of {of.sds[method]:.2f} points, more than chance explains "
        f"at the {100 - 100 * LEVEL:.0f} % level. The model takes all rows to be alike in this, so the interval of "
        "this row is too narrow, the others' too wide; its differences have no verdict. With few seeds the test misses "
        "most such rows."
        for method in sorted(evidence.unequal)
    )


def processors(evidence):
    """Which rows of the model ran on which processors, as a sentence; empty where all runs had the same."""
    made_on, every = {}, set()
    for method in evidence.model.estimates:
        devices = {device for record in evidence.runs[method].values() for device in parts(record, "device")}
        made_on.setdefault(" and ".join(sorted(devices)), []).append(f"`{method}`")
        every |= devices
    if len(every) == 1:
        return ""
    rows = "; ".join(f"on {devices}: {', '.join(methods)}" for devices, methods in made_on.items())
    return (
        f"**Not all runs had the same processor** ({rows}). Processors round differently, so a difference between such "
        "rows includes that effect; the model takes it for chance."
    )


def family(evidence, contrasts, number, c):
    """What a family of simultaneous intervals is of, in words and in number, and what made them as wide as they are."""
    networks = f" and on all {evidence.networks} networks (Bonferroni: {100 * evidence.level:.3g} % on each)"
    return (
        f"The simultaneous {PERCENT} intervals of {contrasts} ({number}){networks * (evidence.networks > 1)} have "
        f"c = {c:.2f}, s = {evidence.model.s:.2f} points and {evidence.model.df} degrees of freedom."
    )


def answer(experiment, results=RESULTS):
    """What was found at the best evidence, how sure that is, and what is not yet run: the first words of the book."""
    regime, there = nearest(experiment, results)
    missing = not_run([one.id for one in serving(experiment) if not on(experiment, one, results)])
    if not there:
        return f"**Not known yet.** None of the paper's methods has {MIN_SEEDS} seeds. {missing}".strip()
    frame = pandas.concat([one.compare(experiment).assign(network=one.network) for one in there])
    ours = frame[frame["low"].notna() & frame["method"].isin(PROPOSED)]
    every, better = len(ours) == len(PROPOSED) * len(there), ours["verdict"] == BETTER
    none = every and ours["verdict"].isin([WORSE, NO_GAIN]).all()
    head = "Yes" if every and better.all() else "In part" if better.any() else HEADS[NO_GAIN] if none else "Not shown"
    found = [_judged(ours[ours["network"] == one.network], one.network * (len(there) > 1)) for one in there]
    intervals = "interval runs" if len(ours) == 1 else "intervals run"
    networks = " and ".join(ours["paper_network"].unique())
    return (
        f"**{head} for the paper's methods.** The regime nearest to the paper's that has verdicts is `{regime.id}` "
        f"({regime.text}). There "
        f"{'; '.join(found)}. With {ours['n'].min()} seeds, the {PERCENT} {intervals} from "
        f"{_span(ours, 'low', 'high')} points, simultaneously over all methods; on {networks} the paper prints "
        f"{_span(ours, 'paper_gain', 'paper_gain')}. {missing}"
    ).strip()


def _judged(rows, network):
    """Methods with their gains before their verdicts, as clauses; they name the network, if given."""
    parts = []
    for verdict, text in JUDGED.items():
        names = [f"`{row.method}` ({row.gain:+z.2f})" for row in rows[rows["verdict"] == verdict].itertuples()]
        parts += [f"{' and '.join(names)} {text[len(names) > 1]}"] if names else []
    return "; ".join(parts) + (network and f" on {network}")


def _span(frame, low, high):
    least, most = f"{frame[low].min():+z.2f}", f"{frame[high].max():+z.2f}"
    return least if least == most else f"{least} to {most}"


def by_regime(experiment, miniature):
    """What each regime says of an experiment, the paper's first, as a list.

    `miniature`: the folder of its records, which need not be there before the first notebook has trained it.
    """
    items, missing = [], []
    for regime in [*serving(experiment), regime_of(MINIATURE)]:
        results = miniature if regime.id == MINIATURE else RESULTS
        there = on(experiment, regime, results) if results is RESULTS or Path(results).is_dir() else []
        missing += [] if there else [regime.id]
        items += [
            f"**`{regime.id}`** ({regime.text}; {one.network}). {verdicts(one.compare(experiment))} {ends(one)}"
            for one in there
        ]
    return listed(items, missing)


def listed(items, missing=()):
    """A list in Markdown, with a last item on the regimes that are `missing`, if any."""
    return "\n".join(f"- {item}" for item in [*items, *filter(None, [not_run(missing)])])


def not_run(names):
    """A sentence on the regimes without a record; empty without a name."""
    return f"{MISSING.capitalize()}: {', '.join(f'`{name}`' for name in names)}." if names else ""


def none_run(number, of=""):
    """A sentence on comparisons that all lack a record."""
    return f"{number} comparisons{of}, none run yet."
