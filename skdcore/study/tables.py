"""The tables of the pages, made from `Experiment.compare`, from `bench` and from the methods' code."""

import inspect
import re

import pandas

from skdcore import bench, records
from skdcore.methods import METHODS
from skdcore.study import costs as counted_costs
from skdcore.study import experiments
from skdcore.sums import signature


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
    return Table(_wide(frame, models), f"{caption} Each cell: the paper's / ours; – is {experiments.MISSING}.", name)


def scaled(table, name, results=experiments.RESULTS):
    """`accuracies` of what there is at a scale of experiments.yml, named as what it is."""
    found, models = experiments.at_scale(table, name, results)
    text = f"the {name} scale ({experiments.scale(name)['text']})"
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
    """A record of `bench` beside `counted_costs.costs`: what a step of each method costs, measured and counted."""
    steps = pandas.DataFrame.from_dict(record["steps"], orient="index")
    counted = counted_costs.costs(record["model"], [method for method in steps.index if method != bench.USUAL])
    passes = zip(counted["extra forwards"], counted["extra backwards"], strict=True)
    frame = pandas.DataFrame({"extra passes": [_passes(*pair) for pair in passes]}, index=counted.index)
    frame = frame.join(counted[["state", "extra parameters"]].map("{:,}".format)).reindex(steps.index, fill_value="")
    frame["s a step"] = steps["seconds a step"].map("{:.3f}".format)
    frame["over vanilla"] = steps["over vanilla"].map("{:.2f}".format)
    quartiles = steps[["first quartile", "third quartile"]].values
    frame["quartiles"] = [f"{low:.2f}–{high:.2f}" for low, high in quartiles]
    frame.insert(0, "method", [row if row == bench.USUAL else f"`{row}`" for row in frame.index])
    text = f"{record['model']}, batch 128, 100 classes; state in numbers kept, for 50,000 images"
    return Table(frame, f"What a step costs: {text}; {_timed(record)}.", name)


def _timed(record):
    """How a record of `bench` was made, for a caption."""
    where, turns = record["provenance"], min(step["steps"] for step in record["steps"].values())
    made_on = f"{where['device']}, {_threads(record)}{record['precision']}, torch {where['torch']}"
    return f"times are medians over {turns} turns, on {made_on}, {where['ended'][:10]}"


def seconds(table, record, name):
    """The seconds a step that the paper prints for an experiment, beside those of a record of `bench`."""
    base, steps = "drg+dsr", record["steps"]
    rows = []
    for method, printed in table.seconds.items():
        row = {"method": f"`{method}`", "the paper, s": f"{printed:.3f} (×{printed / table.seconds[base]:.2f})"}
        row["ours, s"] = experiments.MISSING
        if {method, base} <= steps.keys():
            ratio = steps[method]["over vanilla"] / steps[base]["over vanilla"]
            row["ours, s"] = f"{steps[method]['seconds a step']:.3f} (×{ratio:.2f})"
        rows.append(row)
    text = f"Seconds a step and, in brackets, multiples of `{base}`, whose classifier is behind block 2. The paper's: "
    text += f"resnet18, on an RTX 3090. Ours: {record['model']}, batch 128; {_timed(record)}."
    return Table(pandas.DataFrame(rows), text, name)


def _passes(forwards, backwards):
    return ", ".join(forwards * ["forward"] + backwards * ["backward"]) or "none"


def descriptions():
    """A section for each method, made from its code: signature, formula, what else its docstring says, and source."""
    return "\n\n".join(map(_description, METHODS.values()))


def _description(function):
    code = re.sub(r' {4}""".*?"""\n', "", inspect.getsource(function), count=1, flags=re.DOTALL)
    formula = f"**{_plain(function.source)}:** `{function.formula}`" if function.formula else ""
    parts = [f"### {function.__name__}", f"`{signature(function)}`", formula, _plain(inspect.getdoc(function) or "")]
    return "\n\n".join([*filter(None, parts), f"```python\n{code}```"])


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
    columns |= {"ours, %": [ours(row) for row in frame.itertuples()], "n": frame["n"].astype(str)}
    columns |= {"gain over vanilla": frame["gain"].map(lambda v: _number(v, "+.2f"))}
    columns |= {"95 % interval": [interval(row) for row in frame.itertuples()], "verdict": frame["verdict"]}
    return pandas.DataFrame(columns)


def _wide(frame, models):
    ours = [ours(row, count=True) if row.n else "–" for row in frame.itertuples()]
    paper = frame["paper"].map(lambda value: _number(value, ".2f"))
    wide = frame.assign(cell=paper + " / " + ours)
    wide = wide.pivot(index="method", columns="model", values="cell").loc[frame["method"].unique(), models]
    wide.index = "`" + wide.index + "`"
    return wide.rename_axis("method").reset_index()


def ours(row, count=False):
    """Our accuracy in a row of a comparison, with its standard deviation and, if asked for, the number of seeds."""
    if not row.n:
        return experiments.MISSING
    spread = f" ± {row.sd:.2f}" if row.n > 1 else ""
    return f"{row.mean:.2f}{spread}" + (f" (n = {row.n})" if count else "")


def interval(row):
    """The 95 % interval of a row of a comparison; empty where there is none."""
    return "" if pandas.isna(row.low) else f"{row.low:+.2f} to {row.high:+.2f}"


def _number(value, form):
    return "" if value is None or pandas.isna(value) else format(value, form)
