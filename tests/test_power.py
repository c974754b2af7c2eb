"""Power: against the intervals of simulated studies, and at its limits; and what the paper prints beside it."""

import numpy as np
import pytest

from skdcore.study import power as module
from skdcore.study.evidence import of_regime
from skdcore.study.experiments import experiment, regime
from skdcore.study.power import (
    ENOUGH,
    MOST,
    could_show,
    estimated,
    page,
    power,
    printed_differences,
    seeds_for,
    shown_by,
)
from skdcore.study.statistics import fit, intervals, over

TABLE_1 = experiment("table_1")
VANILLA, DRG = [52.0, 52.2, 52.4], [50.0, 50.3, 50.3]


@pytest.mark.parametrize(("difference", "others"), [(0, 0), (1, 0), (2, 0), (1, 3)])
def test_power_is_how_often_the_interval_of_a_simulated_study_leaves_out_zero(difference, others):
    rng, methods, shown, studies = np.random.default_rng(1), ["a", "b", "c"], 0, 1000
    for _ in range(studies):
        seeds = rng.normal(0, 3, size=3)
        means = {"vanilla": 50, "a": 50 + difference, "b": 47, "c": 51} | {f"longer {i}": 53 for i in range(others)}
        study = {name: dict(enumerate(mean + seeds + rng.normal(0, 0.5, 3))) for name, mean in means.items()}
        found, _ = intervals(fit(study), {method: over(method, ["vanilla"]) for method in methods})
        shown += found["a"].low > 0 or found["a"].high < 0
    expected = power(difference, 0.5, 3, 3, others=others)
    assert abs(shown / studies - expected) < 4 * np.sqrt(expected * (1 - expected) / studies)


def test_without_a_difference_a_family_is_wrong_in_5_percent_of_simulated_studies():
    rng, methods, wrong, studies = np.random.default_rng(2), ["a", "b", "c", "d"], 0, 2000
    for _ in range(studies):
        seeds = rng.normal(0, 3, size=3)
        study = {name: dict(enumerate(50 + seeds + rng.normal(0, 0.5, 3))) for name in ["vanilla", *methods]}
        found, _ = intervals(fit(study), {method: over(method, ["vanilla"]) for method in methods})
        wrong += any(one.low > 0 or one.high < 0 for one in found.values())
    assert abs(wrong / studies - 0.05) < 3 * np.sqrt(0.05 * 0.95 / studies)


def test_without_a_difference_one_interval_of_a_family_is_wrong_in_less_than_5_percent():
    for rows in (1, 3, 10):
        alone = power(0, 0.4, rows, 3)
        assert 0.05 / rows - 0.0005 < alone < 0.0505, "at least Bonferroni's, at most that of one interval"
    assert power(0, 0.4, 1, 3) == pytest.approx(0.05, abs=0.001)
    assert power(0, 0.4, 3, 3, level=0.99) < power(0, 0.4, 3, 3)


def test_a_large_difference_is_always_shown_and_more_seeds_show_more():
    assert power(100, 0.4, 10, 3) == power(1e6, 0.4, 10, 80) == 1
    chances = [power(0.5, 0.4, 10, seeds) for seeds in (3, 4, 6, 10, 20, 50)]
    assert chances == sorted(chances) and chances[0] < 0.2 and chances[-1] > 0.99
    assert power(0.5, 0.4, 10, 5) == power(-0.5, 0.4, 10, 5) == power(1, 0.8, 10, 5)


def test_the_seeds_that_are_enough_are_the_least_such_number():
    seeds = seeds_for(1, 0.4, 4)
    assert power(1, 0.4, 4, seeds) >= ENOUGH > power(1, 0.4, 4, seeds - 1)
    assert seeds_for(50, 0.4, 4) == 3 and seeds_for(0.01, 0.4, 4) == MOST + 1


def test_the_least_difference_shown_has_that_power():
    assert power(shown_by(3, 0.4, 4), 0.4, 4, 3) == pytest.approx(ENOUGH)


def test_the_papers_differences_are_those_of_its_own_cells():
    cells = printed_differences(TABLE_1)
    assert cells["drg+dsr", "vanilla"]["resnet18"] == pytest.approx(79.30 - 77.29)
    assert cells["drg+dsr", "dlb"]["resnet18"] == pytest.approx(79.30 - 79.52)
    assert len(cells) == 9 + 3 and ("ls", "vanilla") not in cells
    frame = could_show({("drg", "vanilla"): {"a": 1.0, "b": -2.0, "c": 0.5}}, {"`x`": 1.0}).frame
    assert frame.values.tolist() == [["`drg` over `vanilla`", "-2.00 to +1.00", "2 of 3"]]


def test_a_regime_has_the_s_and_the_family_of_its_model(ran):
    results = ran("full", vanilla=VANILLA, drg=DRG, **{"drg(alpha=0)": DRG[::-1]})
    (one,) = of_regime(regime("full"), results)
    (row,) = estimated(TABLE_1, results).to_dict("records")
    expected = {"regime": "full", "network": "resnet10_w16", "s": one.model.s, "df": one.model.df}
    assert row == expected | {"rows": 2, "level": pytest.approx(0.95), "others": 0}
    (row,) = estimated(TABLE_1, ran("full", epochs=23, vanilla=VANILLA)).to_dict("records")
    assert (row["rows"], row["others"], row["df"]) == (2, 1, (2 + 1) * (3 - 1)), "longer runs are in the model"


def test_the_page_has_a_row_and_a_sentence_for_each_regime_with_intervals(ran, monkeypatch):
    monkeypatch.setattr(module, "seeds_for", lambda difference, *_: MOST + 1 if difference < 0.5 else 7)
    ran("full", vanilla=VANILLA, drg=DRG)
    planned, said, shown = page(TABLE_1, ran("tenth", vanilla=VANILLA[:1], drg=DRG[:1])).tabs[""]
    assert planned.frame["regime"].tolist() == ["`full`"]
    assert planned.frame["0.2 points"].item().endswith(f" %; over {MOST}")
    assert planned.frame["2 points"].item().endswith(" %; 7")
    assert said.startswith("- `full`, resnet10_w16: 3 seeds show ") and "Of the 45 gains over vanilla" in said
    assert "Of the 15 differences between its own methods and DLB" in said and len(shown.frame) == 12


def test_a_printed_loss_that_is_large_enough_is_said_to_be_one(ran, monkeypatch):
    monkeypatch.setattr(module, "shown_by", lambda *_: 1.5)
    _, said, _ = page(TABLE_1, ran("full", vanilla=VANILLA, drg=DRG)).tabs[""]
    losses = [d for (_, rival), row in printed_differences(TABLE_1).items() for d in row.values() if rival == "dlb"]
    assert [d for d in losses if abs(d) >= 1.5] == pytest.approx([79.01 - 80.52])
    assert said.endswith("1 is as large, in favour of `dlb`.")


def test_without_three_seeds_there_is_a_sentence(ran):
    for results in (ran(), ran("tenth", vanilla=VANILLA[:1], drg=DRG[:1])):
        said = page(TABLE_1, results)._repr_markdown_()
        assert said == "Not known yet. Estimating s needs vanilla and another row with 3 seeds each."
