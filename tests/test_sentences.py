"""The sentences of the pages: each says what the records say, and no more."""

import math

import pytest

from skdcore import records
from skdcore.study import claims, sentences
from skdcore.study.advice import advice
from skdcore.study.evidence import of_regime
from skdcore.study.experiments import experiment, regime

VANILLA = [77.0, 77.2, 77.4]
GAIN, LOSS, NONE, OPEN = [79.0, 79.3, 79.3], [76.0, 76.1, 76.4], [76.9, 77.1, 77.4], [76.0, 78.6, 77.9]
OTHERS = {"vanilla": VANILLA, "ls": [77.1, 77.3, 77.4], "byot": [77.3, 77.0, 77.9]}


@pytest.mark.parametrize(
    ("rows", "head"),
    [
        ({}, "Not known yet"),
        ({"drg": GAIN[:2]}, "Not known yet"),
        ({"drg": OPEN}, "Not shown"),
        ({"drg": GAIN, "dsr": LOSS}, "In part"),
        ({"drg": GAIN, "dsr": GAIN}, "In part"),
        ({"drg": GAIN, "dsr": GAIN, "drg+dsr": GAIN}, "Yes"),
        ({"drg": NONE, "dsr": LOSS, "drg+dsr": LOSS}, "No gain above 0.5 points"),
        ({"drg": NONE, "dsr": LOSS}, "Not shown"),
    ],
)
def test_the_books_first_words_are_the_answer_that_the_records_give(ran, rows, head):
    text = sentences.answer(experiment("table_1"), ran("full", **OTHERS, **rows))
    about = "" if head == "Not known yet" else " for the paper's methods"
    assert text.startswith(f"**{head}{about}.** ") and text.endswith(
        "Not yet run: `paper`, `tenth-wide`, `tenth`, `fifth`."
    )
    assert ("nearest to the paper's that has verdicts is `full`" in text) == (head != "Not known yet")


def test_the_answer_says_what_was_found_and_how_sure_that_is_and_what_is_not_yet_run(ran):
    results = ran("full", **OTHERS, drg=LOSS, dsr=NONE, dlb=GAIN)
    (one,) = of_regime(regime("full"), results)
    low, high = one.gains[0]["drg"].low, one.gains[0]["dsr"].high
    assert sentences.answer(experiment("table_1"), results) == (
        "**Not shown for the paper's methods.** The regime nearest to the paper's that has verdicts is `full` "
        f"({regime('full').text}). There "
        "`drg` (-1.03) is worse than plain training; `dsr` (-0.07) has no gain above 0.5 points. With 3 seeds, the 95 "
        f"% intervals run from {low:+.2f} to {high:+.2f} points, simultaneously over all methods; on resnet18 the "
        "paper prints +0.86 to +1.78. Not yet run: `paper`, `tenth-wide`, `tenth`, `fifth`."
    )


def test_the_answer_about_one_method_is_in_the_singular(ran):
    results = ran("full", **OTHERS, drg=GAIN)
    (one,) = of_regime(regime("full"), results)
    _, low, high = one.gains[0]["drg"]
    text = sentences.answer(experiment("table_1"), results)
    assert "There `drg` (+2.00) is better than plain training. With 3 seeds, the 95 % interval runs from" in text
    assert f"{low:+.2f} to {high:+.2f} points" in text and "on resnet18 the paper prints +1.78." in text


def test_the_answer_names_the_network_where_there_are_several(ran):
    ran(vanilla=VANILLA, drg=GAIN, dsr=LOSS)
    text = sentences.answer(experiment("table_1"), ran(model="resnet50", vanilla=VANILLA, drg=GAIN, dsr=LOSS))
    for network in ("resnet18", "resnet50"):
        assert (
            f"`drg` (+2.00) is better than plain training; `dsr` (-1.03) is worse than plain training on {network}"
            in text
        )


def test_methods_stand_under_their_verdicts_with_their_gains(ran):
    (one,) = of_regime(regime("paper"), ran(**OTHERS, drg=GAIN, dsr=LOSS, dlb=[79.6]))
    assert sentences.verdicts(one.compare(experiment("table_1"))) == (
        "Better than vanilla: `drg` (+2.00, +1.56 to +2.44). Worse than vanilla: `dsr` (-1.03, -1.48 to -0.59). "
        "Undecided: `ls` (+0.07), "
        "`byot` (+0.20). Fewer than 3 seeds, so without an interval: `dlb` (+2.60)."
    )
    (one,) = of_regime(regime("full"), ran("full", drg=[50.0]))
    assert sentences.verdicts(one.compare(experiment("table_1"))) == "There is nothing to compare with vanilla yet."


def test_an_interval_about_zero_is_never_said_to_show_no_effect():
    assert not any("no effect" in text.lower() for text in [*sentences.HEADS.values(), sentences.rules()])


