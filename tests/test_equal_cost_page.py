"""The page "At equal cost": its contrasts, its front, and what it says of none, one and three seeds."""

import math

import numpy as np
import pytest

from skdcore.study import figures
from skdcore.study.described import described
from skdcore.study.equal_cost import bought, cost
from skdcore.study.equal_cost_page import EqualCost, at_equal_cost, known_costs, points
from skdcore.study.evidence import of_regime
from skdcore.study.experiments import regime
from skdcore.study.statistics import over

NETWORK = "resnet10_w16"
LONGER = round(120 * cost(NETWORK, "dlb"))
VANILLA, LS, DLB = [31.0, 31.5, 31.2], [31.6, 31.9, 32.2], [33.0, 33.6, 33.1]
MORE = {"vanilla": [32.0, 32.4, 32.3], "ls": [32.1, 32.9, 32.2]}


def tenth(ran, seeds=3, more=3, **rows):
    """The folder of records of `tenth`, of a number of seeds, and the evidence there."""
    rows = {"vanilla": VANILLA, "ls": LS, "dlb": DLB} | rows
    ran("tenth", **{method: values[:seeds] for method, values in rows.items()})
    results = ran("tenth", epochs=LONGER, **{method: values[:more] for method, values in MORE.items()})
    return results, of_regime(regime("tenth"), results)[0]


def test_a_difference_at_equal_cost_is_that_of_means_with_the_pooled_error_of_all_rows(ran):
    """In complete blocks, from the literal formulas of a two-way layout."""
    _, one = tenth(ran)
    frame, c = at_equal_cost(one, 120, ["dlb"])
    y = np.array([VANILLA, LS, DLB, MORE["vanilla"], MORE["ls"]])
    residuals = y - y.mean(axis=1, keepdims=True) - y.mean(axis=0) + y.mean()
    s = math.sqrt((residuals**2).sum() / (4 * 2))
    assert frame["rival"].tolist() == [f"vanilla, {LONGER} epochs", f"ls, {LONGER} epochs"]
    for row, rival in zip(frame.itertuples(), y[3:], strict=True):
        gain = sum(DLB) / 3 - rival.mean()
        assert (row.gain, row.n, row.epochs) == (pytest.approx(gain), 3, LONGER)
        assert (row.low, row.high) == pytest.approx((gain - c * s * math.sqrt(2 / 3), gain + c * s * math.sqrt(2 / 3)))
    gains = {name: over(name, ["vanilla"]) for name in ("ls", "dlb")}
    left = {rival: over("dlb", [rival]) for rival in frame["rival"]}
    assert c == one.intervals(gains | left)[1] > one.gains[1], "the gains are of the family"


def test_few_seeds_are_compared_at_the_common_ones_without_an_interval(ran):
    _, one = tenth(ran, seeds=2, more=1)
    frame, _ = at_equal_cost(one, 120, ["dlb", "byot"])
    assert frame["n"].tolist() == [1, 1, 0, 0] and frame["low"].isna().all()
    assert frame["gain"].tolist()[:2] == pytest.approx([33.0 - 32.0, 33.0 - 32.1])
    assert frame["verdict"].tolist() == ["n < 3", "n < 3", "", ""]


def test_a_cost_that_study_yml_lacks_is_named(ran):
    _, one = tenth(ran)
    with pytest.raises(ValueError, match=f"unknown .* {NETWORK}.* 'dlbb'; did you mean dlb"):
        at_equal_cost(one, 120, ["dlbb"])
    text = EqualCost(ran("tenth", **{"ps_kd+drg": [30.0]}))._repr_markdown_()
    assert f"`study.yml` has no cost on `{NETWORK}` of `ps_kd+drg`." in text


def test_a_regime_of_an_image_folder_has_its_comparisons_too(ran):
    ran("cub", vanilla=VANILLA, ls=LS, drg=DLB)
    results = ran("cub", epochs=bought(regime("cub").epochs, NETWORK, "drg"), **MORE)
    assert "For what `drg` costs" in EqualCost(results)._repr_markdown_()


