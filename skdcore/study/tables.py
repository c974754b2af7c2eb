"""The tables of the pages, from records and from `bench`."""

from math import nan

import pandas

from skdcore import bench
from skdcore.machine import AND
from skdcore.study import costs, links
from skdcore.study.display import Table, Tabs
from skdcore.study.experiments import BASELINE, MISSING, RESULTS
from skdcore.study.quantities import head, shown
from skdcore.study.statistics import LEVEL, MIN_SEEDS

TIMED = "resnet18"  # the network of which the paper prints seconds
SIMULTANEOUS = f"simultaneous {100 * LEVEL:g} % interval"


def accuracies(experiment, evidence, name):
    """An experiment's rows on one network: verdicts, gains, intervals and accuracies, beside the paper's numbers.

    The verdict comes first, as a narrow screen shows only the first columns at once.
    """
    frame = evidence.compare(experiment)
    rows = [*frame.itertuples()]
    (vanilla,) = frame.loc[frame["method"] == BASELINE, "mean"]
    columns = {"method": "`" + frame["method"] + "`", "verdict": frame["verdict"]}
    columns |= {"gain over vanilla": [gain(row, vanilla) for row in rows]}
    columns |= {SIMULTANEOUS: [interval(row) for row in rows]}
    columns |= {"ours, %": [ours(row) for row in rows], "n": frame["n"].astype(str)}
    columns |= {"the paper, %": frame["paper"].map(_number)}
    columns |= {f"the paper's gain, {frame['paper_network'][0]}": [_number(row.paper_gain, "+z.2f") for row in rows]}
    table = pandas.DataFrame(columns | {"residual sd": frame["residual"].map(_number)})
    caption = f"{experiment.title}, {evidence.title}: mean ± standard deviation over n seeds, final epoch, whole test "
    caption += "split. Gains are in percentage points"
    if any(" over " in cell for cell in columns["gain over vanilla"]):
        caption += f"; with fewer than {MIN_SEEDS} seeds they are over vanilla at the same seeds, whose mean is given"
    found = [record for method in experiment.rows for record in evidence.runs.get(method, {}).values()]
    to_runs = {"ours, %": links.to_runs(evidence.runs, frame["method"])}
    return Table(table, f"{caption}. {made(found)}", name, to_runs)


def printed(experiment, networks, name):
    """The accuracies that the paper prints for networks."""
    rows = [
        {"method": f"`{method}`"} | {network: _number(values.get(network)) for network in networks}
        for method, values in experiment.rows.items()
        if values
    ]
    return Table(pandas.DataFrame(rows), f"{experiment.title}: the paper's {experiment.paper}, in percent.", name)


def finals(found, name):
    """The final metrics of a few runs, a row each."""
    listed = listing(found)
    frame = pandas.DataFrame({"method": "`" + listed["method"] + "`"})
    for key in ("accuracy", "nll", "ece", "entropy", "p_true", "minutes"):
        frame[head(key)] = [shown(key, value) for value in listed.get(key, [nan] * len(listed))]
    run = found[0]["run"]
    caption = f"Final metrics on the test split: {run['dataset']}, {run['model']}, seed {run['seed']}. {made(found)}"
    return Table(frame, caption, name, {head("accuracy"): listed["page"]})


def listing(found):
    """Records as a frame, a row each: the run, its page, how it ended, the final metrics, minutes, date and commit."""
    rows = []
    for record in found:
        run = {key: record["run"][key] for key in ("method", "seed", "dataset", "model", "epochs", "precision")}
        minutes = record.get("cost", {}).get("seconds", nan) / 60  # a failed run may lack it
        made_on = {key: record["provenance"].get(key) for key in ("ended", "commit")}
        rows.append(run | record.get("final", {}) | {"minutes": minutes, "state": record["state"]} | made_on)
        rows[-1]["page"] = links.run_page(run)
    return pandas.DataFrame(rows)


def step_costs(record, name):
    """A record of `bench` beside `costs.counted`: what a step of each method costs, measured and counted."""
    steps = pandas.DataFrame.from_dict(record["steps"], orient="index")
    methods = steps.index.str.removesuffix(bench.EAGER)
    counted = costs.counted(record["model"], [method for method in methods.unique() if method != bench.USUAL])
    passes = zip(counted["extra forwards"], counted["extra backwards"], strict=True)
    frame = pandas.DataFrame({"extra passes": [_passes(*pair) for pair in passes]}, index=counted.index)
    frame = frame.join(counted[["state", "extra parameters"]].map("{:,}".format)).reindex(methods, fill_value="")
    frame = frame.set_axis(steps.index)
    frame = frame.rename(columns={"state": "state, numbers kept"})
    frame["seconds a step"] = steps["seconds a step"].map("{:.3f}".format)
    frame["over vanilla"] = steps["over vanilla"].map("{:.2f}".format)
    quartiles = steps[["first quartile", "third quartile"]].values
    frame["quartiles"] = [f"{low:.2f}–{high:.2f}" for low, high in quartiles]
    rows = zip(steps.index, methods, strict=True)
    names = [row if row == bench.USUAL else f"`{method}`{row.removeprefix(method)}" for row, method in rows]
    frame.insert(0, "method", names)
    text = f"{record['model']}, batch 128, 100 classes; the state is that for 50,000 images"
    return Table(frame, f"What a step costs: {text}. {_timed(record)}", name)


