"""The tables and sentences of the pages, made from `Experiment.compare`, from `bench` and from the methods' code."""

import inspect
import re

import pandas

from skdcore import bench, records, study
from skdcore.methods import METHODS, signature

PROPOSED = ("drg", "dsr", "drg+dsr")
SECONDS = {"paper": "paper_seconds", "ours": "seconds"}


class Table:
    """A frame of texts that Jupyter shows as HTML and the book as a numbered table `name` with a caption."""

    def __init__(self, frame, caption, name):
        self.frame, self.caption, self.name = frame, caption, name

    def _repr_html_(self):
        return f"<p>{self.caption}</p>" + self.frame.to_html(index=False)

    def _repr_markdown_(self):
        body = self.frame.to_markdown(index=False, disable_numparse=True)
        return f"::::{{table}} {self.caption}\n:name: {self.name}\n\n{body}\n::::"


def accuracies(table, found, models, text, name):
    """An experiment's accuracies beside the paper's: gains and verdicts for one model, else a column a model."""
    frame = table.compare(found, models)
    caption = f"{table.title}: {text}. Mean ± standard deviation over n seeds, final epoch; {made(found)}."
    if len(models) == 1:
        return Table(_long(frame), caption, name)
    return Table(_wide(frame, models), f"{caption} Each cell: the paper's / ours; – is {study.MISSING}.", name)


def scaled(table, name, results=study.RESULTS):
    """`accuracies` of what there is at a scale of study.yml, named as what it is."""
    found, models = study.at_scale(table, name, results)
    text = f"the {name} scale ({study.scale(name)['text']})"
    return accuracies(table, found, models, text, f"tab-{table.name.replace('_', '-')}-{name}")


def finals(found, name):
    """The final scores of a few runs, a row each."""
    columns = {"method": "method", "accuracy": "accuracy, %", "nll": "nll", "ece": "calibration error"}
    columns |= {"entropy": "entropy", "p_true": "p(true class)", "minutes": "minutes"}
    frame = records.table(found)[list(columns)].rename(columns=columns)
    frame["method"] = "`" + frame["method"] + "`"
    run = found[0]["run"]
    caption = f"Final scores on the test part: {run['dataset']}, {run['model']}, seed {run['seed']}; {made(found)}."
    return Table(frame.round(3).astype(str), caption, name)


def costs(record, name):
    """A record of `bench` beside `bench.costs`: what a step of each method costs, measured and counted."""
    steps, where = pandas.DataFrame.from_dict(record["steps"], orient="index"), record["provenance"]
    counted = bench.costs(record["model"], [method for method in steps.index if method != bench.USUAL])
    passes = zip(counted["extra forwards"], counted["extra backwards"], strict=True)
    frame = pandas.DataFrame({"extra passes": [_passes(*pair) for pair in passes]}, index=counted.index)
    frame = frame.join(counted[["state", "extra parameters"]].map("{:,}".format)).reindex(steps.index, fill_value="")
    frame["s a step"] = steps["seconds a step"].map("{:.3f}".format)
    frame["over vanilla"] = steps["over vanilla"].map("{:.2f}".format)
    quartiles = steps[["first quartile", "third quartile"]].values
    frame["quartiles"] = [f"{low:.2f}–{high:.2f}" for low, high in quartiles]
    frame.insert(0, "method", [row if row == bench.USUAL else f"`{row}`" for row in frame.index])
    text = f"{record['model']}, batch 128, 100 classes; state in numbers kept, for 50,000 images"
    made_on = f"{where['device']}, {_threads(record)}{record['precision']}, torch {where['torch']}"
    turns = f"times are medians over {steps['steps'].min()} turns"
    return Table(frame, f"What a step costs: {text}; {turns}, on {made_on}, {where['ended'][:10]}.", name)


def _passes(forwards, backwards):
    return ", ".join(forwards * ["forward"] + backwards * ["backward"]) or "none"


def descriptions():
    """A section for each method, made from its code: signature, formula, what else its docstring says, and source."""
    return "\n\n".join(map(_description, METHODS.values()))


def _description(function):
    first, _, rest = inspect.getdoc(function).partition("\n")
    source, _, formula = first.partition(": ")
    code = re.sub(r' {4}""".*?"""\n', "", inspect.getsource(function), count=1, flags=re.DOTALL)
    parts = f"### {function.__name__}", f"`{signature(function)}`", f"**{_plain(source)}:** `{formula}`", _plain(rest)
    return "\n\n".join([*parts, f"```python\n{code}```"])


def _plain(text):
    """The text with nothing in it that Markdown would take for markup, but for code in backticks."""
    return re.sub(r"`[^`]*`|[\\*_$|<>[\]]", lambda m: m[0] if m[0][0] == "`" else "\\" + m[0], text.strip())


def made(found):
    """Where records were made: device, precision, threads and minutes a run; for a caption."""
    if not found:
        return "no run yet"
    devices = sorted({f"{r['provenance']['device']}, {_threads(r)}{r['run']['precision']}" for r in found})
    minutes = pandas.Series([r["cost"]["seconds"] / 60 for r in found if "cost" in r])
    run, where = found[0]["run"], " and ".join(devices)
    what = f"{_count(len(found), 'run')} of {_count(run['epochs'], 'epoch')} on {run['dataset']}"
    return f"{what}, on {where}, {minutes.median():.1f} minutes a run (median)"


def _count(number, noun):
    return f"{number} {noun}{'s' * (number != 1)}"


