"""study.yml: its regimes and experiments, what is refused in it, and the records that there are of a regime."""

import copy
import json
import re

import pytest
import yaml

from skdcore import records
from skdcore.study import all_runs, claims, definition, evidence
from skdcore.study.definition import study
from skdcore.study.experiments import every_run, experiment, experiments, recorded, regime, regimes
from skdcore.study.queue import queue


@pytest.fixture
def changed(tmp_path, monkeypatch):
    """Makes study.yml another one, in which the value under the keys is replaced (a function: changed in place)."""

    def changed(*keys, to):
        entries = copy.deepcopy(study())
        *outer, inner = keys
        place = entries
        for key in outer:
            place = place[key]
        place[inner] = to
        file = tmp_path / "study.yml"
        file.write_text(yaml.safe_dump(entries, sort_keys=False))
        monkeypatch.setattr(definition, "FILE", file)

    return changed


def read_all():
    return regimes(), experiments(), queue(list(regimes())), claims.claims()


def test_the_papers_regime_is_the_last_and_has_no_data_or_networks_of_its_own():
    *others, last = regimes().values()
    assert [one.id for one in others] == ["miniature", "dogs", "cub", "caltech", "full", "fifth", "tenth", "tenth-wide"]
    assert (last.id, last.dataset, last.models, last.epochs) == ("paper", None, None, 200)
    assert all(one.dataset and one.models for one in others)


def test_a_regime_runs_an_experiment_on_its_own_images_and_networks_or_else_on_the_experiments():
    table_2 = experiment("table_2")
    runs = regime("paper").runs(table_2)
    assert {(run.dataset, run.model) for run in runs} == {("tinyimagenet", model) for model in table_2.models}
    assert len(runs) == 3 * len(table_2.rows) * len(table_2.models)
    assert {(run.dataset, run.model) for run in regime("tenth").runs(table_2)} == {("cifar100(n=50)", "resnet10_w16")}


def test_a_seed_is_complete_before_the_next_one_begins():
    runs = experiment("table_1").runs("glyphs", ["resnet10_w16", "resnet10_w32"], [4, 2])
    assert [run.seed for run in runs] == sorted((run.seed for run in runs), key=[4, 2].index)


@pytest.mark.parametrize(
    ("name", "experiment_", "serves"),
    [
        ("tenth", "table_1", True),
        ("full", "fig_6", True),
        ("tenth", "table_2", False),
        ("miniature", "table_1", False),
        ("paper", "table_1", True),
        ("paper", "table_2", True),
        ("caltech", "fine_grained", True),
        ("tenth", "fine_grained", False),
        ("paper", "fine_grained", False),
        ("caltech", "table_1", False),
    ],
)
def test_a_regime_serves_the_experiments_whose_images_it_has(name, experiment_, serves):
    assert regime(name).serves(experiment(experiment_)) == serves


def test_values_are_the_papers_by_network_and_texts_are_canonical():
    table_1, table_4 = experiment("table_1"), experiment("table_4")
    assert table_1.rows["drg"]["resnet50"] == 79.87 and table_1.rows["ls"] == {}
    assert table_1.printed_gain("drg", "resnet18") == pytest.approx(79.07 - 77.29)
    assert table_1.printed_gain("ls", "resnet18") is table_1.printed_gain("vanilla", "resnet18") is None
    assert table_1.printed_gain("drg", "resnet10_w16") is None
    assert table_4.rows["drg+dsr"] == {"resnet18": 79.30} and table_4.seconds["drg+dsr"] == 0.045


