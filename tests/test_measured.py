"""What claims about something else than accuracy measure: from which records, by which formula, with which verdict."""

import math
from statistics import mean

import pytest

from skdcore import bench, records
from skdcore.models import network
from skdcore.study import drawings, measured
from skdcore.study.claims import claims
from skdcore.study.evidence import everywhere, of_regime
from skdcore.study.experiments import regime
from skdcore.study.statistics import bonferroni, fit, intervals, over

NETWORKS = 7 + 5  # one of each small regime, and the paper's five

CLAIMS = {claim.id: claim for claim in claims()}
BYOT, OURS = (1.5, 1.4, 1.6), (1.05, 1.0, 1.1)  # median and quartiles over vanilla


@pytest.fixture
def timed(tmp_path):
    """Keeps a benchmark of a network, {method: median and quartiles of its ratio to vanilla}; gives the folder."""

    def timed(model="resnet18", device="X 1", **ratios):
        steps = {
            name: {"over vanilla": middle, "first quartile": low, "third quartile": high, "steps": 9}
            for name, (middle, low, high) in ratios.items()
        }
        bench.keep({"model": model, "steps": steps, "provenance": {"device": device}}, tmp_path)
        return tmp_path

    return timed


def rows(name, results):
    return measured.measured(CLAIMS[name], everywhere(results), results)


def test_a_ratio_of_times_is_that_of_the_medians_and_its_spread_that_of_the_farthest_quartiles(timed):
    results = timed(**{"drg+dsr": OURS, "byot": BYOT})
    byot, dlb = [row for row in rows("least-time", results) if row["network"] == "resnet18"]
    assert (byot["estimate"], byot["low"], byot["high"]) == pytest.approx((1.05 / 1.5, 1.0 / 1.6, 1.1 / 1.4))
    assert (byot["n"], byot["place"], byot["verdict"]) == (9, "on X 1", "holds on X 1")
    assert (dlb["n"], dlb["verdict"]) == (0, "not yet measured"), "the benchmark did not time it"
    assert {row["verdict"] for row in rows("least-time", results)} == {"holds on X 1", "not yet measured"}


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        ((1.05, 1.04, 1.06), "holds on X 1"),
        ((1.05, 0.9, 1.1), "undecided"),
        ((1.4, 1.4, 1.4), "fails on X 1"),
        ((0.8, 0.8, 0.8), "fails on X 1"),
    ],
)
def test_about_seventy_percent_is_a_range(timed, ours, expected):
    results = timed(**{"drg+dsr": ours, "byot": (1.5, 1.49, 1.51)})
    assert rows("seventy-percent", results)[0]["verdict"] == expected


def test_every_benchmark_of_a_network_has_a_row(timed):
    timed("resnet101", "A", byot=BYOT, vanilla=(1, 1, 1))
    found = rows("byot-hours", timed("resnet101", "B", byot=(1.2, 1.1, 1.3), vanilla=(1, 1, 1)))
    assert [(row["place"], row["verdict"]) for row in found] == [("on A", "undecided"), ("on B", "fails on B")]


def test_storage_is_the_ratio_of_the_weights_in_training_and_needs_no_record(tmp_path):
    found = {(row["network"], row["what"]): row for row in rows("least-storage", tmp_path)}
    net = network("resnet18", 100)

    def size(*modules):
        return sum(t.numel() * t.element_size() for module in modules for t in module.state_dict().values())

    dlb = found["resnet18", "`drg+dsr` over `dlb`, bytes of weights"]
    assert dlb["estimate"] == dlb["low"] == dlb["high"] == size(net.base, net.exits[1]) / size(net.base) > 1
    assert (dlb["n"], dlb["verdict"]) == (None, "contradicted")
    assert found["resnet18", "`drg+dsr` over `byot`, bytes of weights"]["verdict"] == "reproduced"
    assert len(found) == 5 * 3


