"""Advice: what is better in a regime, with its interval and its cost, and what is left of it at equal cost."""

import math

import pytest

from skdcore.study.advice import advice
from skdcore.study.equal_cost import bought
from skdcore.study.equal_cost_page import at_equal_cost
from skdcore.study.evidence import of_regime
from skdcore.study.experiments import experiment, regime

VANILLA, GAIN, LOSS = [77.0, 77.2, 77.4], [79.0, 79.3, 79.3], [76.0, 76.1, 76.4]
MANY = "vanilla ls byot cs_kd ps_kd dlb zf_ls tf_kd drg dsr cutout kd".split()
OTHERS = {"vanilla": VANILLA, "ls": [77.1, 77.3, 77.4], "byot": [77.3, 77.0, 77.9]}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (
            {"drg": GAIN, "dlb": [80.0, 80.2, 80.4]},
            "`dlb` is better by 3.00 points (+2.55 to +3.45) at 1.96 times the training time; "
            "`drg` is better by 2.00 points (+1.55 to +2.45) at 1.21 times the training time. "
            "Without a verdict, because of unequal spread: `byot`.",
        ),
        (
            {"drg": GAIN, "dsr": LOSS},
            "`drg` is better by 2.00 points (+1.56 to +2.44) at 1.21 times the training time. Worse: `dsr` (-1.03).",
        ),
        (
            {"drg": LOSS},
            "is shown to do better at equal epochs, and a gain of more than 0.7 points is ruled out for all of them. "
            "Worse: `drg` (-1.03).",
        ),
    ],
)
def test_the_advice_is_what_is_better_with_its_interval_and_cost(ran, rows, expected):
    text = advice(experiment("table_1"), ran("full", gap=3, **OTHERS, **rows))
    assert text.startswith(
        "- **Where plain training is about equally accurate on its training images and the test images**, as in `full` "
        "(80 % on its training images, after training and without augmentation, and 77 % on the test images), "
    )
    assert text.endswith(expected)


def test_the_advice_has_a_line_for_each_regime_with_intervals(ran):
    ran("full", vanilla=VANILLA, drg=[70.0])
    ran("tenth", gap=20.4, vanilla=VANILLA, drg=GAIN)
    first, second = advice(experiment("table_1"), ran("fifth", vanilla=VANILLA, byot=GAIN)).splitlines()
    assert first.startswith(
        "- **Where plain training is 20 points more accurate on its training images than on the test images**, as in "
        "`tenth`"
    )
    assert second.startswith("- **In `fifth`**, `byot` is better"), "its training accuracy was not recorded"


def test_rows_without_a_verdict_are_named_in_the_order_of_the_model(ran):
    even = {name: [77 + math.sin(9 * i + 5 * seed) / 50 for seed in range(3)] for i, name in enumerate(MANY)}
    uneven = {"ps_kd": [70.0, 80.0, 76.0], "cs_kd": [80.0, 71.0, 76.0]}
    text = advice(experiment("table_1"), ran("full", **even | uneven))
    (one,) = of_regime(regime("full"), ran("full"))
    assert one.unequal == set(uneven) and text.endswith("because of unequal spread: `cs_kd`, `ps_kd`.")


def test_where_the_spread_of_vanilla_is_unequal_no_gain_has_a_verdict(ran):
    even = {name: [77 + math.sin(9 * i + 5 * seed) / 50 for seed in range(3)] for i, name in enumerate(MANY)}
    text = advice(experiment("table_1"), ran("full", **even | {"vanilla": [70.0, 78.0, 72.0]}))
    assert text == "- **In `full`**, no gain has a verdict, because the spread of `vanilla` is unequal."


def test_without_a_method_of_the_tables_there_is_no_advice(ran):
    assert advice(experiment("table_1"), ran("full", vanilla=VANILLA, ls=OTHERS["ls"])) == ""


def test_the_advice_says_what_is_left_at_equal_cost(ran):
    ran("tenth", vanilla=VANILLA, dlb=GAIN)
    epochs = bought(120, "resnet10_w16", "dlb")
    results = ran("tenth", epochs=epochs, vanilla=[80.0, 80.2, 80.4])
    better, left = advice(experiment("table_1"), results).split(
        " **At equal cost, `dlb` is worse than plain training.** "
    )
    frame, _ = at_equal_cost(*of_regime(regime("tenth"), results), 120, ["dlb"])
    low, high = frame.loc[0, ["low", "high"]]
    assert better.endswith("at 1.96 times the training time.")
    assert left.startswith(f"For what `dlb` costs, `vanilla` can train {epochs} epochs instead of 120: +3.00 (")
    assert f"`dlb` over `vanilla, {epochs} epochs`: -1.00 ({low:+.2f} to {high:+.2f}), worse." in left
    assert "Not yet compared" not in left, "dlb is, though not with ls"
    waiting = advice(experiment("table_1"), ran("tenth", cs_kd=[77.0], **{"drg(k=1)+dsr": [77.0]})).split(". ")[-1]
    bought_ = bought(120, "resnet10_w16", "cs_kd")
    assert waiting == f"Not yet compared with plain training at equal cost: `cs_kd` ({bought_} epochs)."
