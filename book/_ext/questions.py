"""The numbers of questions, such as Q22, lead to their rows in the tables of differences."""

import re

from docutils import nodes

PAGE = "differences"
NUMBER = re.compile(r"\b(Q\d+)\b")


def link(app, doctree, page):
    """Links the numbers in the text of all other pages, but for headings, code and what is a link already."""
    if page == PAGE:
        return
    address = app.builder.get_relative_uri(page, PAGE)
    for text in list(doctree.findall(nodes.Text)):
        if NUMBER.search(text) and not _inside(text, nodes.literal, nodes.literal_block, nodes.reference, nodes.title):
            parts = NUMBER.split(text)  # text and numbers by turns
            text.parent.replace(text, [_node(part, address) for part in parts if part])


def _inside(node, *kinds):
    while node := node.parent:
        if isinstance(node, kinds):
            return True
    return False


def _node(part, address):
    if not NUMBER.fullmatch(part):
        return nodes.Text(part)
    return nodes.reference("", part, refuri=f"{address}#{part.lower()}", internal=True)


def setup(app):
    """Sphinx calls this."""
    app.connect("doctree-resolved", link)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
