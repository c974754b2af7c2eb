"""The page of the claims, made from the structure of assessment.py."""

import pandas

from skdcore.study.claims import ACCURACY, answers, within
from skdcore.study.definition import known
from skdcore.study.display import Table, Tabs
from skdcore.study.experiments import MISSING, PAPER, deciding
from skdcore.study.links import to_claim
from skdcore.study.measured import KINDS, OPEN
from skdcore.study.quantities import QUANTITIES
from skdcore.study.rows import FEW, UNEQUAL
from skdcore.study.sentences import PERCENT, not_run
from skdcore.study.statistics import MIN_SEEDS, NO_GAIN, UNDECIDED
from skdcore.study.tables import interval

OF = {ACCURACY: "accuracy", "confidence": "temperature", "calibration": "ece", "separation": "silhouette"}
OF |= {"attention": "insertion"}  # the quantities whose differences the kinds of claims are about
FORMS = {"time": "×{:.2f}", "storage": "×{:.2f}", "correlation": "{:+z.2f}"}
FORMS |= {kind: f"{{:+z.{QUANTITIES[key].decimals}f}}" for kind, key in OF.items()}
SHOWN = 3  # estimates of one verdict; of more, the ends
SPREADS = {
    "time": "the quotient of two medians over n turns, each of the ratio to vanilla, with the quartiles farthest apart",
    "storage": "a count",
    "correlation": "the mean of n runs, with the lowest and the highest",
    "confidence": f"a mean over n seeds, with its {PERCENT} interval, simultaneous over all methods",
    "calibration": f"a mean over n seeds, with its {PERCENT} interval, simultaneous over all methods and metrics",
    "separation": f"a mean over n seeds, with its {PERCENT} interval, simultaneous over all methods",
    "attention": f"a mean over n seeds, with its {PERCENT} interval",
}


def table_of(found):
    """A row for each verdict, with what its claim is."""
    rows = [
        {"claim": claim["id"], "asked": bool(claim["asks"]), **{key: claim[key] for key in ("kind", "size")}} | row
        for claim in found["claims"]
        for row in claim["verdicts"]
    ]
    return pandas.DataFrame(rows)


def overview(found):
    """A table of the claims: what the paper says, how many verdicts of which kind we have, and the paper's numbers."""
    frame, rows = table_of(found), []
    for claim in found["claims"]:
        text = claim["says"] or f"This study asks: {claim['asks']}"
        row = {"claim": f"`{claim['id']}`", "what the paper says": f"{text} ({claim['where']})"}
        row |= {"verdicts": _verdicts(frame[frame["claim"] == claim["id"]]), "the size it prints": claim["size"]}
        rows.append(row | {"from its own tables": claim["computed"]})
    caption = "The claims in our words, and how many of their comparisons have which verdict. Beside them are the size "
    caption += "that the paper prints, gains in percentage points, and what its own tables give."
    return Table(pandas.DataFrame(rows), caption, "tab-claims-overview", defines=True)


def _verdicts(rows, form=""):
    """How many of some rows have which verdict, open ones last; with a `form`, also the estimates of the others."""
    parts = []
    for verdict, own in rows.assign(named=[*map(_named, rows.itertuples())]).groupby("named", sort=False):
        measured = own["estimate"] if form and verdict not in OPEN else []
        numbers = [*map(form.format, measured)]
        if len(numbers) > SHOWN:
            numbers = [f"{form.format(measured.min())} to {form.format(measured.max())}"]
        parts.append((verdict in OPEN, f"{verdict} ({': '.join(filter(None, [str(len(own)), ', '.join(numbers)]))})"))
    return ", ".join(text for _, text in sorted(parts, key=lambda part: part[0]))


def _named(row):
    """A verdict with its regime, unless it names it already, is open, or is at the paper's own scale."""
    where = f"in {row.regime}"
    if row.verdict in OPEN or pandas.isna(row.regime) or row.regime == PAPER:
        return row.verdict
    return f"{row.verdict.removesuffix(where).strip()} in `{row.regime}`"


def tabs(found):
    """The comparisons of accuracy that ran, a tab for each regime."""
    frame, shown, missing = table_of(found).query(f"kind == '{ACCURACY}'"), {}, []
    for regime in deciding():
        own = frame[frame["regime"] == regime.id]
        if own.empty:  # no comparison belongs there
            continue
        ran = own[own["n"] > 0]
        if ran.empty:
            missing.append(regime.id)
            continue
        caption = f"The claims in regime {regime.id} ({regime.text}): differences in percentage points. "
        caption += f"Of {len(own)} comparisons {len(own) - len(ran)} are {MISSING}."
        if ran["baseline"].notna().any():
            caption += f" With fewer than {MIN_SEEDS} seeds, the other side's accuracy at the same seeds is given."
        rows = pandas.DataFrame(map(_difference, ran.itertuples()))
        table = Table(rows, caption, f"tab-claims-{regime.id}", _to_runs(ran))
        shown[regime.id] = [table, *found["families"].get(regime.id, [])]
    return Tabs(shown, not_run(missing))


