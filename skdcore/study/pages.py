"""The executed pages of the book: each notebook becomes a page, and is run again only when its inputs changed."""

import ast
import json
import os
import re
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir, closing
from pathlib import Path

import nbformat
import papermill
from dask.system import CPU_COUNT  # knows of containers
from jupyter_core.utils import ensure_event_loop

from skdcore import records
from skdcore.errors import Broken, unknown
from skdcore.records import atomically
from skdcore.study import assessment, install, kernels
from skdcore.study.contents import fingerprint, hashes
from skdcore.study.experiments import ROOT, experiment, experiments
from skdcore.sweep import ONE_THREAD, environment, sweep

HOME = "index"
# What others show is made before them: a measurement, which needs the machine for itself, and then the drawings.
TIMED, DRAWN = {"side_by_side"}, {"fig_5", "fig_8", "fig_9"}
AT_ONCE = min(4, CPU_COUNT)  # notebooks, of one thread each


class Page:
    """A page of the book in `folder`, made from the notebook `name` with the records in `results`.

    `results` is a path from the project's root; by default the notebook's own parameter decides.
    """

    def __init__(self, name, folder, results=None, root=ROOT):
        self.name, self.root = name, root
        self.template = root / "notebooks" / f"{name}.ipynb"
        self.file = Path(folder, "" if name == HOME else "experiments", f"{name}.ipynb")
        self.cells = install.cells(root) + nbformat.read(self.template, as_version=4).cells
        known = dict(_parameters(self.cells))
        self.given = {"results": results} if results and "results" in known else {}
        self.parameters = known | self.given
        self.seen = {}  # what `made_from` last was

    def made_from(self):
        """Hashes of all that the page is made from: notebook, parameters, code and records; no time and no path."""
        found = {"notebook": [[cell.cell_type, cell.metadata, cell.source] for cell in self.cells], "given": self.given}
        found |= hashes(self.root, "skdcore/**/*", "study.yml", "results/**/*")
        if "results" in self.parameters:
            found |= hashes(self.root / self.parameters["results"], "**/*", label="records/")
        return found

    def is_current(self):
        """True if the page was made from what is there now."""
        try:
            self.seen = self.made_from()
            return json.loads(self.file.read_bytes())["metadata"]["skdcore"]["fingerprint"] == fingerprint(self.seen)
        except (FileNotFoundError, ValueError, KeyError):
            return False

    def make(self):
        """Runs the notebook and writes the page, whole or not at all."""
        how = {"progress_bar": False, "extra_arguments": ["--log-level=CRITICAL"]}  # else it warns of TCP
        how |= {} if self.name in TIMED else kernels.MANAGED  # forked kernels have one thread, a measurement has all
        with closing(ensure_event_loop()):  # this thread's, which papermill would leave open
            done = papermill.execute_notebook(self.template, None, self.given, cwd=self.root, **how)
        done.cells[:0] = install.cells(self.root)  # not run here
        self._strip(done)
        self.seen = self.made_from()  # after the run: it may have left records
        self._write(done)

    def stamp(self):
        """Marks the page as current if nothing has come since but what other pages leave: drawings and benchmarks."""
        seen, now = self.seen, self.made_from()
        others = {name for name in seen.keys() | now.keys() if seen.get(name) != now.get(name)}
        if others and all("drawings/" in name or "bench/" in name for name in others):
            self.seen = now
            self._write(nbformat.read(self.file, as_version=4))

    def _write(self, page):
        page.metadata["skdcore"] = {"fingerprint": fingerprint(self.seen)}
        atomically(self.file, nbformat.writes(page).encode() + b"\n")

    def _strip(self, notebook):
        """Removes what differs between two runs of equal results: times, versions, addresses and absolute paths."""
        del notebook.metadata["papermill"]
        notebook.metadata.get("language_info", {}).pop("version", None)
        for cell in notebook.cells:
            for key in ("papermill", "execution"):
                cell.metadata.pop(key, None)
            if "injected-parameters" in cell.metadata.get("tags", []):
                cell.id = "injected-parameters"
            if cell.cell_type == "code":
                _describe(cell)
                shown = json.dumps(cell.outputs, ensure_ascii=False).replace(f"{self.root}/", "")
                shown = re.sub(rf" at 0x[0-9a-f]+|{tempfile.gettempdir()}/ipykernel_\d+/", "", shown)
                cell.outputs = [nbformat.from_dict(output) for output in json.loads(shown)]


