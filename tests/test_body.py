"""The body of an experiment's page: a tab for each regime that has records, a sentence for those that have none."""

import pytest

from skdcore.records import under
from skdcore.study import body, sentences
from skdcore.study.experiments import experiment, experiments, regime

VANILLA, DRG = [52.0, 52.2, 52.4], [50.0, 50.3, 50.3]


def test_a_regime_with_records_has_a_tab_with_its_table_and_sentences(ran):
    ran("tenth", vanilla=VANILLA, drg=DRG)
    page = body.committed("table_1", ran("full", vanilla=VANILLA, drg=DRG))
    assert list(page.tabs) == ["tenth", "full", "paper"], "nearest first, and then what the paper alone has numbers of"
    head, said, table, model = page.tabs["full"]
    assert head == f"**Regime `full`:** {regime('full').text}."
    assert said.startswith("Worse than vanilla: `drg` (-2.00, -2.25 to -1.75). Vanilla ends at 52.2 %")
    assert table.name == "tab-table-1-full-resnet10-w16"
    assert "simultaneous 95 % intervals of all gains over vanilla (1) have" in model
    assert list(page.frames) == list(page.runs) == ["regime tenth, resnet10_w16", "regime full, resnet10_w16"]


def test_regimes_without_records_are_one_sentence_and_no_table(ran):
    page = body.committed("related", ran("full", vanilla=VANILLA, ls=DRG))
    others = len(experiment("related").rows.keys() - {"vanilla"})
    assert page.finding == f"{5 * others} comparisons, none run yet." and page.frames == {}
    assert page._repr_markdown_() == "Not yet run: `paper`, `tenth-wide`, `tenth`, `fifth`, `full`."


def test_vanilla_alone_has_a_table_where_an_experiment_has_regimes_of_its_own(ran):
    page = body.committed("fine_grained", ran("cub", vanilla=[30.0]))
    head, said, table, model = page.tabs["cub"]
    assert said.startswith(f"{sentences.NOTHING} Vanilla ends at 30.0 %") and page.after.endswith("`caltech`, `dogs`.")
    assert table.frame["ours, %"].tolist() == ["30.00"] + ["not yet run"] * 4


def test_a_method_without_vanilla_is_compared_with_nothing(ran):
    assert body.committed("table_1", ran("full", drg=DRG)).finding == sentences.NOTHING


def test_the_papers_numbers_are_shown_on_the_networks_that_did_not_run(ran):
    page = body.committed("table_1", ran("paper", "resnet50", vanilla=VANILLA, drg=DRG))
    head, said, table, model, missing, printed = page.tabs["paper"]
    rest = ["resnet18", "resnet101", "resnext50_32x4d", "densenet121"]
    assert list(printed.frame) == ["method", *rest] and "`resnet18`" in missing and "`resnet50`" not in missing
    assert "`paper`" not in page.after


def test_an_experiment_that_the_paper_gives_no_numbers_of_has_no_table_of_them(ran):
    for name in ("fig_6", "controls"):
        assert body.committed(name, ran()).tabs == {}


def test_regimes_of_other_images_are_left_out(ran):
    assert body.committed("table_2", ran("full", vanilla=VANILLA, drg=DRG)).finding == "21 comparisons, none run yet."


@pytest.mark.parametrize("models, seeds", [([], [0]), (["resnet18"], [])])
def test_a_run_needs_a_network_and_a_seed(models, seeds):
    with pytest.raises(ValueError, match="at least one of each"):
        body.trained("table_1", "glyphs", models, seeds, None, None, None, "results", None)


def test_a_run_has_a_tab_for_each_network_and_its_model_is_over_its_own_rows(ran, monkeypatch):
    ran("full", vanilla=VANILLA, drg=DRG)
    there = under(ran("full", model="resnet10_w32", vanilla=VANILLA, drg=DRG, dlb=[53.0, 53.3, 53.0]))
    asked = []
    monkeypatch.setattr(body, "sweep", lambda runs, **where: asked.append((runs, where)) or there)
    models = ["resnet10_w16", "resnet10_w32"]
    page = body.trained("table_1", "cifar100", models, [0, 1, 2], 12, "bf16", "root", "results", None)
    runs = experiment("table_1").runs("cifar100", models, [0, 1, 2], 12, "bf16")
    assert asked == [(runs, {"root": "root", "results": "results", "scheduler": None})]
    assert list(page.tabs) == models and list(page.frames) == [f"this run, {model}" for model in models]
    assert "of the 2 rows of this run" in page.tabs["resnet10_w16"][2]
    assert "on all 2 networks" in page.tabs["resnet10_w32"][2]


@pytest.mark.parametrize("name", experiments())
def test_labels_of_a_page_differ(ran, name):
    ran("tenth", **dict.fromkeys(experiment(name).rows, [50.0]))
    page = body.committed(name, ran("full", **dict.fromkeys(experiment(name).rows, [50.0])))
    names = [block.name for blocks in page.tabs.values() for block in blocks if not isinstance(block, str)]
    assert len(set(names)) == len(names)
