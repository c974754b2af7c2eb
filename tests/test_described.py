"""A figure's text, for whoever cannot see it, has the numbers that the figure shows."""

import matplotlib.pyplot as plt
import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from matplotlib_inline.config import InlineBackend
from nbformat.v4 import new_code_cell, new_output

from skdcore.study import notebook, pages
from skdcore.study.described import described


@pytest.fixture
def axes():
    figure, axes = plt.subplots()
    yield axes
    plt.close(figure)


def test_points_in_named_rows_are_told_row_by_row_with_their_intervals(axes):
    axes.plot([1.5, float("nan"), -2], [0, 1, 2], "o", label="gain")
    axes.hlines([0], [1], [2], label="95 % interval")
    axes.axvline(0)  # no label, so it is not told
    axes.set(title="here", xlabel="gain, %", yticks=range(3), yticklabels=["drg", "dsr", "ls"], ylabel="a method")
    assert described(axes.figure) == "here, gain, %. gain: drg 1.5, ls -2; 95 % interval: drg 1 to 2."


def test_a_long_line_is_told_by_its_ends_a_short_one_by_its_points_and_a_level_one_by_its_height(axes):
    axes.plot(range(1, 10), [10 * epoch for epoch in range(1, 10)], label="long")
    axes.errorbar([1, 2], [51.234, 52.346], [1, 1], label="short")
    axes.axhline(50, label="vanilla")
    axes.vlines([3], [1], [2.5], label="bar")
    axes.set(xlabel="epoch", ylabel="accuracy")
    expected = "vanilla: 50; short: 51.23 at 1, 52.35 at 2; bar: 1 to 2.5 at 3."
    assert described(axes.figure) == f"epoch, accuracy. long: from 10 at 1, to 90 at 9; {expected}"


def test_a_figure_with_a_label_of_its_own_is_told_by_it(axes):
    axes.plot([1, 2], [3, 4], label="line")
    axes.figure.set_label("vanilla 3 at a cost of 1")
    assert described(axes.figure) == "vanilla 3 at a cost of 1"


@pytest.mark.filterwarnings("ignore:InlineBackend")  # of its own methods
def test_a_notebook_shows_vectors_and_the_page_has_their_text(axes):
    axes.plot([1], [2], label="one")
    shell = InteractiveShell()
    try:
        notebook._figures(shell)
        data, _ = shell.display_formatter.format(axes.figure)
        again, _ = shell.display_formatter.format(axes.figure)
    finally:
        InlineBackend.clear_instance()
    assert data == again and data["image/svg+xml"].startswith("<?xml") and "image/png" not in data
    cell = nbformat.from_dict(new_code_cell(outputs=[new_output("display_data", data=data)]))
    pages._describe(cell)
    assert cell.metadata["mystnb"]["image"]["alt"] == "A panel. one: 2 at 1."
    assert list(cell.outputs[0].data) == ["image/svg+xml"]


def test_a_picture_is_kept_once():
    data = {"text/html": "<img>", "text/markdown": "data:image/svg+xml;base64,", "text/plain": "a picture"}
    cell = nbformat.from_dict(new_code_cell(outputs=[new_output("display_data", data=data)]))
    pages._describe(cell)
    assert sorted(cell.outputs[0].data) == ["text/markdown", "text/plain"]
