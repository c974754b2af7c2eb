"""The pages of the book are made from the notebooks, and again only when what they are made from changed."""

import asyncio
import os
import re
import shutil
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from skdcore.errors import Broken
from skdcore.study import assessment, pages, run_pages
from skdcore.study.__main__ import main
from skdcore.study.experiments import RESULTS
from skdcore.study.pages import Page, make

pytestmark = pytest.mark.filterwarnings("default")  # nbclient, jupyter_client and tornado warn of each other
SHOW = "import os\nprint(sorted(os.listdir(results)), object(), os.path.abspath('deep'))"
WARN = "import warnings\nwarnings.warn('so it is')"


def write(file, text):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def write_notebook(root, name, *sources, parameters='results: str = "_build/results"'):
    cells = [new_code_cell(source, id=f"{name}-{place}") for place, source in enumerate([parameters, *sources])]
    cells[0].metadata["tags"] = ["parameters"]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    write(root / f"notebooks/{name}.ipynb", nbformat.writes(new_notebook(cells=cells, metadata={"kernelspec": kernel})))


@pytest.fixture(autouse=True)
def claims(monkeypatch):
    """The claims are not assessed; gives the folders in which they would have been written."""
    written = []
    monkeypatch.setattr(assessment, "write", written.append)
    return written


@pytest.fixture
def root(tmp_path):
    """A small project: two notebooks, a line of code, a committed record and one of this machine."""
    root = tmp_path / "project"
    write_notebook(root, "one", SHOW, WARN)
    write_notebook(root, "index", "print(results)")
    write(root / "skdcore/code.py", "1")
    write(root / "study.yml", "rows: []")
    write(root / "_config.yml", "repository: {url: ''}")
    write(root / "results/glyphs/0.json", "{}")
    write(root / "_build/results/glyphs/1.json", "{}")
    return root


@pytest.fixture
def ran(monkeypatch):
    """Notebooks are not run; gives the names of those that would have been."""
    ran = []
    monkeypatch.setattr(Page, "make", lambda page: ran.append(page.name))
    monkeypatch.setattr(Page, "stamp", lambda page: None)
    return ran


def test_each_notebook_becomes_a_page_and_is_not_run_again_while_nothing_changed(root, tmp_path, capsys):
    folder = tmp_path / "new/book"
    assert make(folder, root=root) == []
    out = capsys.readouterr().out
    assert {re.sub(r" +\d+\.\d s$", "", line) for line in out.splitlines()} == {"one", "index"}
    one = nbformat.read(folder / "experiments/one.ipynb", as_version=4)
    assert one.cells[1].outputs[0].text == "['glyphs'] <object object> deep\n"
    assert "_build/results" in (folder / "index.ipynb").read_text()
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*")}
    assert make(folder, root=root) == []
    assert {tuple(line.split()) for line in capsys.readouterr().out.splitlines()} == {
        ("one", "unchanged"),
        ("index", "unchanged"),
    }
    assert before == {file: file.stat().st_mtime_ns for file in folder.rglob("*")}


def test_no_event_loop_is_left_open(root, tmp_path, monkeypatch):
    loops, new = [], asyncio.new_event_loop
    monkeypatch.setattr(asyncio, "new_event_loop", lambda: loops.append(new()) or loops[-1])
    assert make(tmp_path / "book", root=root) == []
    assert loops
    assert all(loop.is_closed() for loop in loops)


def test_two_runs_of_a_notebook_give_the_same_file_without_a_path_an_address_or_a_time(root, tmp_path):
    write_notebook(root, "one", SHOW, WARN, "'/' * 10**6")  # as long as a picture: looking for paths must not take long
    books = tmp_path / "a", tmp_path / "b"
    for book in books:
        make(book, results=root / "results", only=["one"], root=root)
    one, other = ((book / "experiments/one.ipynb").read_text() for book in books)
    assert one == other
    assert 'results = \\"results\\"' in one and "<object object> deep" in one and "UserWarning: so it is" in one
    assert not re.search(f"{tmp_path}|0x[0-9a-f]|duration|_time|iopub", one)