def changed(results, change):
    """Changes each record of a folder in place."""
    for file in results.rglob("[0-9].json"):
        record = records.read(file)
        change(record, record["run"]["method"], record["run"]["seed"])
        records.write(file, record)
    return results


def test_a_correlation_is_the_mean_of_the_runs_with_the_lowest_and_the_highest(ran):
    values = [[0.1, 0.3, 0.2], [0.1, 0.2, 0.3], [0.3, 0.1, 0.2]]

    def change(record, _, seed):
        record["curve"] |= {"scored": [4, 8, 12], "test": [1.0, 2.0, record["final"]["accuracy"]]}
        record["curve"] |= {"var_logits": values[seed], "var_probs": values[seed]}

    def literal(x, y):
        dx, dy = ([v - mean(some) for v in some] for some in (x, y))
        return sum(a * b for a, b in zip(dx, dy, strict=True)) / math.hypot(*dx) / math.hypot(*dy)

    found = rows("falling-variance", changed(ran("full", vanilla=[3.0, 3.0, 3.0]), change))
    first, second, *_ = [row for row in found if row["regime"] == "full"]
    for row, power in ((first, 1), (second, 0.5)):
        r = [literal([v**power for v in some], [1.0, 2.0, 3.0]) for some in values]
        assert (row["estimate"], row["low"], row["high"]) == pytest.approx((mean(r), min(r), max(r)))
        assert row["n"] == 3
        assert row["verdict"] == "undecided"


@pytest.mark.parametrize(
    ("where", "seeds", "expected"),
    [
        ("tenth", 3, ["holds in tenth"] * 2 + ["fails in tenth"] * 2),
        ("paper", 3, ["reproduced"] * 2 + ["contradicted"] * 2),
        ("tenth", 2, ["n < 3"] * 4),
        ("tenth", 0, []),
    ],
)
def test_the_sign_of_a_correlation_gives_the_verdict(ran, where, seeds, expected):
    results = ran(where, vanilla=[31.0, 31.5, 31.2][:seeds])  # the variance of logits falls, of probabilities rises
    found = [row["verdict"] for row in rows("falling-variance", results)]
    assert [verdict for verdict in found if verdict != "not yet run"] == expected and len(found) == 4 * NETWORKS


def calibrated(ran, seeds=3):
    """Records of `tenth` whose ECE is that of the run's method and seed, and which have no scaled metrics."""
    ece = {"vanilla": [0.30, 0.32, 0.31], "drg": [0.10, 0.11, 0.13], "ls": [0.2, 0.21, 0.2]}

    def change(record, method, seed):
        record["final"]["ece"] = ece[method][seed]

    return ece, changed(ran("tenth", **{method: [31.0, 31.5, 31.2][:seeds] for method in ece}), change)


def test_calibration_is_the_difference_at_the_same_seeds_with_the_interval_of_the_metrics_model(ran):
    ece, results = calibrated(ran)
    found = {row["what"]: row for row in rows("calibration", results) if row["regime"] == "tenth"}
    drg = found["ECE of `drg` minus that of `vanilla`"]
    by_seed = {method: dict(enumerate(values)) for method, values in ece.items()}
    expected = intervals(fit(by_seed), {"drg": over("drg", ["vanilla"])}, bonferroni(4))[0]["drg"]
    assert drg["estimate"] == pytest.approx(mean(a - b for a, b in zip(ece["drg"], ece["vanilla"], strict=True)))
    assert (drg["estimate"], drg["low"], drg["high"]) == pytest.approx(expected)
    assert (drg["n"], drg["verdict"]) == (3, "lower")
    assert found["ECE of `dsr` minus that of `vanilla`"]["verdict"] == "not yet run"
    assert found["scaled NLL of `drg` minus that of `vanilla`"]["n"] == 0, "older records lack it"
    (one,) = of_regime(regime("tenth"), results)
    assert one.networks == 1


