"""What the runs of a regime say: one gain has one interval, and few seeds have none."""

import json

import pandas
import pytest

from skdcore import records
from skdcore.study import statistics
from skdcore.study.equal_cost import cost
from skdcore.study.evidence import gather, nearest, of_regime, on
from skdcore.study.experiments import every_run, experiment, recorded, regime
from skdcore.study.statistics import bonferroni, fit, over

VANILLA, DRG, DLB = [77.0, 77.2, 77.4], [79.0, 79.3, 79.3], [76.0, 76.1, 76.4]


def by_seed(values):
    return dict(enumerate(values))


def test_a_gain_is_that_of_one_model_over_every_row_of_all_experiments(ran):
    rows = {"vanilla": VANILLA, "drg": DRG, "drg(alpha=0)": [78.0, 78.1, 78.6], "drg(k=1)+dsr": [77.9, 78.2, 78.0]}
    (one,) = of_regime(regime("paper"), ran(**rows))
    model = fit({method: by_seed(values) for method, values in rows.items()})
    assert one.gains == statistics.intervals(model, {method: over(method, ["vanilla"]) for method in sorted(rows)[:-1]})


def test_one_gain_has_one_interval_in_all_experiments(ran):
    (one,) = of_regime(regime("paper"), ran(vanilla=VANILLA, drg=DRG, dlb=DLB, **{"drg(alpha=0)": DRG}))
    rows = [
        tuple(one.compare(experiment(name)).set_index("method").loc["drg", ["gain", "low", "high", "verdict"]])
        for name in ("table_1", "controls", "fig_6", "fig_7")
    ]
    assert len(set(rows)) == 1 and rows[0][0] == pytest.approx(2.0) and rows[0][3] == "better"


def test_a_row_with_few_seeds_is_compared_at_the_same_seeds_and_changes_no_interval(ran):
    without = of_regime(regime("paper"), ran(vanilla=VANILLA, drg=DRG))[0].gains
    (one,) = of_regime(regime("paper"), ran(cutout=[73.0, 74.0]))
    assert one.gains == without
    row = one.compare(experiment("table_3")).set_index("method").loc["cutout"]
    assert (row["n"], row["gain"], row["baseline"]) == (2, pytest.approx(73.5 - 77.1), pytest.approx(77.1))
    assert pandas.isna(row["low"]) and row["verdict"] == f"n < {statistics.MIN_SEEDS}"


def test_without_three_seeds_of_vanilla_no_row_has_an_interval(ran):
    (one,) = of_regime(regime("paper"), ran(vanilla=VANILLA[:2], drg=DRG, dlb=DLB))
    frame = one.compare(experiment("table_1")).set_index("method")
    assert one.gains[0] == {} and frame["low"].isna().all()
    assert frame.loc["drg", "gain"] == pytest.approx(sum(DRG[:2]) / 2 - 77.1)


def test_a_row_that_did_not_run_or_failed_says_so(ran):
    results = ran(vanilla=VANILLA, drg=[79.0])
    (file,) = results.rglob("drg/*/0.json")
    failed = json.loads(file.read_text())
    failed = {"run": failed["run"], "provenance": failed["provenance"], "state": "failed", "reason": "loss is nan"}
    records.write(file, failed)
    (one,) = of_regime(regime("paper"), results)
    frame = one.compare(experiment("table_1")).set_index("method")
    assert (frame.loc["drg", "absent"], frame.loc["dsr", "absent"]) == ("failed", "not yet run")
    assert frame.loc["drg", "n"] == 0 and frame.loc["drg", "verdict"] == ""


def test_intervals_of_several_networks_hold_together_by_bonferroni(ran):
    ran(vanilla=VANILLA, drg=DRG)
    (alone,) = of_regime(regime("paper"), ran(vanilla=VANILLA, drg=DRG))
    ran(model="resnet50", vanilla=VANILLA)  # no model, so no interval to hold
    assert [one.networks for one in of_regime(regime("paper"), ran())] == [1, 1]
    ran(model="resnet50", drg=DRG)
    first, second = of_regime(regime("paper"), ran(dataset="tinyimagenet", vanilla=VANILLA, drg=DRG))[:2]
    assert {one.networks for one in (first, second)} == {3}
    assert first.gains == statistics.intervals(alone.model, {"drg": over("drg", ["vanilla"])}, bonferroni(3))
    assert first.gains[1] > alone.gains[1]