def test_a_page_of_a_published_book_begins_with_the_cell_that_installs_which_is_not_run(root, tmp_path):
    write(root / "_config.yml", "repository: {url: 'https://github.com/a/b'}")
    make(tmp_path, only=["one"], root=root)
    first, *rest = nbformat.read(tmp_path / "experiments/one.ipynb", as_version=4).cells
    assert "https://github.com/a/b" in first.source and first.outputs == [] and "remove-cell" in first.metadata["tags"]
    assert all(cell.execution_count for cell in rest)
    assert Page("one", tmp_path, root=root).is_current()


def test_a_notebook_that_fails_is_named_with_its_cell_keeps_its_page_and_the_others_are_made(root, tmp_path, capsys):
    write_notebook(root, "one", "x = 1", "shown = 2\nraise KeyError('no such row')")
    write(tmp_path / "experiments/one.ipynb", "the old page")
    assert make(tmp_path, root=root) == ["one"]
    out, err = capsys.readouterr()
    assert re.search(r"^one +failed$", out, re.M) and re.search(r"^index +\d+\.\d s$", out, re.M)
    assert "one.ipynb: In [3], 'shown = 2': KeyError: 'no such row'\n" in err
    assert (tmp_path / "experiments/one.ipynb").read_text() == "the old page"
    assert not list(tmp_path.rglob("*.tmp"))


