"""What a step costs, timed: the contenders, and the record of the times."""

import re

import pytest
import torch
from conftest import files

from skdcore import records
from skdcore.__main__ import main, parser
from skdcore.bench import BATCH, USUAL, bench, find, keep, kept
from skdcore.machine import hardware
from skdcore.study.experiments import experiment


@pytest.fixture(scope="module")
def record():
    return bench("resnet10_w16", ["kd(tau=4)", "vanilla"], minutes=0, device="cpu", images=2 * BATCH)


def test_bench_times_every_contender_also_one_that_has_a_teacher(record):
    assert list(record["steps"]) == [USUAL, "vanilla", "kd"] and list(record["views"]) == ["ours", "PIL DataLoader"]
    for row in record["steps"].values():
        assert row["steps"] == 3 and 0 < row["first quartile"] <= row["over vanilla"] <= row["third quartile"]
    assert record["steps"]["vanilla"]["over vanilla"] == 1
    assert (record["model"], record["precision"]) == ("resnet10_w16", "bf16")
    assert {"device", "threads", "torch", "ended"} <= record["provenance"].keys()


def test_bench_times_by_default_the_rows_of_tables_1_and_4_and_ols(record, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("skdcore.bench.bench", lambda model, methods, *_: asked.extend(methods) or record)
    main(["bench", "--results", str(tmp_path)])
    assert set(asked) == {"ols", *experiment("table_1").rows, *experiment("table_4").rows}


def test_a_record_of_bench_is_kept_whole_or_not_at_all(record, tmp_path):
    record = record | {"provenance": record["provenance"] | {"device": "Some (R) CPU @ 2.0GHz"}}
    assert kept(tmp_path, "resnet10_w16") == []
    assert keep(record, tmp_path) == tmp_path / "bench/resnet10_w16-some-r-cpu-2-0ghz.json"
    with pytest.raises(TypeError):
        keep(record | {"steps": object()}, tmp_path)
    assert kept(tmp_path, "resnet10_w16") == [record] and kept(tmp_path, "resnet18") == []
    assert files(tmp_path) == ["bench/resnet10_w16-some-r-cpu-2-0ghz.json"]
    assert find(tmp_path, "resnet10_w16", ["vanilla", "kd"]) == record, "of another machine, without one of this"
    assert find(tmp_path, "resnet10_w16", ["drg"]) is None
    damaged = tmp_path / "bench/resnet18-x.json"
    for harm in ("", "[]", "{}", '{"steps": {}}'):
        damaged.write_text(harm)
        with pytest.raises(ValueError, match="resnet18-x.json: not a benchmark"):
            kept(tmp_path, "resnet18")
    here = record | {"provenance": record["provenance"] | {"device": hardware(torch.device("cpu"))}}
    keep(here, tmp_path)
    assert find(tmp_path, "resnet10_w16", ["vanilla", "kd"]) == here


def test_the_command_prints_and_keeps_it_and_show_passes_over_it(record, fit, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("skdcore.bench.bench", lambda *_: record)
    ran = fit(results=tmp_path)
    assert main(["bench", "--results", str(tmp_path)]) == 0
    (place,) = (tmp_path / "bench").iterdir()
    out = capsys.readouterr().out
    assert f"kept in {place}" in out and re.search(r"^kd +\d", out, re.MULTILINE)
    assert records.under(tmp_path) == [ran] and main(["show", str(tmp_path)]) == 0
    assert parser().parse_args(["bench"]).results == "_build/results", "make bench leaves tracked files alone"
