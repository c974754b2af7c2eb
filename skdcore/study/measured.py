"""What a claim about anything other than accuracy measures: one function a kind, in `KINDS`.

Each takes the claim, the evidence of every regime (`evidence.everywhere`) and the folder of results, and gives a row
for every measurement that the claim asks for, with these keys:
`regime`: its id, or None; `place`: where a verdict on it holds, in words, and empty at the paper's own scale;
`network`; `what` was measured, in words; `n`, how often, or None for a count; `estimate`, with `low` and `high`; and,
if it is of runs, `runs`, the addresses of their pages.  NaN is what there is no record of.
"""

from itertools import product
from math import nan

import pandas

from skdcore import bench
from skdcore.study import attention as attention_of_networks
from skdcore.study import costs, features
from skdcore.study.claims import within
from skdcore.study.drawings import SHARED, committed
from skdcore.study.experiments import MISSING, RESULTS, deciding, experiment, regime
from skdcore.study.links import known_runs
from skdcore.study.metrics import direction
from skdcore.study.quantities import QUANTITIES
from skdcore.study.rows import FEW, UNEQUAL, Rows
from skdcore.study.statistics import LEVEL, MIN_SEEDS, bonferroni
from skdcore.study.variance import DEFINITIONS, correlations

UNMEASURED = "not yet measured"
OPEN = MISSING, UNMEASURED  # there is no record
METRICS = {  # final metrics of a record by kind of claim, lower being what the paper claims or better
    "confidence": ["temperature"],
    "calibration": ["ece", "nll", "ece_scaled", "nll_scaled"],
}
NOTHING = {"n": 0, "estimate": nan, "low": nan, "high": nan}


def time(claim, evidence, results):
    """Ratios of the seconds of a step, from the committed benchmarks; `n` turns of one machine.

    A benchmark has each method's ratio to vanilla in the same turn.  The quotient of two medians is the estimate; the
    quartiles that are farthest apart give `low` and `high`, which is a spread, and no confidence interval.
    """
    rows = []
    for network, method, rival in _asked(claim):
        row = {"regime": None, "network": network, "what": f"`{method}` over `{rival}`, seconds a step"}
        timed = [record for record in bench.kept(results, network) if record["steps"].keys() >= {method, rival}]
        rows += [row | _ratio(record, method, rival) for record in timed] or [row | {"place": ""} | NOTHING]
    return rows


def _ratio(record, method, rival):
    ours, theirs = record["steps"][method], record["steps"][rival]
    return {
        "place": f"on {record['provenance']['device']}",
        "n": ours["steps"],
        "estimate": ours["over vanilla"] / theirs["over vanilla"],
        "low": ours["first quartile"] / theirs["third quartile"],
        "high": ours["third quartile"] / theirs["first quartile"],
    }


def storage(claim, evidence, results):
    """Ratios of the bytes of the weights in training, with running statistics: counted, so without a spread."""
    rows = []
    for network, method, rival in _asked(claim):
        ratio = costs.stored(network, method)["weights"] / costs.stored(network, rival)["weights"]
        row = {"regime": None, "place": "", "network": network, "what": f"`{method}` over `{rival}`, bytes of weights"}
        rows.append(row | {"n": None, "estimate": ratio, "low": ratio, "high": ratio})
    return rows


def _asked(claim):
    return [(model, method, rival) for model in claim.models for method in claim.of for rival in claim.against]


def correlation(claim, evidence, results):
    """Pearson's r of Figure 3 by each of its four definitions: the mean, the lowest and the highest of `n` runs."""
    rows = []
    for place, one in _places(evidence):
        for method in claim.of:
            found = correlations({method: one.runs.get(method, {}) if one else {}})
            for name in DEFINITIONS:
                r = found[name].dropna().astype(float)
                ends = (r.min(), r.max()) if len(r) >= MIN_SEEDS else (nan, nan)
                row = place | {"what": f"r of `{method}`: {name}", "n": len(r), "estimate": r.mean()}
                row["runs"] = known_runs(one.runs if one else {}, [method])
                rows.append(row | dict(zip(("low", "high"), ends, strict=True)))
    return rows


def probabilities(claim, evidence, results):
    """Differences in METRICS at the same seeds: the fitted temperature, or ECE and NLL (nats), also when scaled by it.

    Each metric has a linear model of its own over all rows of a network, as accuracy has.  The intervals of a network
    are simultaneous over the claim's methods and over the metrics (Bonferroni).
    """
    rows, metrics = [], METRICS[claim.kind]
    for place, one in _places(evidence):
        for metric in metrics:
            level = bonferroni(len(metrics) * max(1, one.networks if one else 1))
            rows += [place | row for row in _differences(claim, metric, one.finals(metric) if one else {}, one, level)]
    return rows


def separation(claim, evidence, results):
    """Differences in the silhouette of the classes in feature space, from the committed drawings of Figure 9."""
    return _drawn(claim, features, "silhouette", evidence, results)


def attention(claim, evidence, results):
    """Differences in the area under the insertion curve of Grad-CAM, from the committed drawings of Figure 8."""
    return _drawn(claim, attention_of_networks, "insertion", evidence, results)


def _drawn(claim, figure, metric, evidence, results):
    """The differences in a metric of a figure's drawings, in each regime; those of a network are simultaneous."""
    drawn = {tuple(map(one.about.get, SHARED)): one for one in committed(figure, results)}
    rows = []
    for place, runs in _places(evidence):
        chosen = regime(place["regime"])
        dataset, _ = chosen.place(experiment("table_1"))
        one = drawn.get((dataset, place["network"], chosen.epochs, chosen.precision))
        rows += [place | row for row in _differences(claim, metric, one.values(metric) if one else {}, runs, LEVEL)]
    return rows


def _differences(claim, metric, values, evidence, level):
    """A row for each difference that a claim asks for, of {method: {seed: value}}; the intervals are simultaneous.

    `evidence`, or None, has the runs.
    """
    found, _ = Rows(values, level, direction).differences([*product(claim.of, claim.against)])
    for (method, rival), one in found.items():
        row = {"what": f"{QUANTITIES[metric].words} of `{method}` minus that of `{rival}`", "estimate": one["gain"]}
        row |= {"runs": known_runs(evidence.runs if evidence else {}, [method, rival])}
        yield row | {key: one[key] for key in ("n", "low", "high", "verdict")}


def _places(evidence):
    """The networks of Table I in each regime that can decide something, and their evidence or None."""
    for chosen in deciding():
        dataset, networks = chosen.place(experiment("table_1"))
        there = {(one.dataset, one.network): one for one in evidence[chosen.id]}
        for network in networks:
            yield {"regime": chosen.id, "place": within(chosen), "network": network}, there.get((dataset, network))


KINDS = {
    "time": time,
    "storage": storage,
    "correlation": correlation,
    "confidence": probabilities,
    "calibration": probabilities,
    "separation": separation,
    "attention": attention,
}


def measured(claim, evidence, results=RESULTS):
    """The rows of a claim of one of the `KINDS`, each with its verdict."""
    unmeasured = UNMEASURED if claim.kind in ("time", "storage") else MISSING
    rows = KINDS[claim.kind](claim, evidence, results)
    return [row | {"verdict": _verdict(claim, row) or unmeasured} for row in rows]


def _verdict(claim, row):
    if row["n"] == 0:
        return ""
    if pandas.isna(row["low"]):
        return FEW
    if row.get("verdict") == UNEQUAL:
        return UNEQUAL
    if claim.asks:
        return direction(row["low"], row["high"])
    return claim.verdict(row["place"], row["low"], row["high"])
