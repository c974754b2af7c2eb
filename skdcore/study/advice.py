"""Advice for whoever trains a network like that of a regime: what helps there, and what is left of it at equal cost."""

from contextlib import suppress
from math import ceil, isnan

from skdcore.study.equal_cost import cost
from skdcore.study.equal_cost_page import at_equal_cost, costlier, longer_gains, not_compared, points, remains
from skdcore.study.evidence import on
from skdcore.study.experiments import BASELINE, RESULTS, serving
from skdcore.study.rows import UNEQUAL
from skdcore.study.sentences import HEADS, listed
from skdcore.study.tables import interval
from skdcore.study.when import gap_of

LARGE = 10  # percentage points of training accuracy over test accuracy


def advice(experiment, results=RESULTS):
    """What helps in each regime where a method has a verdict, as a list, nearest first; empty without one."""
    there = [(regime, one) for regime in serving(experiment) for one in on(experiment, regime, results)]
    return listed([_advice(experiment, *pair) for pair in there if pair[1].gains[0]])


def _advice(experiment, regime, evidence):
    best, left = _best(evidence), _left(experiment, regime, evidence)
    return " ".join(filter(None, [f"{_setting(regime, evidence)}, {best}", left]))


def _setting(regime, evidence):
    plain = gap_of(evidence)
    if isnan(plain["gap"]):
        return f"**In `{regime.id}`**"
    far = f"{plain['gap']:.0f} points more accurate on its training images than on the test images"
    kind = far if plain["gap"] > LARGE else "about equally accurate on its training images and the test images"
    text = f"**Where plain training is {kind}**, as in `{regime.id}` ({plain['train']:.0f} % on its training images, "
    return f"{text}after training and without augmentation, and {plain['test']:.0f} % on the test images)"


def _best(evidence):
    """The methods that are better than vanilla at equal epochs, and worse; or how large a gain is ruled out for all."""
    gains = evidence.gains[0]
    relied = {method: gain for method, gain in gains.items() if not evidence.unequal & {method, BASELINE}}
    worse = ", ".join(f"`{method}` ({gain.estimate:+z.2f})" for method, gain in relied.items() if gain.high < 0)
    worse = worse and f" Worse: {worse}."
    unequal = ", ".join(f"`{method}`" for method in gains if method not in relied)
    unequal = unequal and f" {HEADS[UNEQUAL]}: {unequal}."
    if not relied:
        return f"no gain has a verdict, because the spread of `{BASELINE}` is unequal."
    better = {method: gain for method, gain in relied.items() if gain.low > 0}
    if not better:
        tried = ", ".join(f"`{method}`" for method in relied)
        most = ceil(10 * max(gain.high for gain in relied.values())) / 10
        return (
            f"no method that was tried ({tried}) is shown to do better at equal epochs, and a gain of more than "
            f"{most:.1f} points is ruled out for all of them.{worse}{unequal}"
        )
    parts = []
    for method, gain in better.items():
        parts.append(f"`{method}` is better by {gain.estimate:.2f} points ({interval(gain)})")
        with suppress(ValueError):  # a cost that is not known
            parts[-1] += f" at {cost(evidence.network, method):.2f} times the training time"
    return f"{'; '.join(parts)}.{worse}{unequal}"


def _left(experiment, regime, evidence):
    """What remains of each method that was compared at equal cost, and which were not; empty without one that was."""
    own = [method for method in costlier(evidence) if method in experiment.rows]
    frame, _ = at_equal_cost(evidence, regime.epochs, own)
    longer = longer_gains(points(evidence, regime.epochs)[0])
    compared = frame[frame["n"] > 0].groupby("method", sort=False)
    said = [remains(rows, longer, regime.epochs) for _, rows in compared]
    return " ".join([*said, not_compared(frame)]) if said else ""