def timed(experiment, results=RESULTS):
    """The seconds a step of an experiment from the committed benchmarks of the network that the paper timed."""
    found = enumerate(bench.kept(results, TIMED))
    return Tabs({"": [seconds(experiment, record, f"tab-timed-{n}") for n, record in found]})


def seconds(experiment, record, name):
    """The seconds a step that the paper prints for an experiment, beside those of a record of `bench`."""
    base, steps = "drg+dsr", record["steps"]
    rows = []
    for method, value in experiment.seconds.items():
        row = {"method": f"`{method}`", "the paper, s": f"{value:.3f} (×{value / experiment.seconds[base]:.2f})"}
        row["ours, s"] = MISSING
        if {method, base} <= steps.keys():
            ratio = steps[method]["over vanilla"] / steps[base]["over vanilla"]
            row["ours, s"] = f"{steps[method]['seconds a step']:.3f} (×{ratio:.2f})"
        rows.append(row)
    text = f"Seconds a step and, in brackets, multiples of `{base}`, whose classifier is after block 2. The paper's: "
    text += f"resnet18, on an RTX 3090. Ours: {record['model']}, batch 128. {_timed(record)}"
    return Table(pandas.DataFrame(rows), text, name)


def _timed(record):
    """How a record of `bench` was made, for a caption."""
    where, turns = record["provenance"], min(step["steps"] for step in record["steps"].values())
    made_on = f"{where['device']}, {_threads(record)}{record['precision']}, torch {where['torch']}"
    return f"Times are medians over {turns} turns, on {made_on}, {where['ended'][:10]}."


def _passes(forwards, backwards):
    return ", ".join(forwards * ["forward"] + backwards * ["backward"]) or "none"


def parts(record, key):
    """The machines (`key` "device") or the versions of the code that made a record: several if its run was resumed."""
    return record["provenance"][key].split(AND)


def made(found):
    """How records were made, for a caption: device, precision, threads, minutes a run, versions and commits."""
    if not found:
        return "No run finished."
    devices = {f"{name}, {_threads(r)}{r['run']['precision']}" for r in found for name in parts(r, "device")}
    minutes = pandas.Series([r["cost"]["seconds"] / 60 for r in found if "cost" in r], dtype=float)
    run, codes = found[0]["run"], sorted({code for record in found for code in parts(record, "code")})
    *others, last = sorted({record["run"]["epochs"] for record in found})
    epochs = " or ".join([*map(str, others), _count(last, "epoch")])
    text = f"{_count(len(found), 'run')} of {epochs} on {run['dataset']}, on "
    text += f"{' and '.join(sorted(devices))}, {minutes.median():.1f} minutes per run (median)."
    if len(codes) > 1:
        text += f" The runs used {len(codes)} versions of the core's source; a reworded comment makes another version."
    nameless = sum(record["provenance"].get("commit", "") is None for record in found)
    if nameless:
        text += f" {nameless} of these runs {'names' if nameless == 1 else 'name'} no commit."
    return text


def _count(number, noun):
    return f"{number} {noun}{'s' * (number != 1)}"


def _threads(record):
    threads = record["provenance"]["threads"]
    return "" if record["provenance"]["device"].startswith("NVIDIA") else f"{_count(threads, 'thread')}, "


def ours(row):
    """Our accuracy in a row of a comparison, with its standard deviation."""
    if not row.n:
        return row.absent
    return f"{row.mean:.2f}" + (f" ± {row.sd:.2f}" if row.n > 1 else "")


def gain(row, vanilla=nan):
    """The gain of a row of a comparison, with the baseline that it is over where this is not the table's vanilla."""
    baseline = _number(row.baseline)
    return _number(row.gain, "+z.2f") + (f" over {baseline}" if baseline not in ("", _number(vanilla)) else "")


def interval(row):
    """The interval of a row of a comparison; empty where there is none."""
    return "" if pandas.isna(row.low) else f"{row.low:+z.2f} to {row.high:+z.2f}"


def difference(row):
    """The gain of a row of a comparison, its interval and its verdict, in a cell."""
    if not row.verdict or row.verdict == MISSING:
        return MISSING
    span = f" ({interval(row)})" if interval(row) else ""
    return f"{row.gain:+z.2f}{span}, {row.verdict}"


def _number(value, form=".2f"):
    return "" if pandas.isna(value) else format(value, form)
