"""What a step costs: what is counted, what each docstring says of it, and the record of what was timed."""

import ast
import inspect
import re

import pandas
import pytest
import torch
from conftest import files

from skdcore import records, tables
from skdcore.__main__ import main, parser
from skdcore.bench import USUAL, bench, costs, keep, kept
from skdcore.data import load_cached
from skdcore.methods import METHODS
from skdcore.models import network
from skdcore.study.experiments import experiment
from skdcore.sums import signature
from skdcore.train import Run, rehearsal

B, K, N = 128, 100, 50_000


@pytest.fixture(scope="module")
def counted():
    return costs("resnet10_w16", [*METHODS, "drg+dsr", "cs_kd+dlb"])


@pytest.fixture(scope="module")
def record():
    return bench("resnet10_w16", ["kd(tau=4)", "vanilla"], minutes=0, device="cpu", images=2 * B)


def nonzero(column):
    return column[column != 0].to_dict()


def test_passes_beyond_vanillas_are_counted_once_the_memory_is_filled(counted):
    twice = {"dlb": 1, "ddgsd": 1, "cs_kd+dlb": 1}
    assert nonzero(counted["extra backwards"]) == twice
    assert nonzero(counted["extra forwards"]) == twice | {"cs_kd": 1, "kd": 1, "cs_kd+dlb": 2}


def test_state_is_what_the_methods_remember(counted):
    dlb = B + B * K
    expected = {"dsr": B * K, "drg+dsr": B * K, "ps_kd": N * K, "dlb": dlb, "cs_kd+dlb": dlb, "ols": 2 * K * K + 1}
    assert nonzero(counted["state"]) == expected


def test_extra_parameters_are_those_of_the_classifiers_that_a_method_trains(counted):
    exits = [sum(p.numel() for p in ac.parameters()) for ac in network("resnet10_w16", K).exits]
    found = nonzero(counted["extra parameters"])
    assert found.pop("drg") == found.pop("drg+dsr") == exits[1]
    assert found.pop("byot_journal") == sum(exits) + 2 * (128 * 128 + 128)
    assert found.keys() == {"byot", "frskd"}


@pytest.mark.parametrize("name", METHODS)
def test_what_is_counted_without_arithmetic_is_what_a_training_has(name, tiny):
    parts = load_cached(tiny, None, torch.device("cpu"), 0)
    training, memories = rehearsal(Run(tiny, "resnet10_w16", name), *parts, torch.device("cpu")), {}
    for index in training.state.batches[:2]:
        training.forward(training.view_of(training.state.net, index, memories))
    row = costs("resnet10_w16", [name], classes=10, side=16, images=100, batch=20).loc[name]
    assert sum(t.numel() for memory in memories.values() for t in memory.values()) == row["state"]
    cost = training.circumstances()["cost"]
    assert cost["params_trained"] - cost["params_deployed"] == row["extra parameters"]


@pytest.mark.parametrize("name", METHODS)
def test_a_docstring_says_source_formula_what_is_detached_and_what_is_counted(name, counted):
    first, row = inspect.getdoc(METHODS[name]).splitlines()[0], counted.loc[name]
    assert re.match(r".*(equation \(\d+\)|\[\d+\]).*?: [^`]+$", first, re.IGNORECASE)
    text = " ".join(inspect.getdoc(METHODS[name]).split()).lower()
    assert "detached" in text
    for column, none, some in (
        ("extra forwards", "no extra forward", "one extra forward"),
        ("extra backwards", None, "extra forward and backward"),
        ("state", "no state", "state: "),
        ("extra parameters", "no extra parameters", "extra parameters: "),
    ):
        assert (some in text) == (row[column] > 0) and (none is None or (none in text) == (row[column] == 0)), column


def test_bench_times_every_contender_also_one_that_has_a_teacher(record):
    assert list(record["steps"]) == [USUAL, "vanilla", "kd"] and list(record["views"]) == ["ours", "PIL DataLoader"]
    for row in record["steps"].values():
        assert row["steps"] == 3 and 0 < row["first quartile"] <= row["over vanilla"] <= row["third quartile"]
    assert record["steps"]["vanilla"]["over vanilla"] == 1
    assert (record["model"], record["precision"]) == ("resnet10_w16", "bf16")
    assert {"device", "threads", "torch", "ended"} <= record["provenance"].keys()


def test_bench_times_by_default_the_rows_of_tables_1_and_4_and_ols(monkeypatch):
    for part in ("_usual_loop", "_ours", "_views"):
        monkeypatch.setattr(f"skdcore.bench.{part}", lambda *_: pandas.DataFrame())
    monkeypatch.setattr("skdcore.bench._turns", lambda contenders, *_: pandas.DataFrame(index=list(contenders)))
    assert set(bench(images=B)["steps"]) == {USUAL, "ols", *experiment("table_1").rows, *experiment("table_4").rows}


def test_a_record_of_bench_is_kept_whole_or_not_at_all(record, tmp_path):
    record = record | {"provenance": record["provenance"] | {"device": "Some (R) CPU @ 2.0GHz"}}
    assert kept(tmp_path, "resnet10_w16") == []
    assert keep(record, tmp_path) == tmp_path / "bench/resnet10_w16-some-r-cpu-2-0ghz.json"
    with pytest.raises(TypeError):
        keep(record | {"steps": object()}, tmp_path)
    assert kept(tmp_path, "resnet10_w16") == [record] and kept(tmp_path, "resnet18") == []
    assert files(tmp_path) == ["bench/resnet10_w16-some-r-cpu-2-0ghz.json"]


def test_the_command_prints_and_keeps_it_and_show_passes_over_it(record, fit, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("skdcore.bench.bench", lambda *_: record)
    ran = fit(results=tmp_path)
    assert main(["bench", "--results", str(tmp_path)]) == 0
    (place,) = (tmp_path / "bench").iterdir()
    out = capsys.readouterr().out
    assert f"kept in {place}" in out and re.search(r"^kd +\d", out, re.MULTILINE)
    assert records.under(tmp_path) == [ran] and main(["show", str(tmp_path)]) == 0
    assert parser().parse_args(["bench"]).results == "_build/results", "make bench leaves tracked files alone"


def test_the_page_has_a_row_for_each_contender_and_a_section_for_each_method(record):
    shown = tables.costs(record, "tab-name")
    assert shown.frame["method"].tolist() == [USUAL, "`vanilla`", "`kd`"]
    assert shown.frame["extra passes"].tolist() == ["", "none", "forward"]
    assert record["provenance"]["device"] in shown.caption and "3 turns" in shown.caption
    sections = dict(zip(METHODS, re.split(r"^### ", tables.descriptions(), flags=re.MULTILINE)[1:], strict=True))
    for name, section in sections.items():
        text, code, _ = section.split("```")
        assert text.startswith(f"{name}\n\n`{signature(METHODS[name])}`\n\n**")
        whole = ast.parse(inspect.getsource(METHODS[name]))
        del whole.body[0].body[0]  # the docstring
        assert ast.dump(ast.parse(code.removeprefix("python"))) == ast.dump(whole)
        assert not re.search(r"(?<!\\)[_*$<>\[]", re.sub(r"\*\*|`[^`]*`", "", text).removeprefix(name)), "no markup"
