"""The tables of the pages: their columns, their captions, and what they hold of failed and of few runs."""

import copy
import json
import math

import pytest

from skdcore.bench import EAGER
from skdcore.records import under
from skdcore.study import tables
from skdcore.study.evidence import of_regime
from skdcore.study.experiments import experiment, regime

VANILLA, DRG = [77.0, 77.2, 77.4], [79.0, 79.3, 79.3]


def shown(name, where, results):
    (one,) = of_regime(regime(where), results)
    table = tables.accuracies(experiment(name), one, "tab-x")
    return table, table.frame.set_index("method")


def test_a_row_has_its_gain_interval_verdict_and_residual_sd_beside_the_papers_numbers(ran):
    table, frame = shown("table_1", "paper", ran(vanilla=VANILLA, drg=DRG))
    (one,) = of_regime(regime("paper"), ran())
    gain, low, high = one.gains[0]["drg"]
    assert frame.loc["`drg`"].to_dict() == {
        "the paper, %": "79.07",
        "ours, %": "79.20 ± 0.17",
        "n": "3",
        "gain over vanilla": f"{gain:+.2f}",
        "the paper's gain, resnet18": "+1.78",
        "simultaneous 95 % interval": f"{low:+.2f} to {high:+.2f}",
        "verdict": "better",
        "residual sd": f"{one.model.sds['drg']:.2f}",
    }
    assert frame.loc["`dsr`", ["ours, %", "n", "gain over vanilla", "verdict"]].tolist() == ["not yet run", "0", "", ""]
    assert table.caption.startswith(
        "Top-1 test accuracy, regime paper, resnet18: mean ± standard deviation over n seeds"
    )


def test_a_row_of_few_seeds_has_the_baseline_of_its_seeds_and_the_caption_says_so(ran):
    table, frame = shown("table_3", "full", ran("full", vanilla=[52.2, 52.5, 51.7], cutout=[48.08]))
    assert frame.loc["`cutout`", ["ours, %", "n", "gain over vanilla", "verdict"]].tolist() == [
        "48.08",
        "1",
        "-4.12 over 52.20",
        "n < 3",
    ]
    assert "; with fewer than 3 seeds they are over vanilla at the same seeds, whose mean is given." in table.caption
    assert "simultaneous 95 % interval" not in frame and "residual sd" not in frame and "the paper, %" not in frame


def test_a_baseline_that_is_the_tables_own_is_not_repeated(ran):
    _, frame = shown("table_3", "full", ran("full", vanilla=[52.2], cutout=[48.08]))
    assert frame.loc["`cutout`", "gain over vanilla"] == "-4.12"


def test_a_caption_counts_the_versions_of_the_core_where_there_are_several(ran):
    ran("full", vanilla=[52.0], code="aaa")
    assert "versions" not in shown("table_1", "full", ran("full", drg=[53.0], code="aaa"))[0].caption
    table, _ = shown("table_1", "full", ran("full", dsr=[53.0], code="bbb"))
    assert "The runs used 2 versions of the core's source; a reworded comment makes another" in table.caption


def test_a_caption_counts_the_runs_that_name_no_commit(ran):
    found = [*under(ran("full", vanilla=VANILLA))]
    for record, commit in zip(found, [None, "abc", None], strict=True):
        record["provenance"]["commit"] = commit
    assert tables.made(found).endswith(" 2 of these runs name no commit.")
    assert tables.made(found[:2]).endswith(" 1 of these runs names no commit.")
    assert "commit" not in tables.made(found[1:2])


def test_a_caption_says_how_the_runs_were_made(ran):
    table, _ = shown("table_1", "full", ran("full", vanilla=[52.0], drg=[53.0]))
    assert "2 runs of 12 epochs on cifar100, on x, 1 thread, bf16, 1.0 minutes per run (median)." in table.caption


def test_the_papers_table_has_its_rows_and_the_networks_asked_for():
    frame = tables.printed(experiment("table_1"), ["resnet50", "densenet121"], "tab-x").frame.set_index("method")
    assert list(frame) == ["resnet50", "densenet121"] and frame.loc["`drg`"].tolist() == ["79.87", "79.99"]
    assert "`ls`" not in frame.index


@pytest.fixture
def two(ran):
    """A finished record and a failed one, which has neither metrics nor a cost."""
    (record,) = under(ran("full", vanilla=[52.0]))
    failed = {key: copy.deepcopy(record[key]) for key in ("run", "provenance")}
    return [record, failed | {"state": "failed", "reason": "loss is nan"}]


