"""The site without the theme's source maps, a tenth of its bytes: only someone who debugs the theme loads them."""

from pathlib import Path


def remove(app, error):
    """Removes them from what the build has copied."""
    if not error and app.builder.format == "html":
        for file in Path(app.outdir, "_static").rglob("*.map"):
            file.unlink()


def setup(app):
    """Sphinx calls this."""
    app.connect("build-finished", remove)
    return {"parallel_read_safe": True}
