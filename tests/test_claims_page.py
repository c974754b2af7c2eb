"""The page of the claims: what it shows of their structure, and that it is that of the committed records."""

import nbformat
import pytest

from skdcore.study import claims_page, definition
from skdcore.study.assessment import assess
from skdcore.study.claims import ACCURACY, claims
from skdcore.study.definition import ROOT
from skdcore.study.experiments import regime
from skdcore.study.links import claim
from skdcore.study.measured import KINDS

VANILLA, DRG = [77.0, 77.2, 77.4], [79.0, 79.3, 79.3]
OTHERS = {"ls": [77.1, 77.3, 77.4], "byot": [77.3, 77.4, 77.7], "dlb": [78.0, 78.3, 78.4]}
IDS = [claim.id for claim in claims()]
NETWORKS = 7 + 5  # one of each small regime, and the paper's five
CALIBRATIONS = 3 * 4 * NETWORKS  # methods, metrics


def test_every_kind_of_claim_is_measured_and_shown():
    kinds = definition._yaml(definition.SCHEMA)["properties"]["claims"]["items"]["properties"]["kind"]["enum"]
    assert set(kinds) | {ACCURACY} == {ACCURACY, *KINDS} == set(claims_page.FORMS) == {ACCURACY, *claims_page.SPREADS}


def test_a_tab_has_the_comparisons_that_ran_and_counts_the_others(ran):
    ran("full", vanilla=VANILLA, drg=DRG, **OTHERS)
    tabs = claims_page.tabs(assess(ran("tenth", ps_kd=[70.0], **{"ps_kd+drg": [71.0]})))
    (full, said), (tenth, _) = tabs.tabs["full"], tabs.tabs["tenth"]
    assert full.frame[["claim", "network", "n", "verdict"]].values.tolist() == [
        ["`drg`", "resnet10_w16", "3", "holds in full"]
    ]
    assert full.caption.endswith("Of 30 comparisons 29 are not yet run.") and "second family" not in said
    assert full.links == {"n": ["runs/cifar100/resnet10_w16/drg/e12-bf16.html"]}
    assert tenth.caption.endswith("With fewer than 3 seeds, the other side's accuracy at the same seeds is given.")
    ((_, verdict, _, _, paper, ours, n),) = tenth.frame.values.tolist()
    assert (paper, ours, n, verdict) == ("says +0.39 to +0.71", "+1.00 over 70.00", "1", "n < 3")
    assert tabs.after == "Not yet run: `paper`, `tenth-wide`, `fifth`."


def test_the_overview_counts_verdicts_and_names_their_regimes(ran):
    shown = claims_page.overview(assess(ran("full", vanilla=VANILLA, drg=DRG, **OTHERS)))
    says = "what the paper says", "verdicts", "the size it prints", "from its own tables"
    assert list(shown.frame) == ["claim", *says]
    text = shown._repr_markdown_()
    assert [name for name in IDS if f"| [`{name}`]{{#{claim(name)}}} " not in text] == [], "where links to it lead"
    frame = shown.frame.set_index("claim")
    assert list(frame.index) == [f"`{name}`" for name in IDS]
    assert frame.loc["`drg`", "verdicts"].startswith("holds in `full` (1), not yet run (")
    assert frame.loc["`boundary`", "verdicts"] == f"not yet run ({2 * NETWORKS})"
    assert frame.loc["`byot-hours`", "verdicts"] == "not yet measured (1)"
    assert frame.loc["`least-storage`", "verdicts"] == "reproduced (10), contradicted (5)"
    calibration = frame.loc["`calibration`", "verdicts"]
    assert calibration.startswith("undecided in `full` (2), not yet run ("), "a verdict without a regime in it gets one"


def test_what_is_not_accuracy_has_a_tab_for_each_kind_that_was_measured_and_a_sentence_for_the_others(ran):
    page = claims_page.beyond(assess(ran("full", vanilla=VANILLA, drg=DRG, **OTHERS)))
    assert list(page.tabs) == ["storage", "correlation", "calibration"]
    (table,) = page.tabs["correlation"]
    assert table.frame["ours"].tolist()[0] == "-1.00", "the variance of logits falls"
    assert table.frame["verdict"].tolist() == ["holds in full"] * 2 + ["fails in full"] * 2
    assert set(table.links["n"]) == {"runs/cifar100/resnet10_w16/vanilla/e12-bf16.html"}
    assert table.caption.endswith(f"Of {4 * NETWORKS} comparisons {4 * (NETWORKS - 1)} have no record yet.")
    (table,) = page.tabs["calibration"]
    assert table.caption.endswith(f"Of {CALIBRATIONS} comparisons {CALIBRATIONS - 2} have no record yet.")
    (table,) = page.tabs["storage"]
    assert "n" not in table.frame and table.frame["ours"][2] == "×1.03", "a count has neither n nor a spread"
    assert page.after == (
        f"26 comparisons of time, none measured yet. {3 * NETWORKS} comparisons of confidence, none measured yet. "
        f"{2 * NETWORKS} comparisons of separation, none measured yet. "
        f"{NETWORKS} comparisons of attention, none measured yet."
    )


