"""One linear model per regime, and simultaneous intervals for its contrasts.

A *regime* is a data set, a network and a number of epochs.  Its rows are methods, trained with several seeds, and

    accuracy = method + seed + error

with errors that are independent, normal and of one variance.  All rows share one estimate s of the errors' standard
deviation: 11 rows of 3 seeds leave it 20 degrees of freedom, where a paired t interval has 2.  All
intervals of a family hold simultaneously with probability LEVEL.  Of gains over one baseline they are Dunnett's (J. Am.
Stat. Assoc. 50, 1955) in blocks, of all pairs Tukey's.

Accuracies are in percent; differences, standard deviations and intervals in percentage points.
"""

import math
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np

from skdcore.errors import unknown

LEVEL = 0.95  # of a whole family of intervals
MIN_SEEDS = 3  # of a row in the model
MARGIN = 0.5  # percentage points
POINTS = 2**17  # a c near 3 is then right to 0.001; 60 contrasts take 60 MB

BETTER = "better"
WORSE = "worse"
NO_GAIN = f"no gain above {MARGIN:g}"
UNDECIDED = "undecided"


@dataclass(frozen=True, eq=False)
class Model:
    """The least-squares fit of k methods and b seeds, made by `fit`.

    `estimates` {method: accuracy in percent, adjusted to the mean of all b seeds} has the methods in sorted order.
    `s` is the pooled standard deviation of an error, with `df` degrees of freedom.
    `sds` {method: the same from its own residuals} shows unequal variances.  Its square is the sum of their squares
    over the method's share of `df`, in `shares`, the sum of 1 - leverage; both are NaN where that is 0.  In complete
    blocks it expects 1 - 1/k of the method's own variance and 1/k of the mean of the others'.

    For `intervals`: `factor` (k, k) is the symmetric root of the estimates' covariance over s^2, and `blind`
    (k, k + b) the part of each method's effect that the data cannot show, which a contrast must cancel.
    """

    seeds: tuple
    estimates: dict
    s: float
    df: int
    sds: dict
    shares: dict
    factor: np.ndarray
    blind: np.ndarray


class Interval(NamedTuple):
    """An estimated difference and its simultaneous interval, in percentage points."""

    estimate: float
    low: float
    high: float


class Pairs(NamedTuple):
    """A mean difference over `n` common seeds, in percentage points, and the baseline's mean there, in percent."""

    difference: float
    baseline: float
    n: int


def fit(accuracies):
    """The `Model` of {method: {seed: accuracy in percent}}; the methods may have different seeds.

    Rows with fewer than MIN_SEEDS seeds are left out.  None if this leaves fewer than 2 rows or no degree of freedom.
    """
    kept = {name: by_seed for name, by_seed in sorted(accuracies.items()) if len(by_seed) >= MIN_SEEDS}
    if len(kept) < 2:
        return None
    seeds, k = sorted(set().union(*kept.values())), len(kept)
    cells = [(name, seed) for name in kept for seed in sorted(kept[name])]  # sorted: the given order changes no digit
    y = np.array([kept[name][seed] for name, seed in cells], float)
    design = np.array([[m == name for m in kept] + [b == seed for b in seeds] for name, seed in cells], float)
    inverse = np.linalg.pinv(design, rcond=1e-9)  # without full rank: a constant may move from methods to seeds
    effects = inverse @ y
    residuals = y - design @ effects
    residuals[np.abs(residuals) < 1e-12 * np.abs(y).max()] = 0  # rounding, which has no spread to be unequal
    squares = residuals**2
    free = 1 - np.einsum("ij,ji->i", design, inverse)  # 1 - leverage
    df = round(free.sum())
    if df == 0:
        return None
    shares = free @ design[:, :k]
    shares[shares < 1e-9] = math.nan
    u, root, _ = np.linalg.svd(inverse[:k], full_matrices=False)
    return Model(
        seeds=tuple(seeds),
        estimates=dict(zip(kept, (effects[:k] + effects[k:].mean()).tolist(), strict=True)),
        s=math.sqrt(squares.sum() / df),
        df=df,
        sds=dict(zip(kept, np.sqrt(squares @ design[:, :k] / shares).tolist(), strict=True)),
        shares=dict(zip(kept, shares.tolist(), strict=True)),
        factor=u * root @ u.T,  # of all roots the symmetric one is unique: c does not depend on the processor
        blind=(np.eye(len(inverse)) - inverse @ design)[:k],
    )