def test_vanilla_ends_at_the_means_of_its_final_epochs(ran):
    (one,) = of_regime(regime("full"), ran("full", vanilla=[52.0, 54.0]))
    expected = (
        "Vanilla ends at 53.0 % on the test images and 53.0 % on the training images, as it saw them in its last epoch."
    )
    assert sentences.ends(one) == expected
    (one,) = of_regime(regime("tenth"), ran("tenth", drg=[52.0]))
    assert sentences.ends(one) == ""


def test_a_page_states_the_family_c_s_and_the_degrees_of_freedom(ran):
    (one,) = of_regime(regime("full"), ran("full", **OTHERS, dlb=[79.0]))
    text = sentences.basis(one)
    assert text.startswith(
        f"The simultaneous 95 % intervals of all gains over vanilla (2) have c = {one.gains[1]:.2f}, "
        f"s = {one.model.s:.2f} points and 4 degrees of freedom."
    )
    assert "of the 3 rows of regime full that have at least 3 seeds, on this page or another;" in text
    assert "processor" not in text
    assert "Unequal" not in text
    (one,) = of_regime(regime("tenth"), ran("tenth", vanilla=VANILLA, drg=[79.0]))
    assert sentences.basis(one).startswith("There are no intervals")


def test_rows_of_different_processors_are_named(ran):
    results = ran("full", **OTHERS)
    for file in results.rglob("vanilla/*/1.json"):
        record = records.read(file)
        record["provenance"]["device"] = "Y"
        records.write(file, record)
    (one,) = of_regime(regime("full"), results)
    others = ", ".join(f"`{method}`" for method in sorted(OTHERS) if method != "vanilla")
    assert f"**Not all runs had the same processor** (on x: {others}; on Y and x: `vanilla`)" in sentences.basis(one)


def test_rows_that_all_ran_on_the_same_two_processors_are_named_too(ran):
    results = ran("full", **OTHERS)
    for file in results.rglob("1.json"):
        record = records.read(file)
        record["provenance"]["device"] = "Y"
        records.write(file, record)
    assert "(on Y and x: `byot`, `ls`, `vanilla`)" in sentences.processors(of_regime(regime("full"), results)[0])


def test_a_page_says_that_the_intervals_are_simultaneous_on_several_networks(ran):
    ran(**OTHERS)
    first, second = of_regime(regime("paper"), ran(model="resnet50", **OTHERS))
    for one in (first, second):
        assert "(2) and on all 2 networks (Bonferroni: 97.5 % on each) have" in sentences.basis(one)


def test_a_row_whose_spread_stands_out_has_a_warning_and_no_verdict(ran):
    methods = ["vanilla", "ls", "byot", "cs_kd", "ps_kd", "dlb", "zf_ls", "tf_kd", "drg"]
    rows = {name: [77 + math.sin(9 * i + 5 * seed) / 5 for seed in range(3)] for i, name in enumerate(methods)}
    (one,) = of_regime(regime("full"), results := ran("full", **rows, dsr=[84.0, 90.0, 87.0]))
    assert one.unequal == {"dsr"} and one.gains[0]["dsr"].low > 0
    assert one.compare(experiment("table_1")).set_index("method").loc["dsr", "verdict"] == "unequal spread"
    judged, _ = claims.judge(regime("full"), [one])
    verdicts = {str(row.comparison): row.verdict for row in judged.itertuples() if row.n}
    assert verdicts["`dsr` over `vanilla`"] == verdicts["`dsr` over `ls`"] == "unequal spread"
    assert verdicts["`drg` over `vanilla`"] != "unequal spread"
    told = advice(experiment("table_1"), results)
    assert "`dsr` is better" not in told and "Without a verdict, because of unequal spread: `dsr`." in told
    ruled_out = math.ceil(10 * max(gain.high for method, gain in one.gains[0].items() if method != "dsr")) / 10
    assert f"a gain of more than {ruled_out:.1f} points is ruled out for all of them" in told
    assert f"**Unequal spread:** `dsr` has a residual sd of {one.model.sds['dsr']:.2f} points" in sentences.basis(one)


def test_regimes_are_listed_with_the_papers_first_and_those_without_records_last(ran):
    ran("miniature", vanilla=[60.0], drg=[61.0])
    text = sentences.by_regime(experiment("table_1"), ran())
    *_, miniature, missing = text.splitlines()
    assert miniature.startswith(f"- **`miniature`** ({regime('miniature').text}; resnet10_w16). Fewer than 3 seeds")
    assert missing.startswith("- Not yet run: `paper`")
    assert sentences.by_regime(experiment("table_1"), "no/folder").endswith("`miniature`.")
    assert sentences.not_run([]) == ""
