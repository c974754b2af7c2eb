"""The run pages: one for the runs that differ in nothing but the seed, made of their records by run.html.jinja.

They are plain HTML that Sphinx copies into the site, so that they cost a build no time.  The records stand beside them.
"""

import json
import shlex
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from skdcore import records
from skdcore.study import curves, predictions
from skdcore.study.equal_cost import longer
from skdcore.study.experiments import BASELINE, MINIATURE, every_run, experiments, regimes
from skdcore.study.links import address, run_page
from skdcore.study.quantities import head, shown

FOLDER = "_extra"  # in the book; html_extra_path in _config.yml: what is in it is copied to the site's root
UP = "../../../.."  # from a run page to the site's root
AGAIN = "_build/again"  # a results folder without the record, as a run that has its record is not trained again
NOT_RECORDED = "not recorded"
METRICS = "accuracy train_accuracy nll ece nll_scaled ece_scaled temperature entropy p_true".split()  # of `final`
MADE = {  # of a record's `provenance`
    "device": "machine",
    "threads": "threads",
    "torch": "torch",
    "python": "Python",
    "commit": "commit",
    "clean": "nothing changed since the commit",
    "code": "hash of the core",
    "data_sha256": "sha256 of the data",
    "started": "started",
    "ended": "ended",
}


@dataclass
class Runs:
    """Runs that differ in the seed alone: their records, {seed: record}, of the folder `results`."""

    results: Path
    records: dict

    @property
    def settings(self):
        """Those of one of them."""
        return next(iter(self.records.values()))["run"]

    @property
    def finished(self):
        """Those that did not fail."""
        return {seed: record for seed, record in self.records.items() if record["state"] == "finished"}


def make(folder, *results):
    """Writes a page for all runs that have a record in one of the folders `results`, and returns how many pages.

    Where two folders have runs of the same page, it shows those of the later one.  A page whose records are gone is
    removed.
    """
    found = {}
    for one in results:
        found |= gathered(one)
    top, made = Path(folder, FOLDER, "runs"), set()
    for place, runs in found.items():
        vanilla = found.get(_place(runs.settings | {"method": BASELINE}))
        text = template().render(_content(runs, None if vanilla is runs else vanilla))
        made.add(_write(top / f"{place}.html", text.encode()))
        for seed, record in runs.records.items():
            made.add(_write(top / place / f"{seed}.json", json.dumps(record, indent=1).encode() + b"\n"))
    for file in top.rglob("*"):
        if file.is_file() and file not in made:
            file.unlink()
    return len(found)


def gathered(results):
    """{place: Runs} of the records under a folder."""
    found = defaultdict(dict)
    for record in records.under(results):
        found[_place(record["run"])][record["run"]["seed"]] = record
    return {place: Runs(Path(results), dict(sorted(by_seed.items()))) for place, by_seed in found.items()}


def _place(settings):
    """The folder of a run's record below any results folder, and the path of its page without ".html"."""
    return records.path("", settings).parent


def _write(file, content):
    """Writes the file unless it is the same already, so that a build does not copy it again."""
    if not file.exists() or file.read_bytes() != content:
        records.atomically(file, content)
    return file


@cache
def template():
    """The page's template, in which every text of a record is escaped."""
    options = {"autoescape": True, "undefined": StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}
    return Environment(loader=FileSystemLoader(Path(__file__).parent), **options).get_template("run.html.jinja")


def _content(runs, vanilla):
    """What the template shows of runs and, where there are any, of vanilla at the same scale."""
    one, every = runs.settings, list(runs.records.values())
    return {
        "run": one,
        "seeds": list(runs.records),
        "heads": [f"seed {seed}" for seed in runs.records],
        "up": UP,
        "tables": _tables().get(_place(one), {}),
        "failed": {seed: record["reason"] for seed, record in runs.records.items() if seed not in runs.finished},
        "panels": curves.panels(every),
        "axes": curves,
        "metrics": _metrics(runs),
        "made": {"minutes": [_fact(_minutes(record)) for record in every]}
        | {words: [_fact(record["provenance"].get(key)) for record in every] for key, words in MADE.items()},
        "records": [address(_place(one).name, f"{seed}.json") for seed in runs.records],
        "commands": [command(record["run"]) for record in every],
        "baseline": one["method"] == BASELINE,
        "vanilla": vanilla and f"{UP}/{run_page(vanilla.settings)}",
        "changes": vanilla and predictions.changes(runs, vanilla),
    }


@cache
def _tables():
    """{place: {title of a page: its address from the root}} of the pages with tables that show a run."""
    found = defaultdict(dict)
    for regime in regimes().values():
        for name, one in experiments().items():
            for run in regime.runs(one) if regime.serves(one) or regime.id == MINIATURE else []:
                found[_place(run.settings())][one.paper or one.title] = f"experiments/{name}.html"
        for run in longer(every_run(regime)):
            found[_place(run.settings())]["At equal cost"] = "experiments/equal_cost.html"
    return found


def _metrics(runs):
    """{words: a text for each seed, and their mean and standard deviation} of the final metrics."""
    rows = {}
    for key in METRICS:
        values = pandas.Series([record.get("final", {}).get(key) for record in runs.records.values()], dtype=float)
        spread = f" ± {shown(key, values.std())}" if values.count() > 1 else ""
        rows[head(key)] = [shown(key, value) or NOT_RECORDED for value in values] + [shown(key, values.mean()) + spread]
    return rows


def _minutes(record):
    """How long a run took, or None."""
    seconds = record.get("cost", {}).get("seconds")
    return seconds and f"{seconds / 60:.1f}"


def _fact(value):
    """A value of a record as a text."""
    if value is None:
        return NOT_RECORDED
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def command(run):
    """The command that repeats a run, quoted for a shell; of an image folder the record holds the name alone."""
    options = {key: str(run[key]) for key in ("dataset", "model", "method", "seed", "epochs", "precision")}
    options["dataset"] = options["dataset"].replace("folder:", "folder:PATH/", 1)
    words = [word for key, value in (options | {"results": AGAIN}).items() for word in (f"--{key}", value)]
    return shlex.join(["python", "-m", "skdcore", "train", *words])