@pytest.mark.parametrize("rows", [{}, {"vanilla": VANILLA[:2], "drg": [79.0]}])
def test_without_an_interval_no_claim_of_accuracy_has_a_verdict(ran, rows):
    text = claims_page.summary(assess(ran("paper", **rows)))
    assert text.startswith("No claim of the paper about accuracy has a verdict yet.")


def test_the_summary_has_each_regime_with_a_verdict_the_nearest_first(ran):
    ran("tenth", vanilla=VANILLA, dsr=DRG)
    ran("fifth", vanilla=VANILLA, dsr=DRG[:2])
    found = assess(ran("full", vanilla=VANILLA, drg=DRG, dsr=[75.0, 75.1, 75.4]))
    head, _, tenth, text = claims_page.summary(found).splitlines()
    assert head.startswith("**The paper's claims about accuracy.** ") and "without those of this study's own" in head
    assert tenth.startswith("- `tenth` (") and "holds in `tenth` (1: [`dsr`](#claim-dsr))" in tenth
    assert text.startswith(f"- `full` ({regime('full').text}): ")
    assert "holds in `full` (1: [`drg`](#claim-drg)), fails in `full` (1: [`dsr`](#claim-dsr))" in text
    assert "not yet run (21)" in text


def test_a_question_of_this_study_counts_as_no_claim(ran):
    rows = {"vanilla": VANILLA, "ls": [79.0, 79.2, 79.5], "dsr": [77.1, 77.1, 77.5]}
    found = assess(ran("paper", **rows))
    (worse,) = (row for claim in found["claims"] for row in claim["verdicts"] if row["verdict"] == "worse")
    assert worse["what"] == "`dsr` over `ls`" and "worse" not in claims_page.summary(found)


def test_the_committed_page_shows_every_claim_and_the_verdicts_of_the_committed_records():
    cells = nbformat.read(ROOT / "book/experiments/claims.ipynb", as_version=4).cells
    shown, found = "".join(o.data.get("text/markdown", "") for c in cells for o in c.get("outputs", [])), assess()
    assert [name for name in IDS if f"`{name}`" not in shown] == []
    for part in (claims_page.overview(found), claims_page.tabs(found), claims_page.beyond(found)):
        assert part._repr_markdown_() in shown
    home = nbformat.read(ROOT / "book/index.ipynb", as_version=4).cells
    for cells_ in (cells, home):
        texts = [o.data.get("text/markdown", "") for c in cells_ for o in c.get("outputs", []) if "data" in o]
        assert any(claims_page.summary(found) in text for text in texts)


def test_metrics_of_several_units_are_counted_and_not_mixed(ran):
    rows = {method: [50.0, 51.0, 52.0] for method in ("vanilla", "drg", "dsr", "drg+dsr")}
    told = claims_page.retold(assess(ran("full", **rows)), "calibration")
    assert "in `full` (6), not yet run (" in told, "two metrics of three methods"


def test_claims_are_retold_with_their_verdicts_and_a_link(ran):
    found = assess(ran("full", vanilla=VANILLA, drg=DRG, **OTHERS))
    told = claims_page.retold(found, "drg", "boundary", "label-smoothing", "byot-hours").splitlines()
    drg = next(claim for claim in found["claims"] if claim["id"] == "drg")
    missing = len(drg["verdicts"]) - 1
    assert told[0] == (
        f"- DRG improves on plain training, on every network. By the paper's own numbers: {drg['computed']}. "
        f"[`drg`](#claim-drg): holds in `full` (1: +2.00), not yet run ({missing})."
    )
    assert told[1].endswith(f"[`boundary`](#claim-boundary): not yet run ({2 * NETWORKS}).")
    assert f"By the paper's own numbers: ×{5 / 3.48:.2f}. [`byot-hours`](#claim-byot-hours): not yet" in told[3]
    assert (
        told[2].startswith("- This study asks: Is DSR") and "[`label-smoothing`](#claim-label-smoothing): " in told[2]
    )
