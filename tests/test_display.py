"""Tables and tabs as Markdown of the book and as HTML of Jupyter: no text of a record becomes markup."""

import base64
import html

import matplotlib
import pandas
import pytest
from markdown_it import MarkdownIt
from matplotlib import pyplot as plt

from skdcore.study.display import Picture, Table, Tabs, escaped

ODD = "a|b *c* _d_ $e$ <b>f</b> [g](h) {raw}`i` &lt; \\\\ # `j|k`\nl"


@pytest.mark.parametrize("text", ["a*b*c", "_d_", "<b>", "[g](h)", "![g](h)", "&lt;", "\\*", "n < 3"])
def test_an_escaped_text_is_shown_as_it_is_and_code_stays_code(text):
    shown = MarkdownIt().renderInline(escaped(f"{text} `x*y*`"))
    assert shown == f"{html.escape(text)} <code>x*y*</code>"


def test_a_role_or_a_formula_in_a_text_is_neither():
    assert escaped("{raw}`x` $y$") == "\\{raw\\}`x` \\$y\\$"


def test_odd_texts_stay_in_their_cell_and_their_caption():
    shown = Table(pandas.DataFrame([{"a": ODD, "b": "`c`"}]), ODD, "tab-x")._repr_markdown_()
    first, second, empty, *body, last = shown.splitlines()
    assert first.startswith("::::{table} a|b \\*c\\* ") and first.endswith("`j|k` l")
    assert (second, empty, last, len(body)) == (":name: tab-x", "", "::::", 3)
    rendered = MarkdownIt().enable("table").render("\n".join(body))
    assert rendered.count("<td") == 2 and "<code>j|k</code> l</td>" in rendered and "<b>" not in rendered


def test_jupyter_shows_odd_texts_as_they_are():
    shown = Table(pandas.DataFrame([{"a": "<b>"}]), "<i>", "tab-x")._repr_html_()
    assert "<b>" not in shown and "<i>" not in shown and "&lt;b&gt;" in shown


def test_several_titles_are_tabs_and_one_is_none():
    table = Table(pandas.DataFrame([{"a": "b"}]), "c", "tab-x")
    shown = Tabs({"one": ["text", table], "two": ["more"]}, "after")._repr_markdown_()
    assert shown.startswith("::::::{tab-set}\n:::::{tab-item} one\ntext\n\n::::{table} c")
    assert ":::::{tab-item} two\nmore\n:::::\n::::::\n\nafter" in shown
    assert Tabs({"one": ["text", table]}, "after")._repr_markdown_().startswith("text\n\n::::{table} c")
    assert Tabs({}, "after")._repr_markdown_() == Tabs({"one": ["after"]})._repr_markdown_() == "after"


def test_jupyter_shows_tabs_under_headings():
    shown = Tabs({"one": ["a < b"], "two": ["more"]}, "after")._repr_html_()
    places = [shown.index(part) for part in ("one", "a &lt; b", "two", "more", "after")]
    assert places == sorted(places)


def picture():
    matplotlib.use("Agg")
    figure, axes = plt.subplots()
    axes.plot([1, 2])
    return Picture(figure, "What *is*\n drawn", 'r is "0.9" <here>\n and there', "fig-x")


def test_a_picture_is_a_vector_graphic_with_a_caption_a_name_and_a_text_for_who_cannot_see_it():
    first, name, alt, empty, caption, last = picture()._repr_markdown_().splitlines()
    assert (name, alt) == (":name: fig-x", ':alt: r is "0.9" <here> and there')
    assert (empty, caption, last) == ("", "What \\*is\\* drawn", "::::")
    kind, _, content = first.removeprefix("::::{figure} ").partition("base64,")
    assert kind == "data:image/svg+xml;" and b"<svg" in base64.b64decode(content)
    assert plt.get_fignums() == []


def test_jupyter_shows_the_same_picture_and_its_texts_as_they_are():
    shown = picture()._repr_html_()
    assert 'alt="r is &quot;0.9&quot; &lt;here&gt; and there"' in shown and "<figcaption>What *is* drawn<" in shown
    assert shown == picture()._repr_html_(), "no date and no random id"
