"""The page of Figure 3: Pearson's r by each definition, and what the page says of its sign."""

import math

import numpy as np
import pandas
import pytest

from skdcore.study import variance
from skdcore.study.evidence import everywhere
from skdcore.study.experiments import experiment
from skdcore.study.variance import DEFINITIONS, Variance, correlations, finding, pearson

ACCURACY, SPREAD = [10.0, 25.0, 31.0, 30.0], [0.2, 0.5, 0.4, 0.9]


def curve(variance, accuracy=ACCURACY):
    return {"var_logits": variance, "var_probs": variance, "test": accuracy}


def test_r_is_pearsons_of_the_variance_or_its_root_and_the_accuracy():
    for power, values in ((1, SPREAD), (0.5, [math.sqrt(100 * v) for v in SPREAD])):  # K = 100, as the code has it
        assert pearson(curve(SPREAD), "var_logits", power) == pytest.approx(np.corrcoef(values, ACCURACY)[0, 1])


@pytest.mark.parametrize("changed", [curve(SPREAD[:2], ACCURACY[:2]), curve([0.2] * 4), curve(SPREAD, [1.0] * 4)])
def test_too_few_points_or_a_constant_have_no_r(changed):
    assert math.isnan(pearson(changed, "var_probs", 1))


def test_each_run_has_its_own_r(ran):
    page = Variance(ran("tenth", vanilla=[31.0, 32.0], drg=[33.0], kd=[34.0]))
    rows = [["vanilla", 0], ["vanilla", 1], ["drg", 0], ["kd", 0]]
    assert page.found[["method", "seed"]].values.tolist() == rows, "also of methods that Table I lacks"
    assert page.found["logits, mean of variances"].tolist() == pytest.approx([-1] * 4)
    assert page.found["probabilities, mean of variances"].tolist() == pytest.approx([1] * 4)
    assert list(page.runs) == ["tenth, resnet10_w16 on cifar100(n=50)"] and list(page.tabs) == ["tenth"]
    (table,) = page.tabs["tenth"]
    assert table.frame.iloc[0].tolist()[:3] == ["`vanilla`", "2", "-1.00 (-1.00 to -1.00)"]
    assert table.frame.iloc[1].tolist()[:3] == ["`drg`", "1", "-1.00"]
    assert table.links["n"][1] == "runs/cifar100%28n%3D50%29/resnet10_w16/drg/e120-bf16.html"
    assert page.after == "Not yet run: `paper`, `tenth-wide`, `fifth`, `full`, `caltech`, `cub`, `dogs`, `miniature`."


def test_every_regime_with_a_run_of_vanilla_is_shown_the_miniature_and_other_images_too(ran):
    ran("miniature", vanilla=[60.0])
    ran("paper", vanilla=[77.0])
    page = Variance(ran("paper", dataset="tinyimagenet", vanilla=[56.0]))
    assert list(page.runs) == [
        "paper, resnet18 on cifar100",
        "paper, resnet18 on tinyimagenet",
        "miniature, resnet10_w16 on glyphs",
    ]
    assert len({table.name for tables in page.tabs.values() for table in tables}) == 3
    assert set(page.found["where"]) == {"paper, resnet18 on cifar100", "paper, resnet18 on tinyimagenet"}
    assert Variance(ran("full", drg=[50.0])).tabs.keys() == {"miniature", "paper"}, "no vanilla there"


def found(*rows, method="vanilla"):
    frame = pandas.DataFrame([dict(zip(DEFINITIONS, row, strict=True)) for row in rows], columns=[*DEFINITIONS])
    return frame.assign(method=method, trained=method, seed=range(len(rows)), where="tenth, x on y")


