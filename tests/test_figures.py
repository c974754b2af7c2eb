"""The figures: what is drawn of which network, what the legend says of it, and that nothing is drawn of nothing."""

from math import nan

import matplotlib
import pandas
import pytest
from matplotlib import pyplot as plt

from skdcore.records import under
from skdcore.study import figures
from skdcore.study.equal_cost_page import EqualCost, points
from skdcore.study.evidence import of_regime
from skdcore.study.experiments import experiment, regime

VANILLA, DRG, DLB = [77.0, 77.2, 77.4], [79.0, 79.3, 79.3], [76.0, 76.1, 76.4]


@pytest.fixture(autouse=True)
def no_window():
    matplotlib.use("Agg")
    yield
    plt.close("all")


def frames(name, results, where="paper"):
    return {one.title: one.compare(experiment(name)) for one in of_regime(regime(where), results)}


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_each_network_has_a_panel_that_names_it(ran):
    ran(vanilla=VANILLA, drg=DRG, dlb=DLB)
    figure = figures.gains(frames("table_1", ran(model="resnet50", vanilla=VANILLA, drg=DRG)))
    assert [axes.get_title() for axes in figure.axes] == ["regime paper, resnet18", "regime paper, resnet50"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["drg", "dlb"]
    assert [label.get_text() for label in figure.axes[1].get_yticklabels()] == ["drg"]


def test_gains_and_intervals_are_drawn_where_the_table_has_them(ran):
    shown = frames("table_1", ran(vanilla=VANILLA, drg=DRG, dlb=[79.6]))
    (axes,) = figures.gains(shown).axes
    frame = shown["regime paper, resnet18"].set_index("method")
    gains = next(line for line in axes.lines if line.get_label() == "gain")
    assert list(gains.get_xdata()) == frame.loc[["drg", "dlb"], "gain"].tolist()
    (((low, at), (high, _)),) = axes.collections[0].get_segments()
    assert (low, high, at) == (*frame.loc["drg", ["low", "high"]], 0)


@pytest.mark.parametrize(
    ("name", "rows", "expected"),
    [
        ("table_1", {"drg": DRG}, ["simultaneous 95 % interval", "gain", "the paper's gain, resnet18"]),
        ("table_1", {"drg": DRG[:1]}, ["gain", "the paper's gain, resnet18"]),
        ("related", {"kd": DRG}, ["simultaneous 95 % interval", "gain"]),
    ],
)
def test_the_legend_has_what_the_picture_has(ran, name, rows, expected):
    assert legend(figures.gains(frames(name, ran("full", vanilla=VANILLA, **rows), "full"))) == expected


def test_nothing_is_drawn_of_nothing(ran):
    assert figures.gains({}) is figures.by_keyword({}, {"drg": "tau"}) is figures.learning({}) is None
    assert figures.curves([]) is figures.variances({}) is figures.correlations(pandas.DataFrame(), []) is None
    assert figures.gains(frames("table_1", ran(vanilla=VANILLA))) is None


def test_methods_are_drawn_along_their_keyword_with_the_default_where_it_stands(ran):
    rows = {"vanilla": VANILLA, "drg": DRG, "drg(tau=8)": [78.0], "dsr(tau=1)": [76.0], "dsr(beta=0.1)": [70.0]}
    (axes,) = figures.by_keyword(frames("fig_6", ran(**rows)), {"drg": "tau", "dsr": "tau"}).axes
    assert axes.get_title() == "regime paper, resnet18"
    drg, dsr = (container.lines[0] for container in axes.containers)
    assert (list(drg.get_xdata()), list(drg.get_ydata())) == ([1, 8], [pytest.approx(79.2), 78.0])
    assert (list(dsr.get_xdata()), list(dsr.get_ydata())) == ([1], [76.0])


def test_each_keyword_has_a_panel_with_a_tick_for_every_row_also_for_one_that_has_not_run(ran):
    rows = {"vanilla": VANILLA, "drg": DRG, "drg(alpha=0)": DRG, "dsr": DRG}
    panels = figures.by_keyword(frames("fig_7", ran(**rows)), {"drg": "alpha", "dsr": "beta"}).axes
    assert [axes.get_xlabel() for axes in panels] == ["alpha", "beta"]
    assert [list(axes.get_xticks()) for axes in panels] == [[0, 0.01, 0.05, 0.2, 1], [0.1, 0.5, 1, 3]]
    keys = [{text.get_text() for text in axes.get_legend().get_texts()} for axes in panels]
    assert keys == [{"vanilla", "drg, by alpha"}, {"vanilla", "dsr, by beta"}]


@pytest.mark.parametrize(("seeds", "joined"), [(1, False), (2, True)])
def test_single_seeds_are_points_and_means_are_joined(ran, seeds, joined):
    rows = {"drg": DRG[:seeds], "drg(tau=8)": DRG[:seeds], "dsr": DRG[:2], "dsr(tau=1)": DRG[:1]}
    (axes,) = figures.by_keyword(frames("fig_6", ran(**rows)), {"drg": "tau", "dsr": "tau"}).axes
    drg, dsr = (container.lines[0] for container in axes.containers)
    assert (drg.get_linestyle() == "-") == joined and drg.get_marker() == "o"
    assert dsr.get_linestyle() == "None", "one of its points is a single seed"


def test_accuracy_and_variances_have_a_row_of_panels_for_each_place_and_a_line_for_each_run(ran):
    runs = under(ran("tenth", vanilla=[31.0, 32.0]))
    panels = figures.variances({"here": runs, "there": runs[:1]}).axes
    assert len(panels) == 6 and panels[0].get_title("left") == "here" and panels[3].get_title("left") == "there"
    assert [len(axes.lines) for axes in panels] == [2, 2, 2, 1, 1, 1]
    assert list(panels[1].lines[1].get_ydata()) == runs[1]["curve"]["var_logits"]


def test_each_run_has_a_mark_at_its_coefficient(ran):
    found = pandas.DataFrame({"where": ["a", "a", "b"], "x": [0.1, 0.2, -0.3], "y": [0.4, 0.5, 0.6]})
    (axes,) = figures.correlations(found, ["x", "y"]).axes
    _, a, b = axes.lines
    assert (list(a.get_xdata()), list(b.get_xdata())) == ([0.1, 0.2, 0.4, 0.5], [-0.3, 0.6])
    assert [round(place) for place in a.get_ydata()] == [0, 0, 1, 1]


def test_time_and_storage_stand_over_vanilla_and_what_was_not_measured_is_left_out():
    times = pandas.DataFrame({"where": ["a", "a", "b"], "method": ["vanilla", "dlb", "dlb"], "over": [1, 2, nan]})
    sizes = times.rename(columns={"over": "weights over"}).assign(where="a")[:2]
    left, right = figures.time_and_storage(times, sizes).axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["a", "b"]
    (dlb,) = (line for line in left.lines if line.get_label() == "dlb")
    assert (list(dlb.get_xdata()), list(dlb.get_ydata())) == ([2], [0])
    assert {line.get_label() for line in right.lines} == {"vanilla", "dlb"}


def test_learning_curves_are_means_over_seeds_at_the_epochs_that_were_scored(ran):
    (one,) = of_regime(regime("tenth"), ran("tenth", vanilla=[31.0, 32.0], drg=[33.0]))
    (axes,) = figures.learning({one.title: one.runs}).axes
    assert {line.get_label() for line in axes.lines} == {"vanilla (n = 2)", "drg (n = 1)"}
    vanilla = next(line for line in axes.lines if line.get_label().startswith("vanilla"))
    assert list(vanilla.get_xdata()) == list(range(5, 121, 5)) and vanilla.get_ydata()[-1] == pytest.approx(31.5)


def test_every_term_of_a_loss_has_a_line(ran):
    (record,) = under(ran("tenth", vanilla=[31.0]))
    record["curve"]["loss"] = dict.fromkeys(["vanilla", "drg(k=1)", "drg", "drg(k=3)", "dsr"], record["curve"]["train"])
    _, right = figures.curves([record]).axes
    assert len(right.get_lines()) == 5


def test_curves_of_a_run_stand_at_their_epochs(ran):
    left, _ = figures.curves(under(ran("tenth", vanilla=[31.0]))).axes
    test, training = left.lines
    assert (test.get_label(), training.get_label()) == ("vanilla, test", "vanilla, training")
    assert (list(test.get_xdata()), list(training.get_xdata())) == (list(range(5, 121, 5)), list(range(1, 121)))


def test_accuracy_against_cost_has_the_front_and_names_the_costlier_rows(ran):
    rows = {"vanilla": VANILLA, "ls": VANILLA[::-1], "drg": DRG, "byot": DLB, "dlb": DRG[:1]}
    (one,) = of_regime(regime("tenth"), ran("tenth", **rows))
    frame, _ = points(one, 120)
    (axes,) = figures.against_cost({one.title: frame}).axes
    axes.figure.canvas.draw()
    assert {text.get_text() for text in axes.texts} == {"vanilla", "drg", "byot"}
    inside, few = (line for line in axes.lines if line.get_linestyle() == "None")
    assert inside.get_xdata().tolist() == frame.loc[frame["inside"], "cost"].tolist()
    assert few.get_xdata().tolist() == frame.loc[frame["row"] == "dlb", "cost"].tolist()


def test_accuracy_against_cost_of_one_seed_has_no_front_and_of_one_row_is_not_drawn(ran):
    assert figures.against_cost(EqualCost(ran("tenth", vanilla=[31.0])).points) is None
    figure = figures.against_cost(EqualCost(ran("tenth", drg=[32.0])).points)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a row of few seeds"]


def at_gap(gap):
    row = {"regime": "tenth", "network": "x", "method": "drg", "gap": gap, "gain": 1.0, "low": 0.5, "high": 1.5}
    few = {"method": "ls", "gain": 2.0, "low": nan, "high": nan, "verdict": "n < 3"}
    return pandas.DataFrame([row | {"verdict": "better"}, row | few])


def test_printed_gains_stand_in_a_margin_until_their_gap_is_known():
    theirs = pandas.DataFrame({"method": "drg", "network": ["a", "b"], "gain": [1.8, 2.0], "gap": [nan, 22.0]})
    main, side = figures.gains_by_gap(at_gap(60.0), theirs).axes
    main.figure.canvas.draw()
    assert side.get_title() == "gap not printed" and side.lines[1].get_ydata().tolist() == [1.8]
    assert [text.get_text() for text in main.texts] == ["tenth"]
    assert main.figure.get_label() == (
        "Gains over vanilla: drg +1.00 (+0.50 to +1.50), better, in tenth, x (gap 60.0); ls +2.00, n < 3, in tenth, x "
        "(gap 60.0). The gains that the paper prints: drg +1.80 on a; drg +2.00 on b."
    )
    (alone,) = figures.gains_by_gap(at_gap(60.0), theirs[1:]).axes
    (((_, low), (_, high)),) = alone.collections[0].get_segments()
    assert (low, high) == (0.5, 1.5) and alone.lines[2].get_ydata().tolist() == [2.0]


def test_without_a_gap_no_gain_is_drawn_against_it():
    assert figures.gains_by_gap(at_gap(nan), pandas.DataFrame(columns=["method", "gain", "gap"])) is None