def _difference(row):
    printed = "" if pandas.isna(row.printed) else f"{row.printed:+z.2f}"
    ours = f"{row.estimate:+z.2f}" + ("" if pandas.isna(row.baseline) else f" over {row.baseline:.2f}")
    span = interval(row) and f" ({interval(row)})"
    return {
        "claim": f"`{row.claim}`",
        "verdict": row.verdict,
        "comparison": f"{row.what}, {row.experiment}",
        "network": row.network,
        "the paper": "; ".join(filter(None, [printed, row.size and f"says {row.size}"])),
        f"ours, with its {PERCENT} interval": ours + span,
        "n": f"{row.n:.0f}",
    }


def beyond(found):
    """What the claims about something else measured, a tab for each kind; kinds without a record in a sentence."""
    frame, shown, after = table_of(found), {}, []
    for kind in KINDS:
        own = frame[frame["kind"] == kind]
        ran = own[~own["verdict"].isin(OPEN)]
        if ran.empty:
            after.append(f"{len(own)} comparisons of {kind}, none measured yet.")
            continue
        caption = f"Claims of {kind}. Ours is {SPREADS[kind]}. Of {len(own)} comparisons {len(own) - len(ran)} have no "
        table = pandas.DataFrame([_measurement(row, FORMS[kind]) for row in ran.itertuples()])
        shown[kind] = [Table(table, f"{caption}record yet.", f"tab-claims-{kind}", _to_runs(ran))]
    return Tabs(shown, " ".join(after))


def _to_runs(rows):
    """The links of a table: n leads to the runs of the method that a row is about."""
    return {"n": [runs[0] if runs else None for runs in rows["runs"]]}


def _measurement(row, form):
    span = (
        "" if row.low == row.high or pandas.isna(row.low) else f" ({form.format(row.low)} to {form.format(row.high)})"
    )
    return {
        "claim": f"`{row.claim}`",
        "verdict": row.verdict,
        "comparison": row.what,
        "network": row.network,
        "where": row.place,
        "the paper": row.size,
        "ours": form.format(row.estimate) + span,
        "n": "" if pandas.isna(row.n) else f"{row.n:.0f}",
    }


def retold(found, *names):
    """What the paper claims in some of the claims, what its own numbers say, and our verdicts, as a list with links.

    Raises ValueError for an unknown claim.
    """
    chosen, frame, items = {claim["id"]: claim for claim in found["claims"]}, table_of(found), []
    known("claim", names, chosen)
    for name in names:
        claim, own = chosen[name], frame[frame["claim"] == name]
        text = claim["says"] or f"This study asks: {claim['asks']}"
        text += f" By the paper's own numbers: {claim['computed']}." if claim["computed"] and claim["says"] else ""
        form = "" if claim["kind"] == "calibration" else FORMS[claim["kind"]]  # its metrics have several units
        items.append(f"- {text} {to_claim(name)}: {_verdicts(own, form)}.")
    return "\n".join(items)


def summary(found):
    """The verdicts on the paper's claims of accuracy in each regime that has any, nearest first, as a list."""
    frame = table_of(found).query(f"not asked and kind == '{ACCURACY}'")
    own = [(regime, frame[frame["regime"] == regime.id]) for regime in deciding()]
    items = [f"- {_in_regime(regime, rows)}" for regime, rows in own if rows["low"].notna().any()]
    if not items:
        return "No claim of the paper about accuracy has a verdict yet."
    head = "**The paper's claims about accuracy.** How many of their comparisons have which verdict, without those of "
    return "\n".join([f"{head}this study's own questions:", "", *items])


def _in_regime(regime, own):
    parts = []
    for word in (*answers(within(regime)), NO_GAIN, UNDECIDED, UNEQUAL, FEW, MISSING):
        rows = own[own["verdict"] == word]
        names = ", ".join(to_claim(claim) for claim in rows["claim"].unique() if word != MISSING)
        named = word.replace(f"in {regime.id}", f"in `{regime.id}`")
        parts += [f"{named} ({': '.join(filter(None, [str(len(rows)), names]))})"] if len(rows) else []
    return f"`{regime.id}` ({regime.text}): {', '.join(parts)}."
