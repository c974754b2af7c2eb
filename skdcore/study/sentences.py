"""What the records say, in words: the sentences of the pages."""

import pandas

from skdcore.study import costs, experiments
from skdcore.study.tables import interval, ours

PROPOSED = ("drg", "dsr", "drg+dsr")


def judged(table, results=experiments.RESULTS):
    """The comparison at the paper's scale, or at the small scale until one of the paper's methods has a verdict there.

    Returns the scale's name, the frame of `Experiment.compare`, and those of its rows that have such a verdict.
    """
    for name in ("paper", "small"):
        frame = table.compare(*experiments.at_scale(table, name, results))
        rows = frame[frame["method"].isin(PROPOSED) & frame["low"].notna()]
        if len(rows):
            break
    return name, frame, rows


def answer(table, results=experiments.RESULTS):
    """Does it work?  The book's first words, from what `judged` returns."""
    name, frame, rows = judged(table, results)
    if not len(rows):
        return "**Not known so far.** None of the paper's methods has three seeds yet."
    better, worse = ((rows["verdict"] == verdict).sum() for verdict in ("better", "worse"))
    every = better == len(rows) and rows["method"].nunique() == len(PROPOSED)
    word = "yes" if every else "in part" if better else "not shown so far"
    others = frame[(frame["verdict"] == "better") & ~frame["method"].isin(PROPOSED)]
    names = ", ".join(f"`{method}`" for method in others["method"].unique()) or "none"
    return (
        f"**Of the paper's methods: {word}.** This rests on the {name} scale ({experiments.scale(name)['text']}). DRG, DSR "
        f"and their sum have {len(rows)} comparisons with plain training there: gains beyond the noise {better}, "
        f"losses {worse}. The mean differences go from {_span(rows['gain'])} points, the upper ends of their "
        f"intervals from {_span(rows['high'])}; the paper's gains on {rows['paper_model'].iloc[0]} from "
        f"{_span(rows['paper_gain'])}. Of the other methods, these gain beyond the noise: {names}."
    )


def _span(values):
    return f"{values.astype(float).min():+.2f} to {values.astype(float).max():+.2f}"


def by_scale(table, miniature):
    """What the records say of an experiment at each scale: a Markdown list, an item a scale and model."""
    items = []
    for name in ("paper", "small", "miniature"):
        found, models = experiments.at_scale(table, name, miniature if name == "miniature" else experiments.RESULTS)
        text = f"**The {name} scale** ({experiments.scale(name)['text']})"
        if not found:
            items.append(f"{text}: {experiments.MISSING}.")
        for model in dict.fromkeys(record["run"]["model"] for record in found):
            frame = table.compare(found, [model])
            vanilla = ours(next(frame[frame["method"] == "vanilla"].itertuples()))
            verdicts = _by_verdict(frame, lambda row: f"`{row.method}`") or experiments.MISSING
            items.append(f"{text}, `{model}`: vanilla reaches {vanilla} %. {fit(found, model)} The others: {verdicts}.")
    return "\n".join(f"- {item}" for item in items)


def sentences(table, found, models):
    """`sentence` and `fit` of each model's comparison, as Markdown."""
    return "\n\n".join(
        f"**{model}.** {sentence(table.compare(found, [model]))} {fit(found, model)}" for model in models
    )


def sentence(frame):
    """What a comparison of one model shows, in one sentence made from its numbers."""
    gains = "Gains in percentage points, paired by seed, with 95 % intervals, are"
    parts = _by_verdict(frame, _gain)
    return f"{gains} {parts}." if parts else "There is nothing to compare with vanilla yet."


def _by_verdict(frame, show):
    """The methods of a comparison under their verdicts, each as `show(row)`."""
    parts = []
    for verdict, words in (
        ("better", "better than vanilla beyond the noise"),
        ("worse", "worse than vanilla beyond the noise"),
        (experiments.NOISE, "within the noise of vanilla"),
        (experiments.FEW, "of fewer than three seeds, so without a verdict"),
    ):
        rows = frame[frame["verdict"] == verdict]
        if len(rows):
            parts.append(f"{words}: {', '.join(map(show, rows.itertuples()))}")
    return "; ".join(parts)


def _gain(row):
    parts = filter(None, [f"{row.gain:+.2f}", interval(row)])
    return f"`{row.method}` ({', '.join(parts)})"


def fit(found, model):
    """How well vanilla fits its training part, in a sentence; empty without a run of it."""
    ran = (r for r in found if (r["run"]["model"], r["run"]["method"], r["state"]) == (model, "vanilla", "finished"))
    ends = [{"train": r["curve"]["train"][-1], "test": r["final"]["accuracy"]} for r in ran]
    if not ends:
        return ""
    ends = pandas.DataFrame(ends).mean()
    return (
        f"In its last epoch vanilla is right on {ends['train']:.0f} % of the augmented training images and on "
        f"{ends['test']:.0f} % of the test images."
    )


def variances(table, results=experiments.RESULTS):
    """What the records say of the paper's Figure 3, in a Markdown list: correlations over the epochs of vanilla."""
    items = []
    for name in ("paper", "small"):
        found, _ = experiments.at_scale(table, name, results)
        ran = (r for r in found if r["run"]["method"] == "vanilla" and r["state"] == "finished")
        curves = [pandas.DataFrame(r["curve"] | {"loss": 0}) for r in ran]
        parts = []
        for key, words in (("var_logits", "logits"), ("var_probs", "probabilities")):
            r = [curve[key].corr(curve["test"]) for curve in curves]
            parts.append(f"{', '.join(f'{one:+.2f}' for one in r)} for ranked {words}")
        items.append(f"- **The {name} scale**: {' and '.join(parts) if curves else experiments.MISSING}.")
    return "\n".join(items)


def cheapness(record):
    """What a step of DRG+DSR costs beside the two rivals of the paper's Figure 4 and vanilla, in two sentences."""
    sum_, rivals = "drg+dsr", ("byot", "dlb", "vanilla")
    over = {method: step["over vanilla"] for method, step in record["steps"].items()}
    extra = costs.costs(record["model"], [sum_, *rivals])["extra parameters"]
    shares = ", ".join(f"{over[sum_] / over[rival]:.2f} of `{rival}`'s" for rival in rivals)
    numbers = ", ".join(f"`{method}` {extra[method]:,}" for method in (sum_, *rivals[:2]))
    where = f"On {record['provenance']['device']} a step of `{sum_}` on {record['model']} takes"
    return f"{where} {shares}. Parameters in training beyond the network's own: {numbers}."
