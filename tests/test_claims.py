"""The paper's claims: the rule of a verdict, what its own cells say, and that study.yml names only what exists."""

import nbformat
import pytest

from skdcore import claims, study
from skdcore.claims import Comparison
from skdcore.study import ROOT, experiment

COMMITTED = {claim.id: claim for claim in claims.claims()}


@pytest.mark.parametrize(
    ("vanilla", "drg", "verdict"),
    [
        ([77.0, 77.2, 77.4], [79.0, 79.3, 79.3], "reproduced"),
        ([77.0, 77.2, 77.4], [76.0, 76.1, 76.4], "contradicted"),
        ([77.0, 77.2, 77.4], [77.5, 76.9, 77.6], "within noise"),
        ([77.0, 77.2, 77.4], [79.0, 79.3], "n < 3"),
        ([77.0, 77.2, 77.4], [], "not yet run"),
    ],
)
def test_the_interval_of_paired_seeds_gives_the_verdict(ran, vanilla, drg, verdict):
    results = ran(vanilla=vanilla, drg=drg)
    frame = claims.judge("paper", results).query("claim == 'drg' and table == 'Table I'")
    expected = dict.fromkeys(experiment("table_1").columns, "not yet run") | {"resnet18": verdict}
    assert dict(zip(frame["model"], frame["verdict"], strict=True)) == expected
    assert ("1 reproduced (`drg`)" in claims.sentence(results)) == (verdict == "reproduced")


def test_at_another_scale_a_claim_is_carried_over_or_reversed(ran):
    results = ran("resnet10_w16", 12, vanilla=[52.0, 52.2, 52.4], drg=[54.0, 54.3, 54.3], dsr=[51.0, 51.1, 51.4])
    frame = claims.judge("small", results).query("table == 'Table I'").set_index("claim")
    assert (frame.loc["drg", "verdict"], frame.loc["dsr", "verdict"]) == ("carried over", "reversed")
    assert "1 carried over (`drg`), 1 reversed (`dsr`)" in claims.sentence(results)


def test_a_table_of_claims_holds_what_has_been_run_and_counts_the_rest(ran):
    shown = claims.scaled("paper", ran(vanilla=[77.0, 77.2, 77.4], drg=[79.0, 79.3, 79.3]))
    assert shown.frame[["claim", "network", "n", "verdict"]].values.tolist() == [
        ["`drg`", "resnet18", "3", "reproduced"]
    ]
    assert shown.frame["ours"][0].startswith("+2.00 (") and shown.frame["the paper"][0] == "+1.78"
    count = len(claims.judge("paper"))
    assert shown.caption.endswith(f"Of {count} comparisons {count - 1} are not yet run.")


def test_a_question_of_this_study_is_answered_with_better_and_worse_and_counts_as_no_claim(ran):
    results = ran(ls=[78.0, 78.2, 78.4], dsr=[77.0, 77.1, 77.4])
    frame = claims.judge("paper", results)
    assert frame.loc[frame["verdict"] == "worse", "comparison"].tolist() == ["`dsr` over `ls`"]
    assert "0 carried over, 0 reversed" in claims.sentence(results), "no claim has a verdict at the paper's scale"


def test_rivals_are_taken_together_over_the_seeds_that_all_have():
    table = experiment("table_1")
    accuracies = {"drg": {0: 80.0, 1: 81.0, 2: 99.0}, "byot": {0: 79.0, 1: 80.0}, "dlb": {0: 70.0, 1: 83.0, 2: 90.0}}
    both = ["byot", "dlb"]
    assert Comparison("drg", both, "best", table, []).difference(accuracies)["gain"] == pytest.approx(80.5 - 79.5)
    assert Comparison("drg", both, "mean", table, []).difference(accuracies)["gain"] == pytest.approx(80.5 - 78.0)
    assert Comparison("drg", both, "best", table, []).difference(accuracies | {"dlb": {}})["pairs"] == 0


def test_the_papers_own_cells_are_computed_from_its_tables():
    assert COMMITTED["best-of-five"].cells() == [pytest.approx(79.30 - 78.67)]  # Q33: 0.63, over PS-KD
    assert (COMMITTED["best-of-five"].printed(), COMMITTED["best-of-five"].computed()) == ("+0.97", "+0.63")
    assert COMMITTED["mean-of-five"].computed().startswith("better in 5 of 5: mean +1.25")  # Q33
    assert COMMITTED["dlb"].comparisons[0].cell("resnet18") == pytest.approx(79.30 - 79.52)  # Q34: DLB is above
    assert COMMITTED["dlb"].computed() == "better in 7 of 8: max +1.15, min -0.22"
    assert "min +1.06" in COMMITTED["drg+dsr"].computed()  # Q32: not 1.26
    assert COMMITTED["combination"].computed().startswith("better in 5 of 8: min -0.23")  # Q35
    assert COMMITTED["label-smoothing"].computed() == "", "the paper has no row of it"


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"better": "drg+ls", "than": "vanilla", "table": "table_1"}, r"unknown row of table_1 'drg\+ls'"),
        ({"better": "drg", "than": {"best": ["dlb", "kd"]}, "table": "table_1"}, "unknown row of table_1 'kd'"),
        ({"better": "drg", "than": "dlb", "table": "table_2", "models": ["resnet101"]}, "unknown column of table_2"),
        ({"better": "drg", "than": "dlb", "table": "table_9"}, "unknown experiment 'table_9'"),
    ],
)
def test_a_claim_of_rows_or_models_that_do_not_exist_is_refused(monkeypatch, given, match):
    monkeypatch.setattr(study, "claims", lambda: [{"id": "x", "says": "x", "where": "x", "comparisons": [given]}])
    with pytest.raises(ValueError, match=match):
        claims.claims()


def test_claims_have_names_of_their_own_and_sizes_that_can_be_computed():
    assert len(COMMITTED) == len(study.claims())
    assert all(claim.size.keys() <= claims.FOLDS.keys() for claim in COMMITTED.values())


def test_the_committed_page_shows_every_claim_and_the_verdicts_of_the_committed_records():
    cells = nbformat.read(ROOT / "book/experiments/claims.ipynb", as_version=4).cells
    shown = "".join(output.data.get("text/markdown", "") for cell in cells for output in cell.get("outputs", []))
    assert [claim.text for claim in COMMITTED.values() if claim.text not in shown] == []
    for table in (claims.overview(), *map(claims.scaled, claims.SCALES)):
        assert table._repr_markdown_() in shown
    assert claims.sentence() in shown and claims.sentence() in (ROOT / "book/index.ipynb").read_text()
