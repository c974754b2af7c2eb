"""The page on what happens when things break says what the report of the fault suite says."""

import json

import pytest

from skdcore.study import faults

KIND = {"kind": "flood", "fault": "A flood", "holds": "it ends", "tries": 1200, "held": 1200, "seconds": 60.0}
COST = {"cost": "A checkpoint", "unit": "%", "value": 0.0061, "at_most": 0.02}
MADE = {"device": "a machine", "ended": "2026-11-26T10:00:00", "commit": "0123456789"}


@pytest.fixture
def report():
    return {"seed": 7, "seconds": 120.0, "kinds": [KIND | {"problems": {}}], "costs": [COST], "provenance": MADE}


def test_a_report_is_written_and_read_back(report, tmp_path):
    faults.write(report, tmp_path)
    assert faults.read(tmp_path) == report


@pytest.mark.parametrize("text", ["", "[]", json.dumps({"seed": 0, "kinds": []})])
def test_a_file_that_is_no_report_is_named(tmp_path, text):
    (tmp_path / "faults.json").write_text(text)
    with pytest.raises(ValueError, match=r"faults.json: not a report of the fault suite"):
        faults.read(tmp_path)


def test_what_held_is_told_in_a_sentence_and_a_table(report):
    assert faults.finding(report) == "**All 1,200 tries held.**"
    assert faults.tried(report).frame.values.tolist() == [["A flood", "1,200", "1,200", "it ends"]]
    assert "`python tests/faults --seed 7`, in 2 minutes" in faults.tried(report).caption


def test_what_did_not_hold_is_named(report):
    report["kinds"].append(KIND | {"fault": "A fire", "held": 1198, "problems": {"3": "it burns", "9": "it smokes"}})
    assert faults.finding(report) == "**2,398 of 2,400 tries held.** These did not: 2 of 1,200 (a fire)."


@pytest.mark.parametrize(
    ("value", "said"), [(0.0061, "Nothing costs more than it should."), (0.03, "it should: A check")]
)
def test_what_safety_costs_stands_beside_the_most_that_it_should(report, value, said):
    report["costs"] = [COST | {"value": value}]
    table = faults.measured(report)
    assert table.frame.values.tolist() == [["A checkpoint", f"{100 * value:.1f} %", "2.0 %"]]
    assert said in table.caption
