"""The paper's claims: the rule of a verdict, what its own cells say, and that study.yml names only what exists."""

import nbformat
import pytest

from skdcore import claims, figures, records, study, tables
from skdcore.claims import Comparison
from skdcore.study import ROOT, experiment
from skdcore.train import Run

COMMITTED = {claim.id: claim for claim in claims.claims()}
CELL = {"epochs": 200, "precision": "bf16"}


@pytest.fixture
def ran(tmp_path):
    """Writes records of ResNet18 at the paper's scale, {method: accuracies of seeds 0, 1, ..}; gives their folder."""

    def ran(**accuracies):
        for method, values in accuracies.items():
            for seed, accuracy in enumerate(values):
                settings = Run("cifar100", "resnet18", method, seed, **CELL).settings()
                final = dict.fromkeys("nll ece entropy p_true".split(), 0.5) | {"accuracy": accuracy}
                curve = dict.fromkeys("lr train test var_logits var_probs".split(), [accuracy] * 200) | {"loss": {}}
                cost = dict.fromkeys("seconds_per_step seconds params_trained params_deployed peak_memory".split(), 60)
                made = dict.fromkeys("torch device threads code data_sha256 started ended".split(), "x")
                record = {"run": settings, "state": "finished", "final": final, "curve": curve, "cost": cost}
                record |= {"best": {"accuracy": accuracy, "epoch": 200}, "provenance": made}
                records.write(records.path(tmp_path, settings), record)
        return tmp_path

    return ran


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


def test_a_question_of_this_study_is_answered_with_better_and_worse_and_counts_as_no_claim(ran):
    results = ran(ls=[78.0, 78.2, 78.4], dsr=[77.0, 77.1, 77.4])
    frame = claims.judge("paper", results)
    assert frame.loc[frame["verdict"] == "worse", "comparison"].tolist() == ["`dsr` over `ls`"]
    assert "0 reproduced, 0 contradicted" in claims.sentence(results)


@pytest.mark.parametrize(
    ("accuracies", "answer"),
    [
        ({}, "**Not known so far.**"),
        ({"vanilla": [77.0, 77.2], "drg": [79.0, 79.3]}, "**Not known so far.**"),
        ({"vanilla": [77.0, 77.2, 77.4], "drg": [77.5, 76.9, 77.6]}, "**Not shown so far.**"),
        ({"vanilla": [77.0, 77.2, 77.4], "drg": [79.0, 79.3, 79.3], "dsr": [76.0, 76.1, 76.4]}, "**In part.**"),
        ({"vanilla": [77.0, 77.2, 77.4], "drg": [79.0, 79.3, 79.3]}, "**In part.**"),
        ({"vanilla": [77.0, 77.2, 77.4]} | dict.fromkeys(("drg", "dsr", "drg+dsr"), [79.0, 79.3, 79.3]), "**Yes.**"),
    ],
)
def test_the_books_first_words_are_the_answer_that_the_records_give(ran, accuracies, answer):
    text = tables.answer(experiment("table_1"), ran(**accuracies))
    assert text.startswith(answer)
    judged = sum(len(values) > 2 for method, values in accuracies.items() if method != "vanilla")
    assert f"have {judged} comparisons" in text or not judged


def test_a_sentence_has_a_gain_for_each_method_that_ran_with_its_interval_where_there_is_one(ran):
    table = experiment("table_1")
    results = ran(vanilla=[77.0, 77.2, 77.4], drg=[79.0, 79.3, 79.3], dlb=[79.6])
    frame = table.compare(*study.at_scale(table, "paper", results)).query("model == 'resnet18'")
    text, row = tables.sentence(frame), frame.set_index("method").loc["drg"]
    assert f"better than vanilla beyond the noise: `drg` (+2.00, {row.low:+.2f} to {row.high:+.2f})" in text
    assert text.endswith("of fewer than three seeds, so without a verdict: `dlb` (+2.60).")
    assert tables.sentence(table.compare([], ["resnet18"])) == "There is nothing to compare with vanilla yet."


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


def test_learning_curves_are_means_over_seeds_and_say_when_there_are_none(ran):
    table = experiment("table_1")
    found, _ = study.at_scale(table, "paper", ran(vanilla=[77.0, 77.2], drg=[78.0]))
    (axes,) = figures.learning(found).axes
    assert [line.get_label() for line in axes.lines] == ["vanilla (n = 2)", "drg (n = 1)"]
    assert [line.get_ydata()[-1] for line in axes.lines] == [pytest.approx(77.1), 78.0]
    assert [text.get_text() for text in figures.learning([]).axes[0].texts] == ["not yet run"]


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