CHANGES = {
    "a cell": lambda root: write_notebook(root, "one", SHOW),
    "a parameter": lambda root: write_notebook(root, "one", SHOW, WARN, parameters='results: str = "results"'),
    "the code": lambda root: write(root / "skdcore/code.py", "2"),
    "a new module": lambda root: write(root / "skdcore/study/new.py", ""),
    "a data file of the code": lambda root: write(root / "skdcore/study/schema.yml", "rows"),
    "study.yml": lambda root: write(root / "study.yml", "rows: [drg]"),
    "the address": lambda root: write(root / "_config.yml", "repository: {url: 'https://github.com/a/b'}"),
    "a committed record": lambda root: write(root / "results/glyphs/0.json", "[]"),
    "a new committed record": lambda root: write(root / "results/glyphs/2.json", "{}"),
    "a record of this machine": lambda root: write(root / "_build/results/glyphs/1.json", "[]"),
    "a record that is gone": lambda root: (root / "_build/results/glyphs/1.json").unlink(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_page_is_outdated_by(change, root, tmp_path):
    before = Page("one", tmp_path, root=root).made_from()
    change(root)
    assert Page("one", tmp_path, root=root).made_from() != before


def test_a_page_is_outdated_by_another_value_of_its_parameter(root, tmp_path):
    given, default = (Page("one", tmp_path, results, root).made_from() for results in ("results", None))
    assert given != default


def test_a_page_is_not_outdated_by_another_place_outputs_or_what_a_run_leaves_beside_its_record(root, tmp_path):
    before = Page("one", tmp_path, root=root).made_from()
    moved = shutil.copytree(root, tmp_path / "elsewhere/teachers")
    for name in ("glyphs/0.lock", "glyphs/0.weights.pt", "glyphs/0.json.7.tmp", "teachers/glyphs/0.json"):
        write(moved / "results" / name, "x")
    write(moved / "skdcore/__pycache__/code.py", "x")
    write(moved / "notebooks/two.ipynb", "x")
    assert Page("one", tmp_path / "other", root=moved).made_from() == before


@pytest.mark.parametrize(
    "text", ["", "[1", "{}", '{"metadata": {}}', '{"metadata": {"skdcore": {"fingerprint": "0"}}}']
)
def test_a_page_without_the_fingerprint_is_outdated(root, tmp_path, text):
    write(tmp_path / "experiments/one.ipynb", text)
    assert not Page("one", tmp_path, root=root).is_current()


def test_the_measurement_is_made_first_and_then_the_drawings(root, tmp_path, ran):
    for name in ("a", "fig_9", "side_by_side", "z"):
        write_notebook(root, name)
    make(tmp_path, root=root)
    assert ran[:2] == ["side_by_side", "fig_9"] and sorted(ran[2:]) == ["a", "index", "one", "z"]


def test_what_earlier_pages_leave_is_seen_by_later_ones_and_outdates_no_page(root, tmp_path, monkeypatch, capsys):
    """Nor do the claims, which are written when all records are there."""
    leave = "import pathlib\nfile = pathlib.Path(results, 'drawings/{0}.npz')\nfile.parent.mkdir(exist_ok=True)\n"
    leave += "file.exists() or file.write_text('{0}')\n{1}"
    for name in ("fig_5", "side_by_side", "fig_8"):
        write_notebook(root, name, leave.format(name, SHOW), parameters='results: str = "results"')
    monkeypatch.setattr(
        assessment, "write", lambda folder: write(folder / "claims.json", str(sorted(os.listdir(folder / "drawings"))))
    )
    assert make(tmp_path, results=root / "results", root=root) == []
    assert (root / "results/claims.json").read_text() == "['fig_5.npz', 'fig_8.npz', 'side_by_side.npz']"
    capsys.readouterr()
    (root / "results/claims.json").write_text("")
    assert make(tmp_path, results=root / "results", root=root) == []
    assert {line.split()[1] for line in capsys.readouterr().out.splitlines()} == {"unchanged"}


def test_a_page_that_has_not_seen_a_new_record_is_not_marked_as_current(root, tmp_path):
    page = Page("one", tmp_path, root=root)
    page.make()
    write(root / "results/drawings/x.npz", "1")
    page.stamp()
    assert Page("one", tmp_path, root=root).is_current()
    write(root / "results/drawings/y.npz", "1")
    write(root / "results/glyphs/3.json", "{}")
    page.stamp()
    assert not Page("one", tmp_path, root=root).is_current()


def test_a_folder_of_records_that_is_not_there_is_named_before_anything_is_trained(root, tmp_path, ran):
    with pytest.raises(FileNotFoundError, match="resultz: no such folder of records"):
        make(tmp_path, results=root / "resultz", root=root)
    assert ran == []


def test_the_measurement_has_all_threads_and_notebooks_side_by_side_one_each(root, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    for name in ("one", "side_by_side"):
        write_notebook(root, name, "import os\nprint(os.environ['OMP_NUM_THREADS'])")
    assert make(tmp_path, root=root) == []
    for name, threads in (("side_by_side", "7"), ("one", "1")):
        page = nbformat.read(tmp_path / f"experiments/{name}.ipynb", as_version=4)
        assert page.cells[1].outputs[0].text == f"{threads}\n"
    assert os.environ["OMP_NUM_THREADS"] == "7", "as before"


def test_a_relative_folder_is_one_of_the_folder_where_the_command_was_given(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert make("book", root=root) == []
    assert sorted(page.name for page in Path("book").rglob("*.ipynb")) == ["index.ipynb", "one.ipynb"]
    assert not (root / "book").exists()


def test_notebooks_side_by_side_have_the_projects_folder_and_the_process_keeps_its_own(root, tmp_path):
    before = os.getcwd()
    for name, seconds in (("one", 0.6), ("two", 0), ("index", 1.2)):  # they begin together and end one by one
        write_notebook(root, name, f"import os, time\ntime.sleep({seconds})\nprint(os.getcwd() == {str(root)!r})")
    assert make(tmp_path, root=root) == [] and os.getcwd() == before
    for name in ("experiments/one", "experiments/two", "index"):
        page = nbformat.read(tmp_path / f"{name}.ipynb", as_version=4)
        assert page.cells[1].outputs[0].text == "True\n", name


def test_all_that_outdated_pages_show_is_trained_in_one_sweep_before_the_first_is_run(root, tmp_path, ran, monkeypatch):
    for name, seeds in (("table_1", [0, 1]), ("table_4", [0])):
        given = (
            'dataset: str = "glyphs"\nmodels: list[str] = ["resnet10_w16"]\nepochs: int = 2\nprecision: str = "fp32"'
        )
        given += f'\nseeds: list[int] = {seeds}\nresults: str = "_build/results"\nroot: str = "/lab/data"'
        given += "\nscheduler: None = None"
        write_notebook(root, name, parameters=given)
    swept = []
    monkeypatch.setattr(pages, "sweep", lambda runs, **how: swept.append((list(ran), runs, how)))
    make(tmp_path, root=root)
    ((before, runs, how),) = swept
    assert before == []
    assert how == {"results": root / "_build/results", "root": "/lab/data", "scheduler": None}
    assert {(run.method, run.seed) for run in runs} >= {("dsr", 1), ("drg(k=1)+dsr", 0)}
    assert {(run.dataset, run.model, run.epochs, run.precision) for run in runs} == {
        ("glyphs", "resnet10_w16", 2, "fp32")
    }
    monkeypatch.setattr(Page, "is_current", lambda page: True)
    make(tmp_path, root=root)
    assert len(swept) == 1, "current pages need no training"


@pytest.mark.parametrize("error", [ValueError, Broken, FileNotFoundError])
def test_a_run_that_cannot_be_trained_leaves_the_other_pages_to_be_made(
    root, tmp_path, ran, monkeypatch, capsys, error
):
    given = 'dataset: str = "glyphs"\nmodels: list[str] = ["resnet10_w16"]\nepochs: int = 2\nprecision: str = "fp32"'
    given += '\nseeds: list[int] = [0]\nresults: str = "_build/results"\nroot: None = None\nscheduler: None = None'
    write_notebook(root, "table_1", parameters=given)

    def sweep(runs, **how):
        raise error("the disk is full")

    monkeypatch.setattr(pages, "sweep", sweep)
    make(tmp_path, root=root)
    assert "one" in ran and "the disk is full" in capsys.readouterr().err


def test_the_claims_are_written_beside_the_records_where_their_folder_is_given(root, tmp_path, ran, claims):
    make(tmp_path, root=root)
    assert claims == []
    make(tmp_path, results=root / "results", only=["one"], root=root)
    assert claims == [root / "results"]


def test_an_unknown_notebook_is_refused_and_the_near_one_is_named(root, tmp_path, ran):
    with pytest.raises(ValueError, match="unknown notebook 'indx'; did you mean index"):
        make(tmp_path, only=["one", "indx"], root=root)
    assert ran == []


@pytest.mark.parametrize(("failed", "status"), [([], 0), (["table_1"], 1)])
def test_the_exit_status_says_whether_a_notebook_failed(monkeypatch, failed, status):
    asked = []
    monkeypatch.setattr(pages, "make", lambda *given: asked.append(given) or failed)
    monkeypatch.setattr(run_pages, "make", lambda *given: asked.append(given) or 0)
    assert main(["pages", "book", "--results", "results", "--only", "table_1", "index"]) == status
    assert asked == [("book", "results", ["table_1", "index"]), ("book", RESULTS, "results")]


def test_bad_input_is_one_line_on_stderr_and_exits_2(capsys):
    assert main(["pages", "book", "--only", "table_7"]) == 2
    assert capsys.readouterr().err.startswith("skdcore.study: unknown notebook 'table_7'; did you mean table_")


@pytest.mark.parametrize("command", ["pages", "picture", "labels"])
def test_every_command_has_help_that_says_what_it_does(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    shown = capsys.readouterr().out
    assert ended.value.code == 0 and len(shown.splitlines()) >= 6 and "records" in shown


def test_the_picture_is_drawn_from_the_committed_records(tmp_path, capsys):
    assert main(["picture", str(tmp_path / "picture.png")]) == 0
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out == f"kept in {tmp_path / 'picture.png'}\n"
    assert main(["picture", str(tmp_path)]) == 2 and "ends in .png" in capsys.readouterr().err
