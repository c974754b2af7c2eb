"""The paper's claims: the rule of a verdict, the families of intervals, and what the paper's own cells say."""

import nbformat
import numpy as np
import pytest

from skdcore.study import claims, statistics
from skdcore.study.claims import Comparison
from skdcore.study.definition import ROOT
from skdcore.study.evidence import of_regime
from skdcore.study.experiments import experiment, regime
from skdcore.study.statistics import NO_GAIN, UNDECIDED, against_the_best, over

COMMITTED = {claim.id: claim for claim in claims.claims()}
VANILLA = [77.0, 77.2, 77.4]
FEW = f"n < {statistics.MIN_SEEDS}"
# Rows whose model has small residuals, so that the gain of `drg` decides.
OTHERS = {"ls": [77.1, 77.3, 77.4], "byot": [77.3, 77.4, 77.7], "dlb": [78.0, 78.3, 78.4]}


def on_cifar100(name, results):
    """What `judge` says of the claims on CIFAR-100, by claim."""
    frame, _ = claims.judge(regime(name), results)
    return frame[[one.experiment.dataset == "cifar100" for one in frame["comparison"]]].set_index("claim")


@pytest.mark.parametrize(
    ("drg", "in_paper", "in_tenth"),
    [
        ([79.0, 79.3, 79.3], "reproduced", "holds in tenth"),
        ([75.0, 75.1, 75.4], "contradicted", "fails in tenth"),
        ([76.9, 77.1, 77.4], NO_GAIN, NO_GAIN),
        ([76.0, 78.2, 78.4], UNDECIDED, UNDECIDED),
        ([79.0, 79.3], FEW, FEW),
        ([], "not yet run", "not yet run"),
    ],
)
def test_the_interval_gives_the_verdict_and_only_the_papers_regime_reproduces(ran, drg, in_paper, in_tenth):
    for name, expected in (("paper", in_paper), ("tenth", in_tenth)):
        frame = on_cifar100(name, ran(name, vanilla=VANILLA, drg=drg, **OTHERS)).loc[["drg"]]
        first, *rest = regime(name).models or experiment("table_1").models
        known = dict(zip(frame["network"], frame["verdict"], strict=True))
        assert known == {first: expected} | dict.fromkeys(rest, "not yet run")


def test_a_question_of_this_study_is_answered_with_better_and_worse_and_counts_as_no_claim(ran):
    rows = {"vanilla": VANILLA, "ls": [79.0, 79.2, 79.5], "dsr": [77.1, 77.1, 77.5]}
    frame, _ = claims.judge(regime("paper"), ran(**rows))
    answered = frame[frame["verdict"] == "worse"]
    assert [str(one) for one in answered["comparison"]] == ["`dsr` over `ls`"] and answered["asked"].all()
    assert "contradicted (0)" in claims.summary(ran())


def test_a_gain_over_vanilla_has_the_interval_of_the_tables_whichever_way_it_is_asked(ran):
    results = ran(vanilla=VANILLA, drg=[79.0, 79.3, 79.3], **{"drg(k=3)+dsr": [76.5, 76.9, 76.8]}, **OTHERS)
    (one,) = of_regime(regime("paper"), results)
    frame, columns = on_cifar100("paper", results).query("network == 'resnet18'"), ["gain", "low", "high"]
    assert tuple(frame.loc["drg", columns]) == one.gains[0]["drg"]
    gain, low, high = one.gains[0]["drg(k=3)+dsr"]
    assert tuple(frame.loc["deep-block-harms", columns]) == (-gain, -high, -low)


def test_all_other_comparisons_of_a_network_are_one_family_with_one_c(ran):
    rivals = ["byot", "cs_kd", "ps_kd", "zf_ls", "tf_kd"]
    rng = np.random.default_rng(0)
    rows = {method: list(77 + rng.normal(size=3)) for method in ["vanilla", "drg+dsr", *rivals]}
    results = ran(**rows)
    (one,) = of_regime(regime("paper"), results)
    contrasts = [*(over("drg+dsr", [rival]) for rival in rivals), over("drg+dsr", rivals)]
    found, c = one.intervals(contrasts)
    (family,) = claims.judge(regime("paper"), results)[1]
    frame = on_cifar100("paper", results).query("network == 'resnet18'")
    assert tuple(frame.loc["best-of-five", ["gain", "low", "high"]]) == pytest.approx(against_the_best(found[:5]))
    assert tuple(frame.loc["mean-of-five", ["gain", "low", "high"]]) == pytest.approx(found[5])
    assert family[1:] == (6, pytest.approx(c))


