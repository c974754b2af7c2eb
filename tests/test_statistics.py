"""The linear model and its simultaneous intervals, beside the literal algebra, other programs and simulation."""

import math
from functools import cache
from itertools import combinations

import numpy as np
import pytest
from scipy import integrate, stats

from skdcore.study import statistics
from skdcore.study.statistics import (
    LEVEL,
    MARGIN,
    Interval,
    against_the_best,
    bonferroni,
    critical,
    fit,
    over,
    pairs,
    unequal,
    verdict,
)

NAMES = ["vanilla", "dks", "ps_kd", "tf_kd"]
GAPS = {("dks", 0), ("ps_kd", 3), ("ps_kd", 1), ("tf_kd", 4)}  # cells that an incomplete table lacks


def table(names=NAMES, seeds=range(5), without=(), sd=0.4):
    """A made-up {method: {seed: accuracy}}, with an effect of each seed."""
    rng = np.random.default_rng(3)
    drawn = 70 + rng.normal(size=(len(names), 1)) + rng.normal(size=len(seeds))
    drawn = (drawn + rng.normal(scale=sd, size=drawn.shape)).tolist()
    return {
        name: {seed: y for seed, y in zip(seeds, row, strict=True) if (name, seed) not in without}
        for name, row in zip(names, drawn, strict=True)
    }


def intervals(model, contrasts, level=LEVEL):
    """The intervals of a list of contrasts, and their c."""
    found, c = statistics.intervals(model, dict(enumerate(contrasts)), level)
    assert list(found) == list(range(len(contrasts)))
    return list(found.values()), c


def gains(names, baseline="vanilla"):
    return [over(name, [baseline]) for name in names if name != baseline]


def dunnett(k):
    """The contrasts (k - 1, k) of all rows with the first, whose covariance is that of complete blocks over s^2 / n."""
    return np.hstack([-np.ones((k - 1, 1)), np.eye(k - 1)])


def all_pairs(k):
    return np.array([np.eye(k)[a] - np.eye(k)[b] for a, b in combinations(range(k), 2)])


def close(got, expected, tolerance=1e-9):
    np.testing.assert_allclose(np.array(got), np.array(expected), rtol=0, atol=tolerance)


@pytest.mark.parametrize(("n", "df", "c"), [(3, 20, 2.98), (5, 40, 2.84)])
def test_10_gains_over_vanilla_in_complete_blocks_have_the_known_c(n, df, c):
    names = ["vanilla", *"abcdefghij"]
    model = fit(table(names, range(n)))
    _, got = intervals(model, gains(names))
    assert model.df == df == (11 - 1) * (n - 1)
    assert got == pytest.approx(c, abs=0.01)
    assert critical(dunnett(11), df) == pytest.approx(got, abs=0.01)


def test_without_blocks_c_is_that_of_dunnetts_test():
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(11, 3))
    theirs = stats.dunnett(*samples[1:], control=samples[0], rng=rng).confidence_interval(LEVEL)
    s = math.sqrt(samples.var(axis=1, ddof=1).mean())
    c = (theirs.high - theirs.low) / 2 / (s * math.sqrt(2 / 3))
    close(c, 2.96, 0.01)
    close(c, critical(dunnett(11), 22), 0.01)


@pytest.mark.parametrize(("k", "df"), [(2, 10), (3, 10), (10, 20)])
def test_gains_over_one_baseline_have_the_c_of_dunnetts_integral(k, df):
    """P(|x_i - x_0| <= c sqrt(2) s for all i), integrated over x_0, a standard normal, and s, a chi / sqrt(df)."""
    x, weights = np.polynomial.hermite_e.hermegauss(80)

    def given(s, c):
        inside = stats.norm.cdf(x + math.sqrt(2) * c * s) - stats.norm.cdf(x - math.sqrt(2) * c * s)
        return (inside**k @ weights) / math.sqrt(2 * math.pi)

    def density(s):
        return stats.chi.pdf(s * math.sqrt(df), df) * math.sqrt(df)

    c = critical(dunnett(k + 1), df)
    close(integrate.quad(lambda s: given(s, c) * density(s), 0, 5)[0], LEVEL, 1e-4)


