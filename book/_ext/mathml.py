"""Formulas as MathML, which browsers draw themselves: a page loads no script for them."""

import re
import unicodedata
from contextlib import suppress

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.util.math import get_node_equation_number

ALPHABETS = {"script": "SCRIPT", "double-struck": "DOUBLE-STRUCK"}


def mathml(tex, display):
    r"""A LaTeX formula as MathML; `display` is "inline" or "block".

    Browsers know no alphabets, so \mathcal and \mathbb become letters of Unicode.
    """
    alphabets = "|".join(ALPHABETS)
    return re.sub(rf'(<mi) mathvariant="({alphabets})">(\w)', _letter, convert(tex, display=display))


def _letter(match):
    tag, alphabet, letter = match.groups()
    for block in ("MATHEMATICAL ", ""):  # a few older letters stand outside the block
        with suppress(KeyError):
            return f"{tag}>{unicodedata.lookup(f'{block}{ALPHABETS[alphabet]} CAPITAL {letter}')}"
    raise ValueError(f"no letter {letter} in the alphabet {alphabet}")


def inline(self, node):
    """Writes a formula in a line of text."""
    self.body.append(self.starttag(node, "span", "", CLASS="math") + mathml(node.astext(), "inline") + "</span>")
    raise nodes.SkipNode


def block(self, node):
    """Writes a formula of its own, with its number if it has one."""
    self.body.append(self.starttag(node, "div", CLASS="math"))
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append(mathml(node.astext(), "block") + "</div>\n")
    raise nodes.SkipNode


def setup(app):
    """Sphinx calls this; `html_math_renderer` in _config.yml chooses it."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