def test_the_papers_numbers_stand_beside_its_own_images_only(ran):
    table_1 = experiment("table_1")
    columns = ["paper", "paper_gain", "paper_network"]

    def beside(*where):
        (one,) = of_regime(regime(where[0]), ran(*where, vanilla=[52.0], drg=[53.0]))
        row = one.compare(table_1).set_index("method").loc["drg", columns]
        return [None if pandas.isna(value) else value for value in row]

    gain = pytest.approx(79.07 - 77.29)
    assert beside("paper") == [79.07, gain, "resnet18"]
    assert beside("full") == [None, gain, "resnet18"]
    assert beside("tenth") == [None, gain, "resnet18"]
    assert beside("miniature")[:2] == [None, None]


def test_records_of_other_settings_are_refused(ran):
    ran("full", vanilla=[52.0])
    together = recorded(every_run(regime("full")), ran("full", drg=[53.0]))
    together[0]["run"]["epochs"] = 13
    with pytest.raises(ValueError, match="other settings cannot stand in one table"):
        gather(together, "this run")


def test_an_experiment_is_shown_where_a_row_beyond_vanilla_and_ls_ran_on_its_networks(ran):
    results = ran("full", vanilla=[52.0], ls=[51.0])
    assert on(experiment("table_1"), regime("full"), results) == []
    ran("full", **{"drg(k=1)+dsr": [50.0]})
    assert on(experiment("table_1"), regime("full"), results) == []
    (one,) = on(experiment("table_4"), regime("full"), results)
    assert (one.title, one.dataset) == ("regime full, resnet10_w16", "cifar100")
    ran(model="resnet50", ps_kd=[79.0])
    assert on(experiment("table_3"), regime("paper"), results) == []
    assert [one.network for one in on(experiment("table_1"), regime("paper"), results)] == ["resnet50"]


def test_the_answer_comes_from_the_last_regime_in_which_a_method_of_the_paper_has_a_verdict(ran):
    table_1, rows = experiment("table_1"), {"vanilla": VANILLA, "dlb": DLB}
    ran("full", drg=DRG, **rows)
    assert nearest(table_1, ran("paper", drg=DRG[:2], **rows))[0] == regime("full")
    ran("tenth", dsr=DRG, **rows)
    assert nearest(table_1, ran("miniature", drg=DRG, **rows))[0] == regime("tenth")
    chosen, there = nearest(table_1, ran("paper", drg=DRG))
    assert chosen == regime("paper") and [one.network for one in there] == ["resnet18"]


def test_without_a_verdict_there_is_no_answer(ran):
    assert nearest(experiment("table_1"), ran("miniature", vanilla=VANILLA, drg=DRG)) == (None, [])


def test_the_order_of_the_records_changes_nothing(ran):
    there = recorded(every_run(regime("full")), ran("full", vanilla=VANILLA, drg=DRG, dlb=DLB))
    assert gather(there[::-1], "here")[0].gains == gather(there, "here")[0].gains


def test_a_longer_run_of_vanilla_is_a_row_of_the_model_and_no_row_of_a_table(ran):
    chosen = regime("tenth")
    ran("tenth", vanilla=[31.0, 31.5, 31.2], dlb=[33.0, 33.6, 33.1])
    results = ran("tenth", epochs=round(120 * cost("resnet10_w16", "dlb")), vanilla=[32.0, 32.4, 32.3])
    (one,) = of_regime(chosen, results)
    (name,) = one.longer
    assert name == f"vanilla, {round(120 * cost('resnet10_w16', 'dlb'))} epochs" and name in one.model.estimates
    assert set(one.gains[0]) == {"dlb"}, "the family of the tables has the usual epochs"
    left, _ = one.intervals({"left": over("dlb", [name])})
    assert left["left"].estimate == pytest.approx((33.0 + 33.6 + 33.1 - 32.0 - 32.4 - 32.3) / 3)
    assert name not in set(one.compare(experiment("table_1"))["method"])
