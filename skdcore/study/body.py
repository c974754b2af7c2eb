"""The body of an experiment's page: what its notebook shows beside its text."""

import json
import shlex

from skdcore.study import sentences, tables
from skdcore.study.display import Tabs
from skdcore.study.evidence import gather, on
from skdcore.study.experiments import BASELINE, PAPER, RESULTS, experiment, serving
from skdcore.sweep import sweep


class Body(Tabs):
    """Tables and sentences of an experiment, under tabs; `frames` and `runs` {title: ..} are for the figures.

    `finding` is the experiment in a sentence: what the first of the gathered, the nearest to the paper's, says or,
    where nothing ran, how many comparisons wait.
    """

    def __init__(self, chosen, gathered, tabs, after=""):
        super().__init__(tabs, after)
        self.experiment = chosen
        self.frames = {one.title: one.compare(chosen) for one in gathered}
        self.runs = {
            one.title: {method: one.runs[method] for method in chosen.rows if method in one.runs} for one in gathered
        }
        compared = [title for title, frame in self.frames.items() if frame["gain"].notna().any()]
        self.finding = sentences.NOTHING if gathered else _nothing(chosen)
        if compared:
            self.finding = f"**{compared[0]}:** {sentences.verdicts(self.frames[compared[0]])}"


def committed(name, results=RESULTS):
    """What the committed records say of an experiment: a tab for each regime that has any, nearest first.

    What only the paper has numbers of comes last.
    """
    chosen, tabs, gathered, missing = experiment(name), {}, [], []
    for regime in serving(chosen):
        there = on(chosen, regime, results)
        blocks = [block for one in there for block in _blocks(chosen, one, f"{name}-{regime.id}-{one.network}")]
        if regime.id == PAPER:
            blocks += _printed(chosen, {one.network for one in there})
        if blocks:
            tabs[regime.id] = [f"**Regime `{regime.id}`:** {regime.text}.", *blocks]
        missing += [] if there else [regime.id]
        gathered += there
    if PAPER in missing and PAPER in tabs:
        tabs[PAPER] = tabs.pop(PAPER)
    return Body(chosen, gathered, tabs, sentences.not_run(missing))


def _nothing(chosen):
    """A sentence on an experiment without a record: how many rows are to be compared with vanilla, over all regimes."""
    runs = {run for regime in serving(chosen) for run in regime.runs(chosen)}
    rows = {(run.dataset, run.model, run.epochs, run.method) for run in runs if run.method != BASELINE}
    return sentences.none_run(len(rows))


def trained(name, dataset, models, seeds, epochs, precision, root, results, scheduler):
    """Trains the runs of an experiment that have no record, and shows all: a tab for each network."""
    chosen = experiment(name)
    if not (models and seeds):
        raise ValueError(f"models={models!r} and seeds={seeds!r}: at least one of each")
    runs = chosen.runs(dataset, models, seeds, epochs, precision)
    gathered = gather(sweep(runs, root=root, results=results, scheduler=scheduler), "this run")
    tabs = {one.network: _blocks(chosen, one, f"{name}-run-{one.network}") for one in gathered}
    given = {"dataset": dataset, "models": models, "seeds": seeds, "epochs": epochs, "precision": precision}
    return Body(chosen, gathered, tabs, again(name, given | {"root": root}))


def again(name, given):
    """The command that makes a page again with the parameters that it was given, as Markdown."""
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in given.items()}
    options = " ".join(f"-p {key} {shlex.quote(texts[key])}" for key, value in given.items() if value is not None)
    return f"Run this yourself:\n\n```bash\npapermill notebooks/{name}.ipynb OUT.ipynb {options}\n```"


def _blocks(chosen, one, name):
    said = f"{sentences.verdicts(one.compare(chosen))} {sentences.ends(one)}"
    return [said, tables.accuracies(chosen, one, _label(name)), sentences.basis(one)]


def _printed(chosen, ran):
    """The paper's own numbers on the networks that this study has not run, if it prints any beyond vanilla's."""
    rest = [network for network in chosen.models if network not in ran]
    if not (chosen.paper and rest and sum(map(bool, chosen.rows.values())) > 1):
        return []
    return [sentences.not_run(rest), tables.printed(chosen, rest, _label(f"{chosen.name}-printed"))]


def _label(name):
    return f"tab-{name.replace('_', '-')}"
