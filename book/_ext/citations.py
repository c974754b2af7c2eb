"""The bibliography without the role of a list, as its entries have the role of entries and none of items."""


def without_role(app, page, template, context, doctree):
    """Removes the role that docutils writes, which a screen reader would announce as an empty list."""
    if "body" in context:
        context["body"] = context["body"].replace('<div role="list" class="citation-list">', "<div>")


def setup(app):
    """Sphinx calls this."""
    app.connect("html-page-context", without_role)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
