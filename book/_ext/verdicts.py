"""Verdict words in tables lead to the glossary, which defines them, and show the definition as a tooltip."""

import re

from docutils import nodes

PAGE, SECTION = "glossary", "verdicts"  # where the words are defined
AFTER = r"(?= in [\w-]+(?:,| \(|$)| on [^,(]+(?:,|\(|$)| \(\d+\)|, |$)"  # a place, a count, or the next verdict


def defined(env):
    """{word: (id, definition)} of the verdicts in the glossary."""
    sections = env.get_doctree(PAGE).findall(nodes.section)
    (section,) = (section for section in sections if SECTION in section["ids"])
    return {
        term.astext(): (term["ids"][0], " ".join(item[-1].astext().split()))
        for item in section.findall(nodes.definition_list_item)
        for term in item.findall(nodes.term)
    }


def link(app, doctree, page):
    """Links the verdicts in the cells of tables, one alone or a list such as "holds in full (2), undecided"."""
    if page == PAGE:
        return
    words, glossary = defined(app.env), app.builder.get_relative_uri(page, PAGE)
    pattern = re.compile(rf"(?:^|(?<=, ))({'|'.join(map(re.escape, words))}){AFTER}")
    for entry in doctree.findall(nodes.entry):
        for text in list(entry.findall(nodes.Text)):
            parts = pattern.split(text)  # text and words by turns
            if len(parts) > 1:
                text.parent.replace(text, [_node(part, words, glossary) for part in parts if part])


def _node(part, words, glossary):
    if part not in words:
        return nodes.Text(part)
    id, definition = words[part]
    address = {"refuri": f"{glossary}#{id}", "reftitle": definition, "internal": True}
    return nodes.reference("", part, classes=["verdict", nodes.make_id(part)], **address)


def setup(app):
    """Sphinx calls this."""
    app.connect("doctree-resolved", link)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