@pytest.mark.parametrize(("k", "df"), [(3, 4), (3, 20), (11, 20)])
def test_all_pairs_a_singular_family_have_tukeys_c(k, df):
    tukey = stats.studentized_range.ppf(LEVEL, k, df) / math.sqrt(2)
    close(critical(all_pairs(k), df) / tukey, 1, 0.001)


@pytest.mark.parametrize("level", [0.95, 0.99])
def test_one_contrast_has_students_c_and_uncorrelated_ones_the_maximum_modulus(level):
    close(critical(np.array([[3.0, -1.0]]), 10, level), stats.t.ppf((1 + level) / 2, 10), 0.001)
    close(critical(np.eye(8), 10**6, level), stats.norm.ppf((1 + level ** (1 / 8)) / 2), 0.002)


def test_a_singular_family_has_the_simulated_quantile_and_repeats_and_signs_do_not_matter():
    family = np.array([[1.0, -1, 0], [0, 1, -1], [1, 0, -1], [1, -1, 0], [-1, 1, 0]])
    rng = np.random.default_rng(1)
    a, b, c = rng.normal(size=(3, 10**6))
    s = np.sqrt(sum(rng.normal(size=10**6) ** 2 for _ in range(6)) / 6)
    largest = np.maximum(np.maximum(abs(a - b), abs(b - c)), abs(a - c)) / (s * math.sqrt(2))
    close(critical(family, 6), np.quantile(largest, LEVEL), 0.02)
    close(critical(family, 6), critical(family[:3], 6))
    close(critical(family, 6), critical(-7 * family[::-1], 6))


def literal(accuracies, contrasts):
    """Differences, their standard errors, s, df and each method's sd by least squares with seeds after the first."""
    names, seeds = list(accuracies), sorted({seed for row in accuracies.values() for seed in row})
    cells = [(name, seed) for name in names for seed in accuracies[name]]
    x = np.zeros((len(cells), len(names) + len(seeds) - 1))
    for i, (name, seed) in enumerate(cells):
        x[i, names.index(name)] = 1
        if seed != seeds[0]:
            x[i, len(names) + seeds.index(seed) - 1] = 1
    y = np.array([accuracies[name][seed] for name, seed in cells])
    inverse = np.linalg.inv(x.T @ x)
    beta, hat = inverse @ x.T @ y, x @ inverse @ x.T
    squares, df = (y - x @ beta) ** 2, len(y) - x.shape[1]
    rows = np.array([[one.get(name, 0) for name in names] + [0] * (len(seeds) - 1) for one in contrasts])
    s = math.sqrt(squares.sum() / df)
    own = [[i for i, cell in enumerate(cells) if cell[0] == name] for name in names]
    sds = {
        name: math.sqrt(squares[i].sum() / (1 - hat.diagonal()[i]).sum()) for name, i in zip(names, own, strict=True)
    }
    return rows @ beta, s * np.sqrt(np.diag(rows @ inverse @ rows.T)), s, df, sds


@pytest.mark.parametrize("without", [(), GAPS])
def test_model_and_intervals_are_literal_least_squares(without):
    accuracies = table(without=without)
    contrasts = [*gains(NAMES), over("dks", ["ps_kd", "tf_kd"]), {"dks": 1, "ps_kd": -2, "tf_kd": 1}]
    differences, errors, s, df, sds = literal(accuracies, contrasts)
    model = fit(accuracies)
    found, c = intervals(model, contrasts)
    close([*zip(*found, strict=True)], [differences, differences - c * errors, differences + c * errors])
    assert (model.s, model.df, model.sds) == (pytest.approx(s), df, pytest.approx(sds))
    assert list(model.estimates) == sorted(NAMES) and model.seeds == (0, 1, 2, 3, 4)
    close(model.factor, model.factor.T)