@pytest.mark.parametrize("shift, expected", [(-0.2, "holds"), (0.2, "fails")])
def test_the_fitted_temperature_gives_the_verdict_on_overconfidence(ran, shift, expected):
    def change(record, method, seed):
        record["final"]["temperature"] = 1.1 + 0.01 * seed + (shift + 0.001 * seed) * (method == "dsr")

    results = changed(ran("tenth", vanilla=[31.0, 31.5, 31.2], dsr=[31.0, 31.5, 31.2]), change)
    (dsr,) = (row for row in rows("confidence", results) if row["n"])
    assert dsr["what"] == "fitted temperature of `dsr` minus that of `vanilla`"
    assert dsr["estimate"] == pytest.approx(shift + 0.001) and dsr["verdict"] == f"{expected} in tenth"


def test_a_metric_whose_spread_stands_out_has_no_verdict(ran):
    methods = ["vanilla", "ls", "byot", "cs_kd", "ps_kd", "dlb", "zf_ls", "tf_kd", "drg"]

    def change(record, method, seed):
        at = methods.index(method) if method in methods else 9
        record["final"]["temperature"] = 1 + math.sin(9 * at + 5 * seed) / 500 if at < 9 else 1.5 + [0, 0.4, 0.2][seed]

    results = changed(ran("tenth", **{name: [31.0, 31.5, 31.2] for name in (*methods, "dsr")}), change)
    found = {row["what"].split("`")[1]: row for row in rows("confidence", results) if row["n"]}
    assert found["dsr"]["low"] > 0 and found["dsr"]["verdict"] == "unequal spread"
    assert found["drg"]["verdict"] != "unequal spread"


def test_few_seeds_have_a_difference_and_no_verdict(ran):
    _, results = calibrated(ran, seeds=2)
    (drg,) = (row for row in rows("calibration", results) if row["n"] and row["what"].startswith("ECE of `drg`"))
    assert drg["estimate"] == pytest.approx((0.10 - 0.30 + 0.11 - 0.32) / 2)
    assert math.isnan(drg["low"]) and drg["verdict"] == "n < 3"


DRAWN = {"boundary": ("fig_9", "silhouette"), "both-features": ("fig_8", "insertion")}


@pytest.mark.parametrize("name, figure, metric", [(name, *drawn) for name, drawn in DRAWN.items()], ids=DRAWN)
@pytest.mark.parametrize("shift, expected", [(0.2, "holds in tenth"), (-0.2, "fails in tenth"), (0.001, "undecided")])
def test_a_metric_of_a_figure_is_compared_in_the_regime_of_its_drawing(tmp_path, name, figure, metric, shift, expected):
    claim, tenth = CLAIMS[name], regime("tenth")
    values = {
        method: {seed: at * shift + seed + 0.01 * ((at + seed) % 2) for seed in range(3)}
        for at, method in enumerate((*reversed(claim.against), *claim.of))
    }
    about = {"dataset": tenth.dataset, "model": tenth.models[0], "epochs": tenth.epochs, "precision": "bf16"}
    arrays = {(method, seed): {metric: value} for method, own in values.items() for seed, value in own.items()}
    weights = {method: dict.fromkeys(own, "x") for method, own in values.items()}
    file = tmp_path / f"drawings/{tenth.dataset}/{tenth.models[0]}/{figure}/e120-bf16.npz"
    drawings.write(file, drawings.Drawing(about, weights, arrays))
    other = {run: {metric: -9 * one[metric] for metric in one} for run, one in arrays.items()}
    other = drawings.Drawing(about | {"precision": "fp32"}, weights, other)
    drawings.write(file.with_name("e120-fp32.npz"), other)  # not the regime's
    found = rows(name, tmp_path)
    own = [row for row in found if row["regime"] == "tenth"]
    family = {rival: over(claim.of[0], [rival]) for rival in claim.against}
    for row, interval in zip(own, intervals(fit(values), family)[0].values(), strict=True):
        assert (row["n"], row["estimate"], row["low"], row["high"]) == pytest.approx((3, *interval))
        assert row["verdict"] == expected
    assert {row["verdict"] for row in found if row["regime"] != "tenth"} == {"not yet run"}
