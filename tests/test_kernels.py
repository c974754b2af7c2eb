"""Forked kernels: what a notebook shows is the same as in a kernel of its own, and an error stops it as well."""

import signal
import time
from contextlib import suppress
from pathlib import Path

import nbformat
import papermill
import psutil
import pytest

from skdcore.study.kernels import MANAGED

CELLS = [
    "import os, sys\n'torch' in sys.modules",
    "from skdcore.study.notebook import parameters\nparameters(globals())",
    "import torch\ntorch.get_num_threads(), os.environ['GIVEN'], os.getcwd()",
    "import matplotlib.pyplot as plt\nplt.plot([1, 3, 2]);",
]
WRITES = "import os\nopen('pid', 'w').write(str(os.getpid()));"
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
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (forked, *shown), (other, *expected) = run(tmp_path, CELLS, **MANAGED), run(tmp_path, CELLS)
    assert (forked[0]["text/plain"], other[0]["text/plain"]) == ("True", "False")
    assert shown == expected and "image/svg+xml" in shown[-1][-1]


def test_an_error_in_a_cell_stops_the_notebook_and_ends_the_kernel(tmp_path):
    with pytest.raises(papermill.PapermillExecutionError, match="ZeroDivisionError"):
        run(tmp_path, [WRITES, "1 / 0"], **MANAGED)
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


@pytest.mark.skipif(not MANAGED, reason="this system does not fork")
def test_a_forked_kernel_hears_an_interrupt_and_ends_with_its_parent(tmp_path, python):
    script = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from test_kernels import WRITES, MANAGED, run
if __name__ == "__main__":
    run(Path({str(tmp_path)!r}), [WRITES, "import time; time.sleep(99)"], **MANAGED)
"""
    (tmp_path / "script.py").write_text(script)
    parent = python(tmp_path / "script.py")
    kernel = psutil.Process(int(until(lambda: (tmp_path / "pid").read_text())))
    masked = next(line for line in Path(f"/proc/{kernel.pid}/status").read_text().splitlines() if "SigBlk" in line)
    assert not int(masked.split()[1], 16) & 1 << signal.SIGINT - 1
    parent.kill()
    kernel.wait(20)


def until(value, seconds=90):
    """What a function gives once it raises no FileNotFoundError and is not empty."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with suppress(FileNotFoundError):
            if found := value():
                return found
        time.sleep(0.1)
    raise AssertionError("nothing came")
