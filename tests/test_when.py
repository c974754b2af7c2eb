"""Gains by vanilla's gap: where the gap comes from, and from what a prediction for the paper's scale is made."""

import math
from types import SimpleNamespace

import numpy as np
import pandas
import pytest
from scipy import stats

from skdcore import records
from skdcore.study import when
from skdcore.study.evidence import of_regime
from skdcore.study.experiments import experiment, regime

TABLE_1 = experiment("table_1")
VANILLA, DRG = [52.0, 52.2, 52.4], [53.0, 53.3, 53.1]


@pytest.fixture
def fitted(ran):
    """Writes records of a regime whose runs end `gap` points higher on their training images; gives their folder."""
    return lambda where, gap, **rows: ran(where, gap=gap, **{"vanilla": VANILLA} | rows)


def test_the_gap_is_that_of_vanilla_over_the_seeds_that_hold_both_accuracies(ran, fitted):
    results = fitted("tenth", 40, drg=DRG)
    (file,) = results.rglob("vanilla/*/2.json")
    record = records.read(file)
    del record["final"]["train_accuracy"]
    records.write(file, record)
    (row,) = when.measured_gains(TABLE_1, results).to_dict("records")
    (one,) = of_regime(regime("tenth"), results)
    assert (row["regime"], row["network"], row["method"], row["n"]) == ("tenth", "resnet10_w16", "drg", 3)
    assert (row["train"], row["test"], row["gap"]) == pytest.approx((92.1, 52.1, 40))
    assert (row["gain"], row["low"], row["high"]) == one.gains[0]["drg"]
    assert (row["se"], row["df"]) == (pytest.approx(one.model.s * math.sqrt(2 / 3)), 2)


def test_a_regime_without_the_training_accuracy_has_gains_and_no_gap(ran):
    results = ran("full", vanilla=VANILLA, drg=DRG, dlb=DRG[:1])
    found = when.measured_gains(TABLE_1, results)
    assert found["gap"].isna().all() and found["method"].tolist() == ["drg", "dlb"]
    page = when.gains(TABLE_1, found)
    assert page.tabs[""][0].frame["gap"].tolist() == ["not recorded"] * 2
    assert page.tabs[""][0].frame["gain over vanilla"].tolist()[1] == "+1.00, n < 3"
    assert page.after.endswith("there is no gap: `full`. Not yet run: `paper`, `tenth-wide`, `tenth`, `fifth`.")


def test_without_a_record_there_are_sentences(tmp_path):
    found = when.measured_gains(TABLE_1, tmp_path)
    assert (
        when.gains(TABLE_1, found)._repr_markdown_() == "Not yet run: `paper`, `tenth-wide`, `tenth`, `fifth`, `full`."
    )
    text = when.prediction(TABLE_1, found)._repr_markdown_()
    assert "**No prediction yet** for `drg`, `dsr`, `drg+dsr`, `dlb`, `ls`: no regime below or above that gap" in text


def test_the_papers_gains_have_no_gap_until_its_vanilla_has_been_run(ran, fitted):
    printed = when.printed_gains(TABLE_1, when.measured_gains(TABLE_1, ran()))
    assert printed["gap"].isna().all() and len(printed) == 4 * 5
    assert printed.iloc[0][["method", "network", "gain"]].tolist() == ["drg", "resnet18", pytest.approx(79.07 - 77.29)]
    printed = when.printed_gains(TABLE_1, when.measured_gains(TABLE_1, fitted("paper", 22, drg=DRG)))
    assert printed.loc[printed["network"] == "resnet18", "gap"].tolist() == pytest.approx([22] * 4)
    assert printed["gap"].isna().sum() == 4 * 4


def row(regime, gap, low, high, method="drg", verdict="better"):
    return {"regime": regime, "gap": gap, "method": method, "low": low, "high": high, "verdict": verdict}