def _describe(cell):
    """Makes the plain text of a figure the text for whoever cannot see it, and keeps each picture once."""
    for data in [output.data for output in cell.outputs if "data" in output]:
        if "image/svg+xml" in data:
            cell.metadata.setdefault("mystnb", {})["image"] = {"alt": data.pop("text/plain")}
        if "data:image/svg+xml" in data.get("text/markdown", ""):
            data.pop("text/html", None)


def _parameters(cells):
    """Name and default of each `name: type = default` in the parameters cell."""
    for cell in cells:
        if "parameters" in cell.metadata.get("tags", []):
            for node in ast.parse(cell.source).body:
                if isinstance(node, ast.AnnAssign):
                    yield node.target.id, ast.literal_eval(node.value)


def make(folder, results=None, only=None, root=ROOT):
    """Makes the pages of the book in `folder`, all or `only` some, and returns the names of those that failed.

    The runs of tables that outdated pages show are trained first, in one sweep.  Once all pages that may leave records
    are made, the claims and their verdicts are written beside the records in `results`, where that is given.
    A notebook that fails is reported on stderr; its old page stays, and the others are still made.
    Raises FileNotFoundError for a folder of records that is not there.
    """
    names = {file.stem for file in (root / "notebooks").glob("*.ipynb")}
    for name in only or []:
        if name not in names:
            raise unknown("notebook", name, names)
    results, folder = results and records.folder(results).resolve(), Path(folder).resolve()
    given = results and os.path.relpath(results, root)
    pages = [Page(name, folder, given, root) for name in sorted(only or names)]
    first, drawn = ([page for page in pages if page.name in some] for some in (TIMED, DRAWN))
    if outdated := [page for page in pages if not page.is_current()]:
        kernels.prepare()  # before a sweep starts that process with fewer imports
        _train(outdated)
    failed = _made(first, map)
    # One thread each, so kernels side by side need not wait.  Papermill changes the folder of all threads, and back.
    with chdir(root), environment(ONE_THREAD), ThreadPoolExecutor(AT_ONCE) as pool:
        failed += _made(drawn, pool.map)
        if results:
            assessment.write(results)
        for page in first + drawn:
            if page.name not in failed:
                page.stamp()
        failed += _made([page for page in pages if page not in first + drawn], pool.map)
    return failed


def _made(pages, map_):
    """Makes pages and returns the names of those that failed."""
    return [page.name for page, good in zip(pages, map_(_report, pages), strict=True) if not good]


def _train(pages):
    """Trains the runs of the pages that are an experiment's, so that each page sees the records of all."""
    runs, every = {}, experiments()
    for page in pages:
        if page.name in every:
            given = page.parameters
            asked = {key: given[key] for key in ("dataset", "models", "seeds", "epochs", "precision")}
            how = page.root / given["results"], given["root"], given["scheduler"]
            runs.setdefault(how, []).extend(every[page.name].runs(**asked))
    for (results, root, scheduler), missing in runs.items():
        try:  # the notebook that shows a run which cannot be trained will fail, the others need not
            sweep(missing, results=results, root=root, scheduler=scheduler)
        except (ValueError, OSError, Broken) as error:
            print(error, file=sys.stderr)


def _report(page):
    """Makes a page unless it is current, says so in a line, and returns whether that went well."""
    began, how = time.monotonic(), "unchanged"
    try:
        if not page.is_current():
            page.make()
            how = f"{time.monotonic() - began:.1f} s"
    except Exception as error:  # whatever it is, the other pages are still made
        how = "failed"
        print(f"{page.template.name}: {_reason(error)}", file=sys.stderr, flush=True)
    print(f"{page.name:14} {how}\n", end="", flush=True)  # one write, as others print, too
    return how != "failed"


def _reason(error):
    """What went wrong, in one line, with the cell if it was in one."""
    if not isinstance(error, papermill.PapermillExecutionError):
        return f"{type(error).__name__}: {error}"
    where = f"In [{error.exec_count}], {error.source.strip().splitlines()[0]!r}"
    return f"{where}: {error.ename}: {error.evalue}"


def picture(file):
    """Draws the README's picture, the gains of Table I in the regime `full`, from the committed records."""
    from skdcore.study import evidence, figures
    from skdcore.study.experiments import regime

    table, chosen = experiment("table_1"), regime("full")
    figure = figures.gains({one.title: one.compare(table) for one in evidence.on(table, chosen)})
    if figure is None:
        raise FileNotFoundError(f"there is no record of Table I in the regime {chosen.id} under {evidence.RESULTS}")
    figure.savefig(file, dpi=120)