def test_complete_blocks_have_the_textbook_formulas():
    accuracies = table()
    y = np.array([[accuracies[name][seed] for seed in range(5)] for name in NAMES])
    k, n = y.shape
    residuals = y - y.mean(axis=1, keepdims=True) - y.mean(axis=0) + y.mean()
    model = fit(accuracies)
    found, c = intervals(model, gains(NAMES))
    s = math.sqrt((residuals**2).sum() / ((k - 1) * (n - 1)))
    assert (model.s, model.df) == (pytest.approx(s), (k - 1) * (n - 1))
    close([model.estimates[name] for name in NAMES], y.mean(axis=1))
    close([one.estimate for one in found], y.mean(axis=1)[1:] - y.mean(axis=1)[0])
    close([(one.high - one.low) / 2 for one in found], c * s * math.sqrt(2 / n))
    close([model.sds[name] for name in NAMES], np.sqrt((residuals**2).sum(axis=1) / ((n - 1) * (1 - 1 / k))))


def test_sd_of_a_method_expects_its_own_variance_but_for_one_part_in_k():
    """Its square is a quadratic form q: of independent errors it expects sum_i q(e_i) variance_i."""
    names, seeds, variances = "abcd", range(3), np.array([1.0, 4.0, 9.0, 25.0])
    expected = np.zeros(4)
    for name, variance in zip(names, variances, strict=True):
        for seed in seeds:
            unit = {m: {b: float((m, b) == (name, seed)) for b in seeds} for m in names}
            expected += variance * np.array(list(fit(unit).sds.values())) ** 2
    others = (variances.sum() - variances) / 3
    close(expected, 3 / 4 * variances + 1 / 4 * others)


def test_a_row_without_its_share_of_the_degrees_of_freedom_has_no_sd():
    model = fit(table(["a", "b"]) | {"alone": {10: 1.0, 11: 2.0, 12: 4.0}})
    assert model.df == 4 and math.isnan(model.sds["alone"]) and model.sds["a"] == pytest.approx(model.s)


@pytest.mark.parametrize("without", [(), GAPS])
def test_an_effect_of_a_seed_and_the_order_change_no_interval(without):
    accuracies = table(without=without)
    expected, c = intervals(fit(accuracies), gains(NAMES))
    moved = {name: {seed: y + 10 * seed**2 for seed, y in row.items()} for name, row in accuracies.items()}
    close(intervals(fit(moved), gains(NAMES))[0], expected)
    turned = {name: dict(reversed(row.items())) for name, row in reversed(accuracies.items())}
    found, same = intervals(fit(turned), gains(NAMES))
    close(found, expected)
    assert same == pytest.approx(c)
    close(intervals(fit(accuracies), gains(NAMES)[::-1])[0][::-1], expected)


def test_intervals_turn_with_the_sign_and_grow_with_the_scale():
    accuracies = table(without=GAPS)
    found, _ = intervals(fit(accuracies), gains(NAMES))
    turned = [{name: -3 * value for name, value in one.items()} for one in gains(NAMES)]
    close(intervals(fit(accuracies), turned)[0], [(-3 * e, -3 * high, -3 * low) for e, low, high in found])
    scaled = {name: {seed: 2 * y for seed, y in row.items()} for name, row in accuracies.items()}
    close(intervals(fit(scaled), gains(NAMES))[0], 2 * np.array(found))


def test_c_grows_with_the_family_and_the_level():
    model = fit(table())
    one, few, all_of_them = (intervals(model, gains(NAMES)[:n])[1] for n in (1, 2, 3))
    assert one < few < all_of_them < intervals(model, gains(NAMES), bonferroni(4))[1]
    assert bonferroni(1) == pytest.approx(LEVEL) and bonferroni(4) == pytest.approx(0.9875)


def test_c_is_drawn_once():
    model = fit(table())
    before = statistics._quantile.cache_info()
    _, c = intervals(model, [over("dks", ["tf_kd"])], 0.9)
    assert intervals(fit(table(sd=5)), [over("dks", ["tf_kd"])], 0.9)[1] == pytest.approx(c)
    after = statistics._quantile.cache_info()
    assert (after.misses, after.hits) == (before.misses + 1, before.hits + 1)


TABLES, SD, GAIN = 4000, 0.4, 1.0