def test_a_prediction_is_what_the_intervals_of_the_two_enclosing_regimes_span():
    rows = [row("far", 60, 5, 6), row("above", 30, -0.5, 0.4), row("below", 20, 0.1, 2), row("zero", 1, -9, -8)]
    found = pandas.DataFrame([*rows, row("paper", 22, 10, 11), row("above", 25, None, None)])
    (drg, *others) = when.predictions(TABLE_1, found).to_dict("records")
    assert (drg["regimes"], drg["low"], drg["high"], drg["lacking"]) == ("below and above", -0.5, 2, [])
    assert drg["paper"] == pytest.approx(1.78)
    assert all(pandas.isna(one["low"]) and one["lacking"] == ["below", "above"] for one in others)
    narrow = pandas.concat([found, pandas.DataFrame([row("narrow", 23, 0.2, 0.3, verdict="unequal spread")])])
    assert when.predictions(TABLE_1, narrow).loc[0, ["regimes", "low", "high"]].tolist() == ["below and narrow", 0.1, 2]
    note = "For `drg` a spread in `narrow` is unequal; without it the range would be -0.50 to +2.00."
    assert when.prediction(TABLE_1, narrow).tabs[""][2] == note
    shown = when.prediction(TABLE_1, found)
    assert shown.tabs[""][1].frame.values.tolist() == [["`drg`", "below and above", "-0.50 to +2.00", "+1.78, within"]]


def test_a_trend_is_shown_where_the_interval_of_the_change_leaves_out_zero():
    rows = [row("far", 60, 5, 6), row("near", 1, -9, -8), row("middle", 9, 0, 9), row("none", 99, None, None)]
    rows += [row("near", 1, 0, 2, "ls"), row("far", 60, 1, 3, "ls"), row("far", 60, 1, 3, "dlb")]
    rows.append(row("unequal", 0, 50, 60, verdict="unequal spread"))
    rows = [one | {"gain": ((one["low"] or 0) + (one["high"] or 0)) / 2, "se": 0.4, "df": 10} for one in rows]
    found = pandas.DataFrame(rows)
    half = stats.t.isf(0.05 / 2 / 2, 20) * math.sqrt(2 * 0.4**2)  # two methods; equal errors: the dfs add
    head, _, *items = when.finding(found).splitlines()
    assert head.startswith("**The gain of `drg` is higher where the gap is larger.** Gains in the regimes")
    assert items == [
        "- `drg`: -8.50 in `near` (gap 1.0) and +5.50 in `far` (gap 60.0): "
        f"+14.00 ({14 - half:+.2f} to {14 + half:+.2f}), higher.",
        "- `ls`: +1.00 in `near` (gap 1.0) and +2.00 in `far` (gap 60.0): "
        f"+1.00 ({1 - half:+.2f} to {1 + half:+.2f}), undecided.",
    ]
    assert when.finding(found[found["method"] == "ls"]).startswith("**No trend is shown.**")
    assert when.finding(found[found["method"] == "dlb"]).startswith("**Not known yet.** No method has an interval to")


def test_the_change_of_a_gain_has_welch_s_interval():
    """Of two samples of differences, as scipy has it."""
    full, tenth = [0.1, 0.5, 0.0, 0.4], [1.2, 2.2, 1.7]
    ends = [SimpleNamespace(gain=np.mean(one), se=stats.sem(one), df=len(one) - 1) for one in (full, tenth)]
    wanted = stats.ttest_ind(tenth, full, equal_var=False).confidence_interval(0.95)
    change = when._change(*ends, 1)
    assert (change.low, change.high) == pytest.approx((wanted.low, wanted.high))


def test_regimes_on_one_side_predict_nothing_and_the_page_says_so():
    found = pandas.DataFrame([row("tenth", 60, 1, 2), row("fifth", 30, 1, 2)])
    assert when.predictions(TABLE_1, found)["low"].isna().all()
    assert "for `drg`: no regime below that gap has" in when.prediction(TABLE_1, found)._repr_markdown_()


def test_three_seeds_on_both_sides_give_a_prediction(fitted):
    fitted("full", 3, drg=DRG, ls=VANILLA[::-1])
    results = fitted("tenth", 45, drg=DRG)
    found = when.measured_gains(TABLE_1, results)
    gains = [of_regime(regime(name), results)[0].gains[0]["drg"] for name in ("full", "tenth")]
    drg = when.predictions(TABLE_1, found).set_index("method").loc["drg"]
    assert (drg["low"], drg["high"]) == (min(one.low for one in gains), max(one.high for one in gains))