@pytest.mark.parametrize(
    ("keys", "to", "match"),
    [
        (["regimes", "full", "epochs"], "12", r"line \d+, regimes.full.epochs: must be integer"),
        (["regimes", "full", "seeds"], [], r"line \d+, regimes.full.seeds: must contain at least 1 items"),
        (["regimes", "full", "precision"], "fp16", r"line \d+, regimes.full.precision: must be one of"),
        (["regimes", "full", "network"], "x", r"line \d+, regimes.full: must not contain \{'network'\}"),
        (["experiments", "fig_6", "rows", "vanilla"], [77.29], r"experiments.fig_6.rows.vanilla: must be object"),
        (["experiments", "fig_6", "rows", "vanilla"], {"resnet18": 7729}, r"rows.vanilla.resnet18: must be smaller"),
        (["experiments", "fig_6"], {"title": "x"}, r"line \d+, experiments.fig_6: must contain .*'models'"),
        (["claims"], {}, r"line \d+, claims: must be array"),
        (
            ["claims", 0, "comparisons", 0, "than"],
            {"worst": ["ls"]},
            r"line \d+, claims.0.comparisons.0.than: must not",
        ),
        (["claims", 0, "kind"], "beauty", r"line \d+, claims.0.kind: must be one of"),
        (["claims", 0, "printed"], {"drg": 1}, r"claims.0.printed: must contain at least 2 properties"),
        (["other"], {}, r"line \d+, the whole: must not contain \{'other'\}"),
    ],
)
def test_another_form_is_refused_with_the_file_and_the_key(changed, keys, to, match):
    changed(*keys, to=to)
    with pytest.raises(ValueError, match=f"^study.yml, .*{match}"):
        read_all()


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Makes study.yml another one: its text in which one part is replaced by another, once."""

    def written(part, by):
        text = definition.ROOT.joinpath("study.yml").read_text()
        assert part in text
        file = tmp_path / "study.yml"
        file.write_bytes(text.replace(part, by, 1).encode(errors="surrogateescape"))
        monkeypatch.setattr(definition, "FILE", file)
        return file.read_bytes().decode(errors="replace").splitlines()

    return written


@pytest.mark.parametrize(
    ("part", "by", "key", "starts"),
    [
        ("    epochs: 12\n", "    epochs: twelve\n", "regimes.full.epochs", "    epochs: twelve"),
        ("    rows:\n", "    row:\n", "experiments.table_1: must contain", "  table_1:"),
        ("- {round: B", "- {round: B, metods: [dlb]", "queue.", "  - {round: B, metods"),
    ],
)
def test_a_fault_is_named_with_its_line(written, part, by, key, starts):
    lines = written(part, by)
    with pytest.raises(ValueError, match=rf"^study.yml, line \d+, {key}") as caught:
        read_all()
    assert lines[int(re.search(r"line (\d+)", str(caught.value))[1]) - 1].startswith(starts)


@pytest.mark.parametrize(
    ("part", "by", "match"),
    [
        ("  full:", "  miniature:", r"line 39: the key 'miniature' is there twice"),
        ("regimes:\n", "regimes: [\n", r"line \d+: .*expected"),
        ("regimes:\n", "regimes: !!python/name:os.system\n", r"line \d+: could not determine a constructor"),
        ("text: embedded", "text: \udcff", ".*can't decode byte 0xff"),
    ],
)
def test_what_is_no_yaml_or_says_a_thing_twice_is_refused_with_the_line(written, part, by, match):
    written(part, by)
    with pytest.raises(ValueError, match=rf"^study.yml[,:] ?{match}") as caught:
        read_all()
    assert len(str(caught.value).splitlines()) == 1


ROWS = {"vanilla": {"resnet18": 77.0}}
TIMED = {"id": "x", "where": "x", "says": "x", "kind": "time", "of": ["drg"], "against": ["dlb"]}
COMPARISON = {"better": "drg", "than": "vanilla", "experiment": "table_1"}


@pytest.mark.parametrize(
    ("keys", "to", "match"),
    [
        (
            ["regimes", "full", "dataset"],
            "cifar10",
            r"line \d+, regimes.full: unknown data set 'cifar10'.*cifar100",
        ),
        (["regimes", "full", "models"], ["resnet10"], r"regimes.full: unknown network 'resnet10'; .*resnet10_w16"),
        (["experiments", "fig_6", "dataset"], "x", r"line \d+, experiments.fig_6: unknown data set 'x'"),
        (["experiments", "fine_grained", "regimes"], ["birds"], r"fine_grained: unknown regime 'birds'"),
        (["experiments", "fig_6", "models"], ["resnet19"], r"fig_6: unknown network 'resnet19'; did you mean resnet18"),
        (["experiments", "fig_6", "rows"], ROWS | {"drgs": {}}, r"fig_6: unknown method 'drgs'; did you mean drg"),
        (
            ["experiments", "fig_6", "rows"],
            ROWS | {"drg(k=9.5)": {}},
            r"line \d+, experiments.fig_6: drg\(k=9.5\)",
        ),
        (["experiments", "fig_6", "rows"], ROWS | {"ls": {"resnet50": 1}}, r"network of the row ls 'resnet50'"),
        (["experiments", "fig_6", "rows"], {"ls": {}}, r"experiments.fig_6: .*vanilla must be one of them"),
        (["experiments", "fig_6", "rows"], ROWS | {"drg": {}, "drg(k=2)": {}}, r"fig_6: the rows must differ"),
        (["experiments", "fig_6", "seconds"], {"kd": 1}, r"line \d+, experiments.fig_6: unknown row 'kd'"),
        (
            ["queue", 0, "methods"],
            ["vanila"],
            r"line \d+, queue.A: unknown method 'vanila'; did you mean vanilla",
        ),
        (
            ["queue", 2, "rows_of"],
            ["table_9"],
            r"line \d+, queue.C: unknown experiment 'table_9'; did you mean",
        ),
        (["claims", 0, "asks"], "?", r"line \d+, claims.drg: .*either says or asks"),
        (["claims", 0, "id"], "dsr", r"line \d+, claims.dsr: a claim has an id of its own"),
        (
            ["claims", 0, "kind"],
            "time",
            r"line \d+, claims.drg: a claim has either comparisons, or a kind and",
        ),
        (["claims", 0], {"id": "x", "where": "x", "says": "x"}, r"line \d+, claims.x: a claim has either"),
        (["claims", 0], {"id": "x", "where": "x", "says": "x", "kind": "time"}, r"claims.x: a claim has either"),
        (
            ["claims", 0],
            TIMED | {"of": ["drgs"]},
            r"line \d+, claims.x: unknown method 'drgs'; did you mean drg",
        ),
        (
            ["claims", 0],
            TIMED | {"models": ["resnet19"]},
            r"claims.x: unknown network 'resnet19'; did you mean resnet1",
        ),
        (["claims", 0, "comparisons"], [COMPARISON | {"better": "drg+ls"}], r"claims.drg: unknown row of table_1"),
        (["claims", 0, "comparisons"], [COMPARISON | {"than": {"best": ["dlb", "kd"]}}], r"row of table_1 'kd'"),
        (["claims", 0, "comparisons"], [COMPARISON | {"models": ["resnet10_w16"]}], r"unknown network of table_1"),
        (["claims", 0, "comparisons"], [COMPARISON | {"experiment": "table_9"}], r"unknown experiment 'table_9'"),
    ],
)
def test_a_name_that_is_not_known_is_refused_with_the_file_the_key_and_the_near_ones(changed, keys, to, match):
    changed(*keys, to=to)
    with pytest.raises(ValueError, match=f"^study.yml, .*{match}"):
        read_all()


def test_a_name_that_is_asked_for_and_not_known_is_refused():
    with pytest.raises(ValueError, match="unknown experiment 'table_7'; did you mean table_"):
        experiment("table_7")
    with pytest.raises(ValueError, match="unknown regime 'tent'; did you mean tenth"):
        regime("tent")


def test_a_file_that_is_missing_or_no_yaml_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(definition, "FILE", tmp_path / "study.yml")
    with pytest.raises(FileNotFoundError, match=r"study.yml is missing: .* need a checkout"):
        experiments()
    (tmp_path / "study.yml").write_text("regimes: [")
    with pytest.raises(ValueError, match="study.yml, line 2: did not find expected node"):
        regimes()


def test_the_records_of_a_regime_are_those_of_all_experiments_or_of_one(ran):
    ran("paper", "resnet18", **{"drg+dsr": [79.0], "vanilla": [77.0, 77.5], "drg(tau=8)": [78.0]})
    ran("paper", "resnet50", vanilla=[78.0])
    results = ran("paper", dataset="tinyimagenet", vanilla=[56.0])
    paper = regime("paper")
    assert len(recorded(every_run(paper), results)) == 6
    table_2 = recorded(paper.runs(experiment("table_2")), results)
    assert [(record["run"]["dataset"], record["run"]["model"]) for record in table_2] == [("tinyimagenet", "resnet18")]
    assert len(recorded(paper.runs(experiment("fig_6")), results)) == 3
    assert recorded(every_run(regime("tenth")), results) == []


def test_a_folder_of_records_that_is_not_there_is_named_not_taken_for_an_empty_one(tmp_path):
    for read in (evidence.everywhere, all_runs.table):
        with pytest.raises(FileNotFoundError, match="resultz: no such folder of records"):
            read(tmp_path / "resultz")
    assert not any(evidence.everywhere(tmp_path).values()) and "No records" in all_runs.table(tmp_path).data


def test_a_record_whose_batch_follows_its_data_is_found(ran):
    results = ran("paper", vanilla=[77.0])
    (file,) = results.rglob("*.json")
    record = json.loads(file.read_text())
    record["run"]["batch"] = 64
    records.write(file, record)
    assert recorded(every_run(regime("paper")), results) == [record]