def test_a_listing_has_a_row_for_each_record_the_failed_ones_too(two):
    frame = tables.listing(two)
    assert frame["state"].tolist() == ["finished", "failed"]
    assert frame["accuracy"][0] == 52.0 and math.isnan(frame["accuracy"][1])
    assert frame["minutes"][0] == 1 and math.isnan(frame["minutes"][1])


def test_final_metrics_stand_in_a_row_for_each_run_the_failed_ones_too(two):
    table = tables.finals(two, "tab-x")
    assert table.frame["test accuracy, %"].tolist() == ["52.00", ""]
    assert table.caption.startswith("Final metrics on the test split: cifar100, resnet10_w16, seed 0. 2 runs of 12")
    assert len(tables.finals(two[1:], "tab-x").frame) == 1


@pytest.fixture
def timed():
    """A record of `bench`, as far as the pages read it."""
    over = {"usual loop": 1.5, "vanilla": 1.0, "kd": 1.3, "drg+dsr": 1.1, "drg(k=1)+dsr": 1.32}
    ends = {"first quartile": 1.0, "third quartile": 1.2}
    steps = {
        name: {"over vanilla": value, "seconds a step": value / 10, "steps": 9} | ends for name, value in over.items()
    }
    made = {"device": "NVIDIA X", "torch": "2", "threads": 1, "ended": "2000-01-01T00:00"}
    return {"model": "resnet10_w16", "precision": "bf16", "steps": steps, "provenance": made}


def test_seconds_stand_beside_the_papers_as_multiples_of_block_2(timed):
    frame = tables.seconds(experiment("table_4"), timed, "tab-x").frame.set_index("method")
    assert frame.loc["`drg(k=1)+dsr`"].tolist() == ["0.044 (×0.98)", "0.132 (×1.20)"]
    assert frame.loc["`drg+dsr`"].tolist() == ["0.045 (×1.00)", "0.110 (×1.00)"]
    assert set(frame["ours, s"][2:]) == {"not yet run"}


def test_costs_have_a_row_for_each_contender_timed_and_counted(timed):
    table = tables.step_costs(timed, "tab-x")
    assert table.frame["method"].tolist() == ["usual loop", "`vanilla`", "`kd`", "`drg+dsr`", "`drg(k=1)+dsr`"]
    assert table.frame["extra passes"].tolist() == ["", "none", "forward", "none", "none"]
    assert table.frame["over vanilla"].tolist() == ["1.50", "1.00", "1.30", "1.10", "1.32"]
    assert "Times are medians over 9 turns, on NVIDIA X, bf16, torch 2, 2000-01-01." in table.caption


def test_an_eager_step_stands_below_the_captured_one_with_the_same_passes(timed):
    steps = timed["steps"]
    for method in ("vanilla", "drg+dsr"):
        steps[method + EAGER] = steps[method] | {"over vanilla": 2.0}
    frame = tables.step_costs(timed, "tab-x").frame.set_index("method")
    assert frame.index[-2:].tolist() == ["`vanilla`, eager", "`drg+dsr`, eager"]
    for column in ("extra passes", "state, numbers kept", "extra parameters"):
        assert frame.loc["`drg+dsr`, eager", column] == frame.loc["`drg+dsr`", column]


def test_a_caption_has_each_machine_and_version_once_also_of_a_run_that_was_resumed(two):
    records = [copy.deepcopy(two[0]) for _ in range(3)]
    for record, device, code in zip(records, ["A", "B and A", "B"], ["1", "1 and 2", "2"], strict=True):
        record["provenance"] |= {"device": device, "code": code}
    text = tables.made(records)
    assert "on A, 1 thread, bf16 and B, 1 thread, bf16, 1.0 minutes" in text
    assert "2 versions of the core's source;" in text


def test_texts_of_a_record_are_escaped(two):
    record = json.loads(json.dumps(two[0]))
    record["provenance"]["device"] = "a *b* |c|\n:name: d"
    table = tables.finals([record], "tab-x")._repr_markdown_().splitlines()
    assert "on a \\*b\\* |c| :name: d, 1 thread" in table[0] and table[1] == ":name: tab-x"


def test_a_difference_in_a_cell_has_its_interval_and_verdict_or_says_that_it_was_not_run(ran):
    frame = of_regime(regime("full"), ran("full", vanilla=VANILLA, drg=DRG, dlb=[78.0]))[0].compare(
        experiment("table_1")
    )
    rows = {row.method: row for row in frame.itertuples()}
    drg = rows["drg"]
    assert tables.difference(drg) == f"+2.00 ({drg.low:+.2f} to {drg.high:+.2f}), better"
    assert tables.difference(rows["dlb"]) == "+1.00, n < 3" and tables.difference(rows["dsr"]) == "not yet run"
