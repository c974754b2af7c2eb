"""The queue of study.yml: its order, its plan, and the command that trains it within a budget and resumes."""

import math

import pytest
from conftest import files

import skdcore.study.queue
from skdcore.__main__ import main
from skdcore.bench import kept
from skdcore.methods import canonical
from skdcore.models import MODELS
from skdcore.study.definition import study
from skdcore.study.equal_cost import LONGER, bought, cost
from skdcore.study.experiments import RESULTS, experiment, regime
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
    assert runs.issuperset(experiment("table_1").runs("cifar100", ["resnet18"], [0, 1, 2], 200, "bf16"))
    for name in ("table_3", "table_4", "fig_6", "fig_7"):
        assert runs.issuperset(experiment(name).runs("cifar100", ["resnet18"], [0], 200, "bf16"))


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


def test_a_queue_of_nothing_is_an_error_that_says_so():
    with pytest.raises(ValueError, match="no round of study.yml trains tenth in round B"):
        queue(["tenth"], ["B"])
    with pytest.raises(ValueError, match="no round of study.yml trains miniature"):
        queue(["miniature"])


def test_a_round_that_needs_networks_and_has_none_is_named(monkeypatch):
    entry = {"round": "x", "regimes": ["paper"], "rows_of": ["table_2"]}
    monkeypatch.setattr("skdcore.study.queue.study", lambda: {"queue": [entry]})
    with pytest.raises(ValueError, match="the regime paper has no networks of its own; give models"):
        queue(["paper"])


@pytest.mark.parametrize(
    "changed, words",
    [
        ({"epochs": 0}, "^epochs=0: a whole number of at least 1"),
        ({"dataset": "glyhps"}, "^unknown data set 'glyhps'; did you mean glyphs"),
        ({"dataset": ""}, "^unknown data set ''"),
    ],
)
def test_a_bad_value_in_place_of_the_regimes_is_named_and_study_yml_not_blamed(changed, words):
    with pytest.raises(ValueError, match=words):
        queue(["tenth"], **changed)


def test_a_cost_that_study_yml_lacks_is_named():
    with pytest.raises(ValueError, match="unknown network in the costs of study.yml 'resnet50'"):
        cost("resnet50", "dlb")
    with pytest.raises(ValueError, match="unknown cost on resnet10_w16 in study.yml 'drg\\(k=1,alpha=3\\)'"):
        cost("resnet10_w16", "drg(k=1,alpha=3)")


@pytest.mark.parametrize("network", study()["costs"])
def test_the_costs_of_study_yml_have_canonical_names(network):
    for method in study()["costs"][network]:
        assert canonical(method) == method


@pytest.mark.parametrize("network", study()["costs"])
def test_the_costs_of_study_yml_are_those_of_a_committed_benchmark(network):
    def holds(steps, method, value):
        step = steps.get(method)
        return step and step["first quartile"] - 0.05 <= value <= step["third quartile"] + 0.05

    costs = study()["costs"][network]
    assert network in MODELS and costs["vanilla"] == 1
    there = [
        [name for name in costs if not holds(record["steps"], name, costs[name])] for record in kept(RESULTS, network)
    ]
    assert [] in there, "no benchmark has them all"


def test_every_method_of_table_1_that_costs_more_is_compared_at_equal_cost_in_each_regime():
    for name, network in (
        ("tenth", "resnet10_w16"),
        ("fifth", "resnet10_w16"),
        ("full", "resnet10_w16"),
        ("paper", "resnet18"),
    ):
        runs = {(run.method, run.epochs) for run in queue([name]) if run.model == network}
        for method in experiment("table_1").rows:
            epochs = bought(regime(name).epochs, network, method)
            assert {("vanilla", epochs), ("ls", epochs)} <= runs, (name, method)


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
    parts = [
        "1 of 5 runs are complete",
        f"3 more take about {hours:.1f} hours",
        "1 more take a time that is not known yet",
    ]
    assert summary(table, 1) == "; ".join(parts)
    assert summary(table[:1], 1) == "All 1 runs are complete"


def test_a_plan_times_a_run_by_the_records_of_every_method_each_over_its_cost(ran):
    runs = [Run(*TENTH, method, 3, 120, "bf16") for method in ("vanilla", "dlb", "drg(k=1,alpha=3)")]
    minutes = plan(dict.fromkeys(runs, "F"), ran("tenth", dlb=[31.0]))["minutes"].tolist()
    assert minutes[:2] == pytest.approx([1 / cost("resnet10_w16", "dlb"), 1]), "the made-up record takes 60 seconds"
    assert math.isnan(minutes[2]), "study.yml has no cost of it"


def test_a_plan_for_a_machine_goes_by_the_records_made_on_one_of_its_kind(ran):
    chosen, results = {Run(*TENTH, "vanilla", 1, 120, "bf16"): "A"}, ran("tenth", vanilla=[31.0])
    assert plan(chosen, results, machine="x")["minutes"].tolist() == [1], "which the made-up records name"
    assert plan(chosen, results, machine="another")["minutes"].isna().all()


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


def test_the_queue_stops_when_it_is_told_to_and_resumes(command, tmp_path, stop_after):
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


def test_the_queue_stops_at_its_budget(command, tmp_path):
    assert command("--budget", "1s")[0] in (0, 3)
    assert command("--budget", "10m")[0] == 0


def test_several_workers_take_the_runs_side_by_side(command, monkeypatch):
    asked = {}
    monkeypatch.setattr("skdcore.__main__.sweep", lambda runs, **how: asked.update(how, runs=runs) or [])
    assert command("--workers", "2")[0] == 0
    assert [run.method for run in asked["runs"]] == ["vanilla", "drg+dsr", "drg"] and asked["workers"] == 2


def test_a_dry_run_prints_the_plan_and_trains_nothing(command, tmp_path):
    status, out, _ = command("--dry-run")
    assert status == 0 and len(out) == 1 + 3 + 1 and out[-1].startswith("0 of 3 runs are complete")
    assert files(tmp_path) == []
