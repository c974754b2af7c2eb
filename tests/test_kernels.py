"""Forked kernels: what a notebook shows is the same as in a kernel of its own, and an error stops it as well."""

import nbformat
import papermill
import pytest

from skdcore.study.kernels import MANAGED

CELLS = [
    "import os, sys\n'torch' in sys.modules",
    "from skdcore.study.notebook import parameters\nparameters(globals())",
    "import torch\ntorch.get_num_threads(), os.environ['GIVEN'], os.getcwd()",
    "import matplotlib.pyplot as plt\nplt.plot([1, 3, 2]);",
]
pytestmark = pytest.mark.filterwarnings("default")  # nbclient, jupyter_client and tornado warn of each other


def run(folder, cells, **how):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    notebook.metadata.kernelspec = {"name": "python3", "language": "python", "display_name": "Python 3"}
    nbformat.write(notebook, folder / "in.ipynb")
    done = papermill.execute_notebook(folder / "in.ipynb", None, cwd=folder, progress_bar=False, **how)
    return [[output.get("data", output.get("text")) for output in cell.outputs] for cell in done.cells]


@pytest.mark.skipif(not MANAGED, reason="this system does not fork")
def test_a_forked_kernel_shows_what_another_shows_and_has_the_imports(tmp_path, monkeypatch):
    monkeypatch.setenv("GIVEN", "a value")
    (forked, *shown), (other, *expected) = run(tmp_path, CELLS, **MANAGED), run(tmp_path, CELLS)
    assert (forked[0]["text/plain"], other[0]["text/plain"]) == ("True", "False")
    assert shown == expected and "image/svg+xml" in shown[-1][-1]


def test_an_error_in_a_cell_stops_the_notebook_and_the_kernel(tmp_path):
    with pytest.raises(papermill.PapermillExecutionError, match="ZeroDivisionError"):
        run(tmp_path, ["1 / 0", "open('after', 'w')"], **MANAGED)
    assert not (tmp_path / "after").exists()
