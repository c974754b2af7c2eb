"""The structure of all claims: form and numbers, and that the committed file is what the committed records give."""

import json

import fastjsonschema
import pytest

from skdcore.study import assessment
from skdcore.study.assessment import assess, read, write
from skdcore.study.claims import claims, judge
from skdcore.study.evidence import of_regime
from skdcore.study.experiments import RESULTS, deciding, regime

VANILLA, DRG = [77.0, 77.2, 77.4], [79.0, 79.3, 79.3]


def verdicts(found, name):
    (claim,) = (claim for claim in found["claims"] if claim["id"] == name)
    return claim["verdicts"]


def test_the_committed_file_is_what_the_committed_records_give():
    assert json.loads((RESULTS / "claims.json").read_text()) == assess()


def test_the_file_is_written_into_the_folder_of_its_records(ran):
    results = ran("full", vanilla=VANILLA, drg=DRG, ls=VANILLA)
    assert write(results) == results / "claims.json"
    assert json.loads((results / "claims.json").read_text()) == assess(results)
    assert write(results).read_text().endswith("}\n")


def test_every_claim_has_its_verdicts_and_every_comparison_of_accuracy_one_in_each_regime(ran):
    found = assess(ran())
    assert [claim["id"] for claim in found["claims"]] == [claim.id for claim in claims()]
    assert found["families"] == {}
    rows = [row for claim in found["claims"] if claim["kind"] == "accuracy" for row in claim["verdicts"]]
    assert len(rows) == sum(len(judge(one, [])[0]) for one in deciding())
    assert {row["verdict"] for row in rows} == {"not yet run"} and all(row["estimate"] is None for row in rows)


def test_a_comparison_has_the_numbers_of_its_judgement(ran):
    results = ran("full", vanilla=VANILLA, drg=DRG, ls=VANILLA)
    frame, ((evidence, *_),) = judge(regime("full"), of_regime(regime("full"), results))
    (expected,) = frame[frame["claim"] == "drg"].itertuples()
    found = assess(results)
    (row,) = (row for row in verdicts(found, "drg") if row["regime"] == "full")
    numbers = [expected.gain, expected.low, expected.high]
    assert [row["estimate"], row["low"], row["high"]] == pytest.approx(numbers, abs=10**-assessment.DIGITS)
    assert (row["place"], row["network"], row["what"]) == ("in full", "resnet10_w16", "`drg` over `vanilla`")
    assert row["experiment"] == "Table I"
    assert (row["n"], row["baseline"], row["printed"], row["verdict"]) == (3, None, None, "holds in full")
    assert row["runs"] == [f"runs/cifar100/resnet10_w16/{method}/e12-bf16.html" for method in ("drg", "vanilla")]
    (family,) = found["families"]["full"]
    assert family.startswith("**resnet10_w16 on cifar100.** The simultaneous") and evidence.network == "resnet10_w16"


@pytest.mark.parametrize(
    "change", [{"verdict": None}, {"n": -1}, {"n": 1.5}, {"low": "1"}, {"runs": "x"}, {"other": 1}]
)
def test_another_form_is_refused(change):
    row = dict.fromkeys(assessment.VERDICT["properties"], "") | dict.fromkeys(
        ("regime", "n", "estimate", "low", "high", "baseline", "printed")
    )
    row["runs"] = ["runs/x.html"]
    claim = dict.fromkeys(assessment.CLAIM["properties"], "")
    form = {"records": "", "families": {}}
    assessment.FORM(form | {"claims": [claim | {"verdicts": [row]}]})
    with pytest.raises(fastjsonschema.JsonSchemaValueException):
        assessment.FORM(form | {"claims": [claim | {"verdicts": [row | change]}]})


def test_what_was_written_is_read_and_another_file_is_refused(ran, monkeypatch):
    results = ran("full", vanilla=VANILLA, drg=DRG, ls=VANILLA)
    file = write(results)
    monkeypatch.setattr(assessment, "assess", lambda results: "assessed anew")
    assert read(results) == json.loads(file.read_text())
    ran("full", dsr=DRG)
    assert read(results) == "assessed anew", "there are other records"
    write_anew = json.dumps(assess(results))
    file.write_text(write_anew)
    assert read(results) == json.loads(write_anew)
    monkeypatch.setattr(assessment, "ROOT", results)
    assert read(results) == "assessed anew", "study.yml and the code are others"
    file.unlink()
    assert read(results) == "assessed anew", "there is no file"
    file.write_text('{"records": "of older code"}')
    assert read(results) == "assessed anew", "its form does not matter"
    for text in ("{}", "[]", "", '{"records": ' + json.dumps(assessment._hash(results)) + "}"):
        file.write_text(text)
        with pytest.raises(ValueError, match="claims.json: not an assessment of the claims"):
            read(results)