@cache
def simulated():
    """For 4,000 tables of 11 rows and 3 seeds, of which row 1 gains 1 point: low and high of both kinds of interval.

    The gains have shape (tables, 10).  The literal formulas, so that one c and no loop serve all tables.
    """
    rng = np.random.default_rng(2026)
    truth = np.array([0, GAIN, *[0.0] * 9])
    y = truth[:, None] + rng.normal(scale=2, size=(TABLES, 1, 3)) + rng.normal(scale=SD, size=(TABLES, 11, 3))
    residuals = y - y.mean(axis=2, keepdims=True) - y.mean(axis=1, keepdims=True) + y.mean(axis=(1, 2), keepdims=True)
    s = np.sqrt((residuals**2).sum(axis=(1, 2)) / 20)
    differences = y[:, 1:] - y[:, :1]
    estimates, errors = differences.mean(axis=2), differences.std(axis=2, ddof=1) / math.sqrt(3)
    half = {
        "model": np.tile((critical(dunnett(11), 20) * s * math.sqrt(2 / 3))[:, None], 10),
        "paired t": stats.t.ppf(0.975, 2) * errors,
        "Bonferroni": stats.t.ppf(1 - 0.025 / 10, 2) * errors,
    }
    return truth[1:], {name: (estimates - one, estimates + one) for name, one in half.items()}


def coverage(kind):
    truth, found = simulated()
    low, high = found[kind]
    return ((low <= truth) & (truth <= high)).all(axis=1).mean()


def power(kind):
    return (simulated()[1][kind][0][:, 0] > 0).mean()


def test_all_10_intervals_hold_in_95_percent_of_tables():
    close(coverage("model"), LEVEL, 0.015)


def test_the_10_paired_t_intervals_hold_together_in_far_fewer():
    assert 0.60 < coverage("paired t") < 0.75
    assert coverage("Bonferroni") > 0.94


def test_the_model_finds_a_gain_of_1_point_far_more_often_than_corrected_paired_t():
    assert power("model") > 0.4 > 0.2 > power("Bonferroni")
    assert power("model") > power("paired t")


def test_all_intervals_of_an_incomplete_table_hold_in_95_percent_of_tables():
    contrasts = [*(over(a, [b]) for a, b in combinations(NAMES, 2)), over("dks", ["ps_kd", "tf_kd"])]
    model = fit(table(without=GAPS))
    cells = [(name, seed) for name in model.estimates for seed in model.seeds if (name, seed) not in GAPS]
    x = np.array(
        [[a == name for name in model.estimates] + [b == seed for seed in model.seeds] for a, b in cells], float
    )
    inverse = np.linalg.pinv(x.T @ x, rcond=1e-9)
    rows = np.array([[one.get(name, 0.0) for name in model.estimates] + [0.0] * 5 for one in contrasts])
    errors = np.random.default_rng(7).normal(size=(TABLES, len(cells)))  # the effects are 0, and so the differences
    residuals = errors - errors @ x @ inverse @ x.T
    s = np.sqrt((residuals**2).sum(axis=1, keepdims=True) / model.df)
    t = errors @ x @ inverse @ rows.T / (s * np.sqrt(np.diag(rows @ inverse @ rows.T)))
    close((abs(t).max(axis=1) <= intervals(model, contrasts)[1]).mean(), LEVEL, 0.015)


def test_the_interval_to_the_best_rival_holds_whenever_those_to_each_do():
    assert against_the_best([Interval(2, 1, 3), Interval(1, -1, 4), Interval(1.5, 0.5, 2.5)]) == (1, -1, 2.5)
    rng = np.random.default_rng(0)
    for truth in rng.normal(size=(200, 4)):
        ends = truth + rng.exponential(size=(2, 4)) * [[-1], [1]]
        _, low, high = against_the_best([Interval(*one) for one in zip(truth, *ends, strict=True)])
        assert low <= truth.min() <= high
        assert (verdict(low, high) == "better") == all(verdict(*one) == "better" for one in ends.T)


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (0.1, 0.2, "better"),
        (-2.0, -0.1, "worse"),
        (-1.0, 0.4, "no gain above 0.5"),
        (0.0, 0.4, "no gain above 0.5"),
        (-0.4, 0.5, "undecided"),
        (-3.0, 3.0, "undecided"),
        (math.nan, math.nan, "undecided"),
    ],
)
def test_verdict(low, high, word):
    assert verdict(low, high) == word
    assert f"{MARGIN:g}" in statistics.NO_GAIN