def test_the_page_says_what_is_left_and_counts_what_did_not_run(ran):
    results, one = tenth(ran)
    page = EqualCost(results)
    head, left, table, families = page.tabs["tenth"]
    assert head.startswith("**Regime `tenth`:**")
    assert left.startswith("- `dlb`: +2.00 (")
    assert " over vanilla at equal epochs. **At equal cost, `dlb` is better than plain training.** For what" in left
    assert f"`dlb` over `vanilla, {LONGER} epochs`: +1.00 (" in left and f"`ls, {LONGER} epochs`: +0.83 (" in left
    (row,) = table.frame.to_dict("records")
    assert (row["method"], row["cost"], row["epochs bought"]) == ("`dlb`", f"{cost(NETWORK, 'dlb'):.2f}", str(LONGER))
    assert row["over vanilla"].startswith("+1.00 (") and row["over ls"].startswith("+0.83 (")
    assert page.after == "Not yet run: `paper`, `tenth-wide`, `fifth`, `full`, `caltech`, `cub`, `dogs`."
    results = ran("tenth", byot=[30.0])
    bought_ = bought(120, NETWORK, "byot")
    missing = f"Not yet compared with plain training at equal cost: `byot` ({bought_} epochs)."
    assert EqualCost(results).tabs["tenth"][-1] == missing
    s = f"s = {one.model.s:.2f} points and 8 degrees of freedom."
    (_, gains), (_, left), (_, drawn) = one.gains, at_equal_cost(one, 120, ["dlb"]), points(one, 120)
    assert families == (
        f"The simultaneous 95 % intervals of all gains at equal epochs (2) have c = {gains:.2f}, {s} "
        "The simultaneous 95 % intervals of these gains and the differences at equal cost together (4) have "
        f"c = {left:.2f}, {s} The gains of longer plain training are in the family of the figure below."
    )
    assert page.basis == (
        "- regime tenth, resnet10\\_w16, cifar100(n=50): The simultaneous 95 % intervals of all differences from "
        f"vanilla in the figure (4) have c = {drawn:.2f}, {s}"
    )


def test_one_seed_has_differences_and_no_seed_a_sentence(ran, tmp_path):
    page = EqualCost(tenth(ran, seeds=1, more=1)[0])
    assert "`dlb`: +2.00, n < 3, over vanilla" in page.tabs["tenth"][1]
    assert "c = " not in page._repr_markdown_() and page.basis == ""
    (nothing := tmp_path / "none").mkdir()
    nothing = EqualCost(nothing)
    assert nothing.tabs == nothing.points == {} and nothing.basis == ""
    regimes = "`paper`, `tenth-wide`, `tenth`, `fifth`, `full`, `caltech`, `cub`, `dogs`"
    assert nothing._repr_markdown_() == f"Not yet run: {regimes}."


def test_a_regime_where_no_comparison_ran_is_one_sentence(ran):
    page = EqualCost(ran("tenth", vanilla=VANILLA, ls=LS, dlb=DLB))
    assert page.tabs == {} and list(page.points) == ["regime tenth, resnet10_w16, cifar100(n=50)"]
    assert page.after.startswith(f"2 comparisons at equal cost in `tenth`, {NETWORK}, none run yet. Not yet run: ")


def test_of_rows_that_cost_the_same_the_best_is_on_the_front(ran, monkeypatch):
    costs = {NETWORK: {"vanilla": 1, "tf_kd": 1, "zf_ls": 1}}
    monkeypatch.setattr("skdcore.study.equal_cost.study", lambda: {"costs": costs})
    results = ran("tenth", vanilla=VANILLA, tf_kd=LS, zf_ls=[30.0, 30.1, 30.2])
    frame, _ = points(of_regime(regime("tenth"), results)[0], 120)
    assert frame.loc[frame["front"], "row"].tolist() == ["tf_kd"]
    assert list(known_costs(NETWORK, {"zf_ls", "vanilla", "tf_kd"})) == sorted(costs[NETWORK])


def test_the_front_are_the_rows_of_the_model_that_nothing_cheaper_beats(ran):
    _, one = tenth(ran, byot=[30.0, 30.2, 30.1], drg=[40.0])
    frame, c = points(one, 120)
    frame = frame.set_index("row")
    longer = f"vanilla, {LONGER} epochs"
    assert list(frame.index)[:2] == ["vanilla", "ls"] and frame["cost"].is_monotonic_increasing
    assert frame.loc[longer, "cost"] == LONGER / 120
    assert frame.loc[f"ls, {LONGER} epochs", "cost"] == pytest.approx(LONGER / 120 * cost(NETWORK, "ls"))
    rows = frame[frame["inside"]]
    for row in rows.itertuples():
        assert row.front == all(rows.loc[rows["cost"] < row.cost, "accuracy"] < row.accuracy), row.Index
    assert frame.loc[["vanilla", "ls", "dlb"], "front"].all() and not frame.loc["byot", "front"]
    assert not frame.loc["drg", ["inside", "front"]].any(), "one seed"
    assert frame.loc["vanilla", "accuracy"] == pytest.approx(sum(VANILLA) / 3)
    drawn = ["ls", "dlb", "byot", longer, f"ls, {LONGER} epochs"]
    family, expected = one.intervals({name: over(name, ["vanilla"]) for name in drawn})
    for name, interval in family.items():
        assert tuple(frame.loc[name, ["accuracy", "low", "high"]] - sum(VANILLA) / 3) == pytest.approx(interval)
    assert c == pytest.approx(expected) and c > one.gains[1], "the longer runs are of the family"
    text = described(figures.against_cost({"here": points(one, 120)[0]}))
    assert text.startswith(f"here: vanilla {sum(VANILLA) / 3:.2f} % at 1.00, on the front; ")
    low, high = frame.loc["dlb", ["low", "high"]]
    assert f"dlb {sum(DLB) / 3:.2f} % ({low:.2f} to {high:.2f}) at 1.96, on the front; " in text