def unequal(model):
    """The methods whose own variance stands out above that of the other rows together, by an F test.

    Bonferroni over the methods: where all variances are equal, none is named with a probability of at least LEVEL.
    """
    from scipy.stats import f  # takes a second

    found = []
    for method, sd in model.sds.items():
        own, rest = model.shares[method], model.df - model.shares[method]
        others = max(0, model.df * model.s**2 - own * sd**2) / rest
        if sd**2 > others * f.isf((1 - LEVEL) / len(model.sds), own, rest):
            found.append(method)
    return found


def over(method, rivals):
    """The contrast {method: coefficient} of a method and the mean of its rivals."""
    return {method: 1.0} | {rival: -1 / len(rivals) for rival in rivals}


def intervals(model, contrasts, level=LEVEL):
    """{key: Interval} of contrasts {key: {method: coefficient}}, and the c that makes `level` hold for all at once.

    Each is difference -+ c s sqrt(l' (X'X)^- l).  Contrasts may repeat or determine each other; of none, c is NaN.
    Raises ValueError for a method that is not in the model, for coefficients that are all 0 or do not sum to 0, and
    for methods that no chain of common seeds connects.
    """
    if not contrasts:
        return {}, math.nan
    rows = np.array([_row(model, contrast) for contrast in contrasts.values()])
    factor = rows @ model.factor
    c = critical(factor, model.df, level)
    estimates = (rows @ list(model.estimates.values())).round(12)  # of equal rows it is 0, and not a rounding error
    widths = c * model.s * np.linalg.norm(factor, axis=1)
    ends = zip(contrasts, estimates.tolist(), (estimates - widths).tolist(), (estimates + widths).tolist(), strict=True)
    return {key: Interval(*one) for key, *one in ends}, c


def _row(model, contrast):
    for method in contrast:
        if method not in model.estimates:
            raise unknown("method of the model", method, model.estimates)
    row = np.array([contrast.get(method, 0.0) for method in model.estimates])
    if abs(row.sum()) > 1e-9 or not row.any():
        raise ValueError(f"the coefficients of {contrast} must sum to 0, and not all be 0")
    if np.abs(row @ model.blind).max() > 1e-9:
        raise ValueError(f"{contrast} cannot be estimated: no chain of common seeds connects its methods")
    return row


def critical(factor, df, level=LEVEL):
    """The `level` quantile of max |t_i|, where t has the correlations of factor factor' and `df` degrees of freedom.

    `factor` is (contrasts, r), at any scale, and no row of it is 0; the correlations may be singular.
    """
    unit = factor / np.linalg.norm(factor, axis=1, keepdims=True)
    unit = unit.round(12) + 0.0  # so that rounding errors do not draw the same quantile anew
    return _quantile(unit.tobytes(), unit.shape, df, level)


@cache
def _quantile(unit, shape, df, level):
    """The c with P(max |z_i| <= c sqrt(chi2 / df)) = level: the mean over z of the chance that chi2 is large enough."""
    from scipy.optimize import brentq  # takes a second
    from scipy.special import gammaincc

    largest = _largest(unit, shape)
    return brentq(lambda c: gammaincc(df / 2, df * (largest / c) ** 2 / 2).mean() - level, 0.01, 1e4)


@lru_cache(maxsize=64)
def _largest(unit, shape):
    """max |z_i| at POINTS Sobol points, seeded: the same ones for each factor of r columns."""
    from scipy.stats import qmc  # takes a second

    z = qmc.MultivariateNormalQMC(np.zeros(shape[1]), rng=0).random(POINTS)
    return np.abs(z @ np.frombuffer(unit).reshape(shape).T).max(axis=1)


def against_the_best(found):
    """The `Interval` of the difference to the best of several rivals, from those to each; not for an empty list.

    If each interval holds its difference, [least low, least high] holds the least difference.  Its low end is above 0
    just when each is: better than the best is better than every one.
    """
    return Interval(*(min(ends) for ends in zip(*found, strict=True)))


def bonferroni(networks):
    """The level of each network's family with which those of all hold simultaneously with probability LEVEL."""
    return 1 - (1 - LEVEL) / networks


def verdict(low, high):
    """An interval in a word.  An interval about 0 never says that there is no effect."""
    if low > 0:
        return BETTER
    if high < 0:
        return WORSE
    return NO_GAIN if high < MARGIN else UNDECIDED


def pairs(ours, baseline):
    """`Pairs` of two {seed: accuracy in percent}, for rows with too few seeds for the model: no interval.

    Without a common seed, `n` is 0 and the numbers are NaN.
    """
    seeds = sorted(ours.keys() & baseline.keys())
    if not seeds:
        return Pairs(math.nan, math.nan, 0)
    mean = sum(baseline[seed] for seed in seeds) / len(seeds)
    return Pairs(sum(ours[seed] for seed in seeds) / len(seeds) - mean, mean, len(seeds))
