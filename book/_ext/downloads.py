"""The download button of a page gives its notebook without outputs: what a reader runs, and a tenth of the bytes."""

from pathlib import Path

import nbformat


def strip(app, error):
    """Removes the outputs from the notebooks that the build has copied for the download buttons."""
    if error or app.builder.format != "html":
        return
    for file in Path(app.outdir, "_sources").rglob("*.ipynb"):
        notebook = nbformat.read(file, as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        nbformat.write(notebook, file)


def setup(app):
    """Sphinx calls this."""
    app.connect("build-finished", strip)
    return {"parallel_read_safe": True}
