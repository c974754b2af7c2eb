"""The queue of study.yml: its order, its plan, and the command that trains it within a budget and resumes."""

import math

import pytest
from conftest import files

import skdcore.study.queue
from skdcore.__main__ import main
from skdcore.study.equal_cost import LONGER, bought, cost
from skdcore.study.experiments import experiment
from skdcore.study.queue import plan, queue, summary
from skdcore.train import Run

TENTH = "cifar100(n=50)", "resnet10_w16"


def test_the_most_valuable_runs_of_the_paper_come_first_and_none_twice():
    first = ["vanilla", "drg+dsr", "drg", "dsr", "ls", "dlb", "ps_kd", "byot", "cs_kd", "tf_kd", "zf_ls"]
    runs = list(queue(["paper"]))
    assert runs[:11] == [Run("cifar100", "resnet18", method, 0, 200, "bf16") for method in first]
    assert len(set(runs)) == len(runs)


def test_the_queue_has_the_column_of_resnet18_and_the_ablations():
    runs = set(queue(["paper"]))
    assert runs.issuperset(experiment("table_1").cells("cifar100", ["resnet18"], [0, 1, 2], 200, "bf16"))
    for name in ("table_3", "table_4", "fig_6", "fig_7"):
        assert runs.issuperset(experiment(name).cells("cifar100", ["resnet18"], [0], 200, "bf16"))


def test_round_a_is_four_rows_seed_by_seed_and_plain_training_at_the_cost_of_dlb():
    runs = list(queue(["tenth"], ["A"]))
    longer = round(120 * cost("resnet10_w16", "dlb"))
    rows = [("vanilla", 120), ("ls", 120), ("drg+dsr", 120), ("dlb", 120), ("vanilla", longer), ("ls", longer)]
    assert runs == [Run(*TENTH, method, seed, epochs, "bf16") for seed in (0, 1, 2) for method, epochs in rows]


def test_regimes_are_taken_in_the_order_of_the_rounds_and_a_run_belongs_to_its_first_round():
    chosen = queue(["fifth", "tenth"], ["A", "C", "E"])
    assert list(dict.fromkeys(chosen.values())) == ["A", "C", "E"]
    assert next(iter(chosen)).dataset == "cifar100(n=50)", "round A names it first"
    assert chosen[Run(*TENTH, "vanilla", 0, 120, "bf16")] == "A", "a row of round E too"


@pytest.mark.parametrize(
    "names, rounds, words",
    [
        (["tenht"], None, "unknown regime 'tenht'; did you mean tenth"),
        (["tenth"], ["Z"], "unknown round 'Z'; known: A, B"),
        (["tenth"], ["control"], "unknown round 'control'; did you mean controls"),
    ],
)
def test_an_unknown_regime_or_round_is_refused_and_the_near_ones_named(names, rounds, words):
    with pytest.raises(ValueError, match=words):
        queue(names, rounds)


def test_a_cost_that_no_benchmark_holds_is_named(tmp_path):
    with pytest.raises(ValueError, match="no benchmark of resnet50"):
        cost("resnet50", "dlb", tmp_path)
    with pytest.raises(ValueError, match="unknown method in the benchmark of resnet10_w16 'drg\\(k=1,alpha=3\\)'"):
        cost("resnet10_w16", "drg(k=1,alpha=3)")


def test_the_cost_of_a_method_buys_whole_epochs_and_no_more_where_it_costs_nothing():
    assert bought(120, "resnet10_w16", "dlb") == round(120 * cost("resnet10_w16", "dlb")) > 200
    assert bought(120, "resnet10_w16", "ls") == 120
    assert LONGER == ("vanilla", "ls")


def test_the_plan_says_what_is_complete_and_how_long_the_rest_takes(ran):
    runs = [Run(*TENTH, method, seed, 120, "bf16") for method in ("vanilla", "dlb") for seed in (0, 1)]
    runs += [Run("cifar100(n=100)", "resnet10_w16", "vanilla", 0, 60, "bf16")]
    table = plan(dict.fromkeys(runs, "A"), ran("tenth", vanilla=[31.0]))
    assert table["complete"].tolist() == [True, False, False, False, False]
    minutes = table["minutes"].tolist()
    assert minutes[:2] == [0, 1], "the made-up records take 60 seconds"
    assert minutes[2] == minutes[3] == pytest.approx(cost("resnet10_w16", "dlb")) and math.isnan(minutes[4])
    hours = (1 + 2 * minutes[2]) / 60
    assert summary(table) == f"1 of 5 runs are complete; 3 take about {hours:.1f} hours and 1 of unknown length"
    assert summary(table[:1]) == "All 1 runs are complete"


@pytest.fixture
def command(tiny, tmp_path, monkeypatch, capsys):
    """Runs `queue paper` on its first runs, with a small network in place of ResNet18; (status, stdout, stderr)."""
    every = list(queue(["paper"]))[:3]

    def small(names, rounds, dataset, epochs, precision):
        return {Run(dataset, "resnet10_w16", run.method, run.seed, epochs): "first" for run in every}

    monkeypatch.setattr(skdcore.study.queue, "queue", small)
    monkeypatch.setattr("os.nice", lambda increment: None)  # it would hold for the rest of the tests

    def command(*arguments):
        given = ["paper", "--dataset", tiny, "--epochs", "1", "--device", "cpu", "--results", str(tmp_path)]
        status = main(["queue", *given, *arguments])
        captured = capsys.readouterr()
        return status, captured.out.splitlines(), captured.err.splitlines()

    return command


def test_the_queue_stops_at_its_budget_and_resumes(command, tmp_path, stop_after):
    status, out, err = command()
    assert status == 0 and [line.split()[0] for line in out] == ["vanilla", "drg+dsr", "drg"]
    assert err[0].startswith("0 of 3 runs are complete")
    stop_after(0)
    assert command()[:2] == (0, out), "all have their records"
    (next(tmp_path.rglob("drg/*/0.json"))).unlink()
    assert command()[0] == 3
    stop_after(None)
    assert command()[:2] == (0, out)
    assert sum(file.endswith(".json") for file in files(tmp_path)) == 3


def test_a_dry_run_prints_the_plan_and_trains_nothing(command, tmp_path):
    status, out, _ = command("--dry-run")
    assert status == 0 and len(out) == 1 + 3 + 1 and out[-1].startswith("0 of 3 runs are complete")
    assert files(tmp_path) == []