def test_rows_below_3_seeds_are_left_out_and_do_not_count():
    accuracies = table()
    more = accuracies | {"few": {0: 1.0, 99: 2.0}, "none": {}}
    assert list(fit(more).estimates) == sorted(NAMES) and fit(more).seeds == (0, 1, 2, 3, 4)
    close(intervals(fit(more), gains(NAMES))[0], intervals(fit(accuracies), gains(NAMES))[0])


@pytest.mark.parametrize(
    "accuracies",
    [
        {},
        table(["vanilla"]),
        table(seeds=range(2)),
        {"a": {0: 1.0, 1: 2.0, 2: 3.0}, "b": {3: 1.0, 4: 2.0, 5: 4.0}},  # no common seed: no degree of freedom
    ],
)
def test_what_cannot_be_fitted_is_none(accuracies):
    assert fit(accuracies) is None


def test_differences_go_through_chains_of_common_seeds_only():
    a, b, c = ({seed: y + seed for seed in seeds} for y, seeds in ((1, range(3)), (3, range(2, 5)), (7, range(4, 7))))
    a[3] = 4.5  # an error, for a degree of freedom
    (found,), _ = intervals(fit({"a": a, "b": b, "c": c}), [over("c", ["a"])])
    assert found.estimate == pytest.approx(6 - 0.25)  # c - b = 4 at seed 4, b - a = 2 and 1.5 at seeds 2 and 3
    apart = fit(table(["a", "b"]) | table(["c", "d"], seeds=range(10, 14)))
    (found,), _ = intervals(apart, [{"a": 1, "b": -1, "c": 1, "d": -1}])
    assert apart.df == 4 + 3 and found.low < found.high
    with pytest.raises(ValueError, match="'a'.*'c'.*cannot be estimated: no chain of common seeds"):
        intervals(apart, [over("a", ["b"]), over("a", ["c"])])


def test_errors_name_what_is_wrong():
    model = fit(table())
    with pytest.raises(ValueError, match="'vanila'; did you mean vanilla"):
        intervals(model, [over("dks", ["vanila"])])
    for contrast in ({"dks": 1, "vanilla": -0.5}, {"dks": 0, "vanilla": 0}, over("dks", ["dks"]), {}):
        with pytest.raises(ValueError, match="must sum to 0"):
            intervals(model, [contrast])
    found, c = intervals(model, [])
    assert found == [] and math.isnan(c)


def test_pairs_are_those_of_common_seeds():
    assert pairs({0: 3.0, 1: 5.0, 7: 100.0}, {0: 2.0, 1: 2.5, 2: 50.0}) == (1.75, 2.25, 2)
    difference, baseline, n = pairs({0: 1.0}, {1: 1.0})
    assert n == 0 and math.isnan(difference) and math.isnan(baseline)


def test_a_row_whose_spread_stands_out_is_named_and_no_other():
    accuracies = table([f"m{i}" for i in range(11)])
    assert unequal(fit(accuracies)) == []
    accuracies["m3"][2] += 5
    assert unequal(fit(accuracies)) == ["m3"]
    exact = {f"m{i}": {seed: i / 7 + seed / 3 for seed in range(3)} for i in range(4)}
    assert unequal(fit(exact)) == [] and fit(exact).s == 0, "rounding is no spread"


def test_a_row_of_equal_spread_is_named_in_at_most_5_percent_of_tables():
    rng = np.random.default_rng(5)
    drawn = rng.normal(size=(1000, 11, 3))
    names = [f"m{i}" for i in range(11)]
    models = (fit({name: dict(enumerate(row)) for name, row in zip(names, one, strict=True)}) for one in drawn)
    assert 0.01 < sum(bool(unequal(model)) for model in models) / 1000 < 0.06


def test_two_rows_have_equal_shares_of_the_spread_so_neither_is_named():
    model = fit({"a": {0: 1.0, 1: 2.0, 2: 1.5}, "b": {0: 50.0, 1: -20.0, 2: 3.0}})
    assert model.sds["a"] == pytest.approx(model.sds["b"]) and unequal(model) == []


def test_shares_of_the_degrees_of_freedom_add_up_to_them():
    model = fit(table(without=GAPS))
    assert sum(model.shares.values()) == pytest.approx(model.df)
    close([*fit(table()).shares.values()], [12 / 4] * 4)
