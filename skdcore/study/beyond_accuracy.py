"""Beyond accuracy: calibration, accuracy on the training images, and on how many test images two runs disagree."""

from itertools import combinations

import numpy as np
import pandas

from skdcore import records
from skdcore.state import load_arrays
from skdcore.study import links
from skdcore.study.display import Table, Tabs
from skdcore.study.evidence import on
from skdcore.study.experiments import BASELINE, RESULTS, experiment, serving
from skdcore.study.quantities import head, shown

COLUMNS = "nll", "ece", "temperature", "nll_scaled", "ece_scaled", "train_accuracy"


def tabs(name, results=RESULTS):
    """A table of an experiment for each regime whose records hold more than accuracy, under tabs."""
    chosen, blocks, missing = experiment(name), {}, []
    for regime in serving(chosen):
        there = [(one, frame) for one in on(chosen, regime, results) if len(frame := means(chosen, one, results))]
        missing += [] if there else [regime.id]
        for one, frame in there:
            label = f"tab-{name}-beyond-{regime.id}-{one.network}".replace("_", "-")
            blocks.setdefault(regime.id, []).extend([_table(one, frame, label), *_lost(one, frame["method"], results)])
    names = ", ".join(f"`{name}`" for name in missing)
    return Tabs(blocks, f"No record holds these numbers yet in {names}." if missing else "")


def means(experiment, evidence, results=RESULTS):
    """A row for each method of an experiment whose records, `n` of them, hold more than accuracy; means over seeds.

    NLL is in nats, ECE from 0 to 1, both also `scaled` by a temperature that was fitted on the other half of the test
    images.  `differs` is the percentage of test images on which the method predicts another class than vanilla of the
    same seed; in vanilla's own row, one seed of vanilla than another.  It is over the seeds whose predictions are kept,
    NaN without any.
    """
    rows, predictions = [], {}
    for method in experiment.rows:
        if held := _held(evidence, method):
            predictions[method] = {seed: predicted(results, one) for seed, one in held.items() if kept(results, one)}
            finals = pandas.DataFrame([record["final"] for record in held.values()])
            rows.append({"method": method, "n": len(held)} | finals[[*COLUMNS]].mean().to_dict())
    vanilla = predictions.get(BASELINE, {})
    for row in rows:
        ours = predictions[row["method"]]
        two = [(ours[seed], vanilla[seed]) for seed in ours.keys() & vanilla.keys()]
        if row["method"] == BASELINE:
            two = combinations(vanilla.values(), 2)
        row["differs"] = pandas.Series([disagreement(*pair) for pair in two], dtype=float).mean()
    return pandas.DataFrame(rows)


def _held(evidence, method):
    """{seed: record} of the runs of a method whose records hold more than accuracy."""
    return {seed: one for seed, one in evidence.runs.get(method, {}).items() if "train_accuracy" in one["final"]}


def _lost(evidence, methods, results):
    """A sentence on the runs of methods whose predictions are missing beside their records, if there are any."""
    runs = [(method, seed, one) for method in methods for seed, one in _held(evidence, method).items()]
    names = "; ".join(f"`{method}`, seed {seed}" for method, seed, one in runs if not kept(results, one))
    return (
        [f"How many predictions differ is not known of runs without a file of predictions: {names}."] if names else []
    )


def kept(results, record):
    """Whether the predictions of a run stand beside its record."""
    return _images(results, record).exists()


def predicted(results, record):
    """The class that a run predicted for each test image, from the file beside its record.

    Raises FileNotFoundError or `Damaged`, naming the file, if it is missing or damaged.
    """
    return load_arrays(_images(results, record), "predicted")["predicted"]


def _images(results, record):
    return records.path(results, record["run"]).with_suffix(".images.npz")


def disagreement(one, other):
    """The percentage of images of which two runs predict different classes."""
    return 100 * np.mean(one != other)


def _table(evidence, frame, label):
    columns = {"method": "`" + frame["method"] + "`", "n": frame["n"].astype(str)}
    columns |= {head(key): [shown(key, value) for value in frame[key]] for key in (*COLUMNS, "differs")}
    caption = (
        f"Calibration and disagreement, {evidence.title}: means over n seeds. Scaled: after division of the logits by "
        "the fitted temperature, which is above 1 for an over-confident network and below 1 for an under-confident "
        "one. Older records do not hold these metrics, so n can be smaller than in other tables."
    )
    if frame["differs"].notna().any():
        caption += (
            " Predictions differ between a method and vanilla of the same seed; in vanilla's row, between its seeds."
        )
    to_runs = dict.fromkeys(map(head, COLUMNS), links.to_runs(evidence.runs, frame["method"]))
    return Table(pandas.DataFrame(columns), caption, label, to_runs)
