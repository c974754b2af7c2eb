"""A figure that a notebook draws has its caption as the text for whoever cannot see it, instead of a file's name."""

from docutils import nodes


def add(app, doctree):
    """Gives the caption to each image in a figure that has no text of its own."""
    for figure in doctree.findall(nodes.figure):
        for caption in figure.findall(nodes.caption):
            for image in figure.findall(nodes.image):
                image.setdefault("alt", " ".join(caption.astext().split()))


def setup(app):
    """Sphinx calls this."""
    app.connect("doctree-read", add)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
