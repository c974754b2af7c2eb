"""The sentences of the pages: each says what the records say, and no more."""

import pytest

from skdcore import figures, findings, study, tables
from skdcore.study.experiments import experiment


@pytest.mark.parametrize(
    ("accuracies", "answer"),
    [
        ({}, None),
        ({"vanilla": [77.0, 77.2], "drg": [79.0, 79.3]}, None),
        ({"vanilla": [77.0, 77.2, 77.4], "drg": [77.5, 76.9, 77.6]}, "not shown so far"),
        (
            {"vanilla": [77.0, 77.2, 77.4], "drg": [79.0, 79.3, 79.3], "dsr": [76.0, 76.1, 76.4]},
            "in part",
        ),
        ({"vanilla": [77.0, 77.2, 77.4], "drg": [79.0, 79.3, 79.3]}, "in part"),
        (
            {"vanilla": [77.0, 77.2, 77.4]} | dict.fromkeys(("drg", "dsr", "drg+dsr"), [79.0, 79.3, 79.3]),
            "yes",
        ),
    ],
)
def test_the_books_first_words_are_the_answer_that_the_records_give(ran, accuracies, answer):
    text = findings.answer(experiment("table_1"), ran(**accuracies))
    assert text.startswith(f"**Of the paper's methods: {answer}.**" if answer else "**Not known so far.**")
    judged = sum(len(values) > 2 for method, values in accuracies.items() if method != "vanilla")
    assert f"have {judged} comparisons" in text or not judged


def test_a_sentence_has_a_gain_for_each_method_that_ran_with_its_interval_where_there_is_one(ran):
    table = experiment("table_1")
    results = ran(vanilla=[77.0, 77.2, 77.4], drg=[79.0, 79.3, 79.3], dlb=[79.6])
    frame = table.compare(*study.at_scale(table, "paper", results)).query("model == 'resnet18'")
    text, row = findings.sentence(frame), frame.set_index("method").loc["drg"]
    assert f"better than vanilla beyond the noise: `drg` (+2.00, {row.low:+.2f} to {row.high:+.2f})" in text
    assert text.endswith("of fewer than three seeds, so without a verdict: `dlb` (+2.60).")
    assert findings.sentence(table.compare([], ["resnet18"])) == "There is nothing to compare with vanilla yet."


def test_the_answer_has_the_ends_of_intervals_the_papers_gains_and_who_else_gains(ran):
    base = [77.0, 77.2, 77.4]
    results = ran(vanilla=base, drg=[77.5, 76.9, 77.6], dsr=[77.6, 77.0, 77.7], dlb=[79.0, 79.3, 79.3])
    _, frame, rows = findings.judged(experiment("table_1"), results)
    text, high = findings.answer(experiment("table_1"), results), sorted(rows["high"])
    assert "mean differences go from +0.13 to +0.23 points" in text
    assert f"upper ends of their intervals from {high[0]:+.2f} to {high[1]:+.2f}; " in text
    assert "the paper's gains on resnet18 from +0.86 to +1.78." in text and text.endswith("beyond the noise: `dlb`.")


def test_how_well_vanilla_fits_is_the_mean_of_its_last_epochs(ran):
    found, _ = study.at_scale(experiment("table_1"), "small", ran("resnet10_w16", 12, vanilla=[52.0, 54.0], ls=[60.0]))
    assert "right on 53 % of the augmented training images and on 53 %" in findings.fit(found, "resnet10_w16")
    assert findings.fit(found, "resnet18") == ""


def test_the_variance_of_ranked_outputs_is_set_beside_the_accuracy_run_by_run(ran, monkeypatch):
    monkeypatch.setattr(study, "RESULTS", ran("resnet10_w16", 12, vanilla=[52.0, 54.0], drg=[60.0]))
    paper, small = findings.variances(experiment("table_1"), study.RESULTS).splitlines()
    assert paper == "- **The paper scale**: not yet run."
    assert small.endswith(": -1.00, -1.00 for ranked logits and +1.00, +1.00 for ranked probabilities.")


STEPS = {"vanilla": 1.0, "drg+dsr": 1.1, "byot": 1.25, "dlb": 2.2, "drg(k=1)+dsr": 1.32}


@pytest.fixture
def timed():
    """A record of `bench`, as far as the pages read it."""
    steps = {name: {"over vanilla": over, "seconds a step": over / 10, "steps": 9} for name, over in STEPS.items()}
    made = {"device": "NVIDIA X", "torch": "2", "threads": 1, "ended": "2000-01-01T00:00"}
    return {"model": "resnet10_w16", "precision": "bf16", "steps": steps, "provenance": made}


def test_cost_is_told_in_ratios_of_one_run_and_extra_parameters(timed):
    text = findings.cheapness(timed)
    assert "takes 0.88 of `byot`'s, 0.50 of `dlb`'s, 1.10 of `vanilla`'s." in text and "`dlb` 0." in text


def test_seconds_stand_beside_the_papers_as_multiples_of_block_2(timed):
    shown = tables.seconds(experiment("table_4"), timed, "tab-name").frame.set_index("method")
    assert shown.loc["`drg(k=1)+dsr`"].tolist() == ["0.044 (×0.98)", "0.132 (×1.20)"]
    assert shown.loc["`drg+dsr`"].tolist() == ["0.045 (×1.00)", "0.110 (×1.00)"]
    assert set(shown["ours, s"][2:]) == {"not yet run"}


def test_a_comparison_has_the_papers_gain_on_its_own_data_only(ran):
    table = experiment("table_1")
    small = table.compare(*study.at_scale(table, "small", ran("resnet10_w16", 12, vanilla=[52.0], drg=[53.0])))
    row = small.set_index("method").loc["drg"]
    assert (row["paper"], row["paper_model"], row["paper_gain"]) == (None, "resnet18", pytest.approx(79.07 - 77.29))
    assert "the paper's, on resnet18" in [line.get_label() for line in figures.gains(small).axes[0].lines]
    glyphs = table.compare(*study.at_scale(table, "miniature"))
    assert glyphs["paper_gain"].isna().all()


def test_learning_curves_are_means_over_seeds_and_say_when_there_are_none(ran):
    table = experiment("table_1")
    found, _ = study.at_scale(table, "paper", ran(vanilla=[77.0, 77.2], drg=[78.0]))
    (axes,) = figures.learning(found).axes
    assert [line.get_label() for line in axes.lines] == ["vanilla (n = 2)", "drg (n = 1)"]
    assert [line.get_ydata()[-1] for line in axes.lines] == [pytest.approx(77.1), 78.0]
    assert [text.get_text() for text in figures.learning([]).axes[0].texts] == ["not yet run"]