def test_regimes_of_cifar100_judge_no_claim_twice_and_none_of_tinyimagenet():
    for name in ("full", "tenth-wide"):
        frame, _ = claims.judge(regime(name))
        assert not frame.assign(text=frame["comparison"].map(str)).duplicated(["claim", "text", "network"]).any()
        assert {one.experiment.dataset for one in frame["comparison"]} == {"cifar100"}
    frame, _ = claims.judge(regime("paper"))
    assert {one.experiment.dataset for one in frame["comparison"]} == {"cifar100", "tinyimagenet"}


def test_rivals_of_few_seeds_are_taken_together_over_the_seeds_that_all_have():
    accuracies = {"drg": {0: 80.0, 1: 81.0, 2: 99.0}, "byot": {0: 79.0, 1: 80.0}, "dlb": {0: 70.0, 1: 83.0, 2: 90.0}}

    def pairs(fold, **changed):
        return Comparison("drg", ["byot", "dlb"], fold, experiment("table_1"), []).pairs(accuracies | changed)

    assert pairs("best") == pytest.approx((80.5 - 79.5, 79.5, 2))
    assert pairs("mean") == pytest.approx((80.5 - 78.0, 78.0, 2))
    assert pairs("best", dlb={}).n == 0


def test_the_papers_own_cells_are_computed_from_its_tables():
    computed = {name: claim.computed() for name, claim in COMMITTED.items()}
    assert computed["best-of-five"] == "+0.63"  # 79.30 - 78.67, over PS-KD; it says 0.97 (Q33)
    assert computed["mean-of-five"].startswith("better in 5 of 5: mean +1.25")  # it says 1.08 (Q33)
    assert COMMITTED["dlb"].comparisons[0].cell("resnet18") == pytest.approx(79.30 - 79.52)  # DLB is above (Q34)
    assert computed["dlb"] == "better in 7 of 8: mean +0.46, -0.22 to +1.15"
    assert computed["drg+dsr"].endswith("+1.06 to +2.97")  # it says 1.26 to 2.87 (Q32)
    assert computed["combination"].startswith("better in 5 of 8: ")  # Q35
    assert computed["label-smoothing"] == "", "the paper has no row of it"


def test_a_tab_has_the_comparisons_that_ran_and_counts_the_others(ran):
    ran("full", vanilla=VANILLA, drg=[79.0, 79.3, 79.3], **OTHERS)
    tabs = claims.tabs(ran("tenth", ps_kd=[70.0], **{"ps_kd+drg": [71.0]}))
    (full, said), (tenth, _) = tabs.tabs["full"], tabs.tabs["tenth"]
    assert full.frame[["claim", "network", "n", "verdict"]].values.tolist() == [
        ["`drg`", "resnet10_w16", "3", "holds in full"]
    ]
    assert full.caption.endswith("Of 27 comparisons 26 are not yet run.") and "second family" not in said
    ((_, _, _, paper, ours, n, verdict),) = tenth.frame.values.tolist()
    assert (paper, ours, n, verdict) == ("says +0.39 to +0.71", "+1.00 over 70.00", "1", FEW)
    assert tabs.after == "Not yet run: `fifth`, `tenth-wide`, `paper`."


def test_the_overview_counts_verdicts_in_the_regimes_that_ran(ran):
    shown = claims.overview(ran("full", vanilla=VANILLA, drg=[79.0, 79.3, 79.3], **OTHERS))
    assert list(shown.frame) == ["claim", "full", "what the paper says", "its size", "its own cells"]
    assert shown.frame.set_index("claim").loc["`drg`", "full"] == "holds in full: 1"


def test_the_summary_is_that_of_the_nearest_regime_with_a_verdict(ran):
    assert claims.summary(ran("paper", vanilla=VANILLA[:2], drg=[79.0])) == "No claim of the paper has a verdict yet."
    text = claims.summary(ran("full", vanilla=VANILLA, drg=[79.0, 79.3, 79.3], dsr=[75.0, 75.1, 75.4]))
    assert text.startswith(f"**The paper's claims in the regime `full`** ({regime('full').text}). Verdicts on 20")
    assert "holds in full (1: `drg`), fails in full (1: `dsr`)" in text and "not yet run (18)" in text


def test_the_committed_page_shows_every_claim_and_the_verdicts_of_the_committed_records():
    cells = nbformat.read(ROOT / "book/experiments/claims.ipynb", as_version=4).cells
    shown = "".join(output.data.get("text/markdown", "") for cell in cells for output in cell.get("outputs", []))
    assert [claim.id for claim in COMMITTED.values() if (claim.says or claim.asks) not in shown] == []
    for part in (claims.overview(), claims.tabs()):
        assert part._repr_markdown_() in shown
    assert claims.summary() in shown and claims.summary() in (ROOT / "book/index.ipynb").read_text()