def _threads(record):
    threads = record["provenance"]["threads"]
    return "" if record["provenance"]["device"].startswith("NVIDIA") else f"{_count(threads, 'thread')}, "


def _long(frame):
    paper = {"paper, %": frame["paper"].map(lambda v: _number(v, ".2f"))} if frame["paper"].notna().any() else {}
    columns = {"method": "`" + frame["method"] + "`"} | paper
    columns |= {"ours, %": [_ours(row) for row in frame.itertuples()], "n": frame["n"].astype(str)}
    columns |= {"gain over vanilla": frame["gain"].map(lambda v: _number(v, "+.2f"))}
    columns |= {"95 % interval": [_interval(row) for row in frame.itertuples()], "verdict": frame["verdict"]}
    if frame["paper_seconds"].notna().any():
        columns |= {f"s a step, {whose}": _relative(frame, key) for whose, key in SECONDS.items()}
    return pandas.DataFrame(columns)


def _relative(frame, key):
    """Seconds a step, and in brackets the multiple of the first row of which the paper prints them."""
    timed = frame["paper_seconds"].notna()
    seconds, base = frame[key].where(timed), frame.loc[timed, key].iloc[0]
    ratios = (f" (×{s / base:.2f})" if pandas.notna(base) else "" for s in seconds)
    return [f"{s:.3f}{ratio}" if pandas.notna(s) else "" for s, ratio in zip(seconds, ratios, strict=True)]


def _wide(frame, models):
    ours = [_ours(row, count=True) if row.n else "–" for row in frame.itertuples()]
    paper = frame["paper"].map(lambda value: _number(value, ".2f"))
    wide = frame.assign(cell=paper + " / " + ours)
    wide = wide.pivot(index="method", columns="model", values="cell").loc[frame["method"].unique(), models]
    wide.index = "`" + wide.index + "`"
    return wide.rename_axis("method").reset_index()


def _ours(row, count=False):
    if not row.n:
        return study.MISSING
    spread = f" ± {row.sd:.2f}" if row.n > 1 else ""
    return f"{row.mean:.2f}{spread}" + (f" (n = {row.n})" if count else "")


def _interval(row):
    return "" if pandas.isna(row.low) else f"{row.low:+.2f} to {row.high:+.2f}"


def _number(value, form):
    return "" if value is None or pandas.isna(value) else format(value, form)


def sentence(frame):
    """What a comparison of one model shows, in one sentence made from its numbers."""
    parts = []
    for verdict, words in (
        ("better", "better than vanilla beyond the noise"),
        ("worse", "worse than vanilla beyond the noise"),
        (study.NOISE, "within the noise of vanilla"),
        (study.FEW, "of fewer than three seeds, so without a verdict"),
    ):
        rows = frame[frame["verdict"] == verdict]
        if len(rows):
            parts.append(f"{words}: {', '.join(map(_gain, rows.itertuples()))}")
    gains = "Gains in percentage points, paired by seed, with 95 % intervals, are"
    return f"{gains} {'; '.join(parts)}." if parts else "There is nothing to compare with vanilla yet."


def _gain(row):
    interval = "" if pandas.isna(row.low) else f", {_interval(row)}"
    return f"`{row.method}` ({row.gain:+.2f}{interval})"


def sentences(table, found, models):
    """`sentence` of each model's comparison, as Markdown."""
    return "\n\n".join(f"**{model}.** {sentence(table.compare(found, [model]))}" for model in models)


def judged(table, results=study.RESULTS):
    """The comparison at the paper's scale, or at the small scale until one of the paper's methods has a verdict there.

    Returns the scale's name, the frame of `Experiment.compare`, and those of its rows that have such a verdict.
    """
    for name in ("paper", "small"):
        frame = table.compare(*study.at_scale(table, name, results))
        rows = frame[frame["method"].isin(PROPOSED) & frame["low"].notna()]
        if len(rows):
            break
    return name, frame, rows


def answer(table, results=study.RESULTS):
    """Does it work?  Three sentences from the rows of `judged`."""
    name, _, rows = judged(table, results)
    if not len(rows):
        return "**Not known so far.** None of the paper's methods has three seeds yet."
    better, worse = ((rows["verdict"] == verdict).sum() for verdict in ("better", "worse"))
    every = better == len(rows) and rows["method"].nunique() == len(PROPOSED)
    word = "Yes" if every else "In part" if better else "Not shown so far"
    text = f"**{word}.** This rests on the {name} scale ({study.scale(name)['text']}). DRG, DSR and their sum have"
    text += f" {len(rows)} comparisons with plain training there: gains beyond the noise {better}, losses {worse}"
    return f"{text}; the mean differences go from {rows['gain'].min():+.2f} to {rows['gain'].max():+.2f} points."


def findings(table, miniature):
    """What the records say of an experiment at each scale: a Markdown list, an item a scale and model."""
    items = []
    for name in ("paper", "small", "miniature"):
        found, models = study.at_scale(table, name, miniature if name == "miniature" else study.RESULTS)
        text = f"**The {name} scale** ({study.scale(name)['text']})"
        if not found:
            items.append(f"{text}: {study.MISSING}.")
        for model in dict.fromkeys(record["run"]["model"] for record in found):
            frame = table.compare(found, [model])
            vanilla = _ours(next(frame[frame["method"] == "vanilla"].itertuples()))
            items.append(f"{text}, `{model}`: vanilla reaches {vanilla} %. {sentence(frame)}")
    return "\n".join(f"- {item}" for item in items)