@pytest.mark.parametrize(
    ("rows", "head", "text"),
    [
        ([], "Not known yet.", "No run of `vanilla` on photographs has 3 scored epochs."),
        ([[math.nan] * 4], "Not known yet.", "No run of `vanilla` on photographs has 3 scored epochs."),
        (
            [[0.9, 0.8, 0.7, 0.95]],
            "Not the paper's sign.",
            "In the only run of plain training on photographs (`tenth`)",
        ),
        (
            [[0.9] * 4, [0.3] * 4],
            "Not the paper's sign.",
            "In all 2 runs of plain training on photographs (`tenth`), Pearson's",
        ),
        ([[-0.9] * 4, [-0.3] * 4], "The sign is the paper's.", "Pearson's r is -0.90 to -0.30."),
        ([[-0.9, -0.8, 0.7, 0.6], [0.1] * 4], "The sign is not the same everywhere.", "is -0.90 to +0.70."),
    ],
)
def test_the_finding_comes_first_and_has_the_sign_of_the_records(rows, head, text):
    said = finding(found(*rows))
    assert said.startswith(f"**{head}**") and text in said
    assert ("whichever of the four definitions is used; the paper's is strongly negative" in said) == (
        head.startswith("Not the paper")
    )


def test_where_signs_differ_each_definition_has_its_count():
    said = finding(found([-0.9, -0.8, 0.7, 0.6], [-0.1, 0.1, 0.1, 0.1]))
    counts = zip(DEFINITIONS, (2, 1, 0, 0), strict=True)
    assert said.endswith(f"by definition: {', '.join(f'{name} {count}' for name, count in counts)}.")


def test_other_methods_are_counted_after_plain_training():
    both = pandas.concat([found([0.9] * 4), found([-0.2, 0.1, 0.1, 0.1], [0.3] * 4, method="ls")], ignore_index=True)
    text = "In 1 of 2 runs of other methods on photographs, r is negative by some definition. The lowest of all is "
    text += "-0.20: `ls`, seed 0, in tenth, x on y."
    assert finding(both).endswith(text) and finding(both).startswith("**Not the paper")


def test_longer_runs_of_vanilla_are_plain_training_too(ran):
    longer = {"vanilla, 235 epochs": next(iter(Variance(ran("tenth", vanilla=[31.0])).runs.values()))}
    found = correlations({name: dict(enumerate(records)) for name, records in longer.items()}).assign(where="tenth, x")
    assert found[["method", "trained"]].values.tolist() == [["vanilla, 235 epochs", "vanilla"]]
    assert "Pearson's r in plain training is -1.00 to +1.00" in finding(found) and "other methods" not in finding(found)


def test_every_committed_run_on_photographs_is_counted():
    there = [one for evidence in everywhere().values() for one in evidence]
    runs = [record for one in there if "vanilla" in one.runs for by in one.runs.values() for record in by.values()]
    assert len(Variance().found) == len(runs)


def test_pictures_say_in_words_what_they_show(ran):
    page = Variance(ran("tenth", vanilla=[31.0, 33.0], drg=[40.0]))
    curves, coefficients = variance.curves(page.runs), variance.coefficients(page.found)
    first = 32.0 * 5 / 120
    assert f"tenth, resnet10_w16 on cifar100(n=50): accuracy from {first:.3g} to 32, variance of ranked" in curves.alt
    assert coefficients.alt.startswith("Pearson's r of 2 runs of plain training, by definition. logits, mean of")
    assert "probabilities, mean of variances: +1.00 to +1.00" in coefficients.alt
    assert curves.name != coefficients.name


def test_without_a_record_there_are_sentences_and_no_picture(tmp_path):
    page = Variance(tmp_path)
    assert page._repr_markdown_().startswith("Not yet run: `paper`, `tenth-wide`, `tenth`, `fifth`")
    assert finding(page.found).startswith("**Not")
    assert variance.curves(page.runs) is variance.coefficients(page.found) is None
    assert correlations({}).empty


def test_the_curves_of_a_record_are_those_of_vanilla_in_table_1(ran):
    assert "vanilla" in experiment("table_1").rows
    (records,) = Variance(ran("full", vanilla=[50.0, 51.0], drg=[60.0])).runs.values()
    assert {record["run"]["method"] for record in records} == {"vanilla"} and len(records) == 2
