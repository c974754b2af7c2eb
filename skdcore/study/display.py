"""What Jupyter shows and the book renders: tables and pictures with captions, and blocks under tabs.

Captions and cells are plain texts, in which `backticks` mark code.
"""

import base64
import html
import re
from io import BytesIO

import matplotlib
import matplotlib.pyplot as plt

from skdcore.study.links import claim, to_claim, to_sections

# With these the SVG of a figure is the same each time: its ids would be random, and its date that of the run.
SALTED, UNDATED = {"svg.hashsalt": "skdcore"}, {"Date": None}


class Table:
    """A frame of texts that Jupyter shows as HTML and the book as a numbered table `name` with a caption.

    A column of empty texts is left out.
    In the book the methods of a column "method" link to their sections, the claims of a column "claim" to their rows,
    which are in the table that `defines` them, and the cells of a column in `links`, {column: addresses from the site's
    root}, to their runs.  The pages with tables are those in experiments/.
    """

    def __init__(self, frame, caption, name, links=None, defines=False):
        self.frame, self.caption, self.name = frame.loc[:, (frame != "").any()], " ".join(caption.split()), name
        gone = frame.columns.difference(self.frame.columns)
        self.links = {column: addresses for column, addresses in (links or {}).items() if column not in gone}
        self.defines = defines

    def _repr_html_(self):
        return f"<p>{html.escape(self.caption)}</p>" + self.frame.to_html(index=False)

    def _repr_markdown_(self):
        frame = self.frame.map(lambda text: _unbroken(_cell(text)))
        for column, addresses in self.links.items():
            frame[column] = [_linked(*pair) for pair in zip(frame[column], addresses, strict=True)]
        if "method" in frame:
            frame["method"] = [to_sections(row) or row for row in frame["method"]]
        if "claim" in frame:
            claims = frame["claim"].str.strip("`")
            frame["claim"] = [f"[`{one}`]{{#{claim(one)}}}" if self.defines else to_claim(one) for one in claims]
        body = frame.rename(columns=_cell).to_markdown(index=False, disable_numparse=True)
        return f"::::{{table}} {escaped(self.caption)}\n:name: {self.name}\n\n{body}\n::::"


class Picture:
    """A matplotlib figure as an SVG, with a text `alt` for whoever cannot see it.  The book numbers it as `name`."""

    def __init__(self, figure, caption, alt, name):
        self.svg, self.name = _svg(figure), name
        self.caption, self.alt = " ".join(caption.split()), " ".join(alt.split())

    def _repr_html_(self):
        image = f'<img src="{self.svg}" alt="{html.escape(self.alt)}">'
        return f"<figure>{image}<figcaption>{html.escape(self.caption)}</figcaption></figure>"

    def _repr_markdown_(self):
        return f"::::{{figure}} {self.svg}\n:name: {self.name}\n:alt: {self.alt}\n\n{escaped(self.caption)}\n::::"


def _svg(figure):
    """The figure as an SVG in a data address, the same for the same figure, and closes it."""
    content = BytesIO()
    with matplotlib.rc_context(SALTED):
        # dpi is that of the rasterised parts: with matplotlib's 100 a picture of many points exceeds 300 KB
        figure.savefig(content, format="svg", dpi=90, metadata=UNDATED)
    plt.close(figure)
    return f"data:image/svg+xml;base64,{base64.b64encode(content.getvalue()).decode()}"


class Tabs:
    """Blocks (tables and Markdown texts) under titles, {title: blocks}, and `after` below.  One title needs no tab."""

    def __init__(self, tabs, after=""):
        self.tabs, self.after = tabs, after

    def _repr_html_(self):
        parts = [part for title, blocks in self.tabs.items() for part in (f"<h4>{title}</h4>", *map(_html, blocks))]
        return "\n".join([*parts, _html(self.after)])

    def _repr_markdown_(self):
        texts = {title: "\n\n".join(map(_markdown, blocks)) for title, blocks in self.tabs.items()}
        if len(texts) > 1:
            items = (f":::::{{tab-item}} {title}\n{text}\n:::::" for title, text in texts.items())
            texts = {"": "::::::{tab-set}\n" + "\n".join(items) + "\n::::::"}
        return "\n\n".join(filter(None, [*texts.values(), self.after]))


def _markdown(block):
    return block if isinstance(block, str) else block._repr_markdown_()


def _html(block):
    return f"<p>{html.escape(block)}</p>" if isinstance(block, str) else block._repr_html_()


def escaped(text):
    """The text with nothing in it that Markdown would take for markup, but for code in backticks."""
    return re.sub(r"`[^`]*`|[\\*_$&<>[\]{}]", lambda m: m[0] if m[0][0] == "`" else "\\" + m[0], text.strip())


def _linked(text, address):
    return f'<a class="run" href="../{address}">{text}</a>' if address else text


def _unbroken(text):
    """A short text, such as a number and its spread, that a narrow column does not break."""
    return text.replace(" ", "\N{NO-BREAK SPACE}") if len(text) <= 16 else text


def _cell(text):
    return escaped(" ".join(text.split())).replace("|", "\\|")  # also in code, where a table would end the cell
