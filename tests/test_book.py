"""The book builds without a warning, and its pages work in a browser with the network cut."""

import functools
import http.server
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
import yaml
from filelock import FileLock

from skdcore import bench
from skdcore.study import body, install, sentences, tables, variance
from skdcore.study.experiments import RESULTS, ROOT, experiment, experiments
from skdcore.study.time_and_storage import TimeAndStorage, finding
from skdcore.study.variance import Variance

CONTENTS = yaml.safe_load((ROOT / "book/_toc.yml").read_text())
PAGES = ["index"] + [entry["file"] for part in CONTENTS["parts"] for entry in part["chapters"]]
FIRST_LOAD, WHOLE = 1_500_000, 12_000_000  # bytes


@pytest.fixture(scope="session")
def site(shared):
    """The committed pages, built as `jupyter-book build book/` does, with warnings as errors; once for all workers."""
    folder, new = shared("book"), shared("unbuilt")
    with FileLock(shared("book.lock")):
        if not folder.exists():
            for name in ("book", "skdcore"):
                shutil.copytree(ROOT / name, new / name, dirs_exist_ok=True)
            shutil.copy(ROOT / "_config.yml", new)
            command = [Path(sys.executable).with_name("jupyter-book"), "build", "book/", "-W", "-n", "--keep-going"]
            built = subprocess.run(command, cwd=new, capture_output=True, text=True)
            assert built.returncode == 0, built.stdout[-3000:] + built.stderr[-3000:]
            new.rename(folder)
    return folder / "_build/html"


@pytest.fixture(scope="session")
def address(site):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=site))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_every_page_of_the_contents_is_built(site):
    assert [page for page in PAGES if not (site / f"{page}.html").exists()] == []


def test_a_page_offers_its_notebook_without_outputs(site):
    for page in PAGES:
        if (made := ROOT / f"book/{page}.ipynb").exists():
            offered, shown = (nbformat.read(file, 4) for file in (site / f"_sources/{page}.ipynb", made))
            assert [cell.source for cell in offered.cells] == [cell.source for cell in shown.cells]
            assert not any(cell.get("outputs") for cell in offered.cells)


def test_the_site_is_small(site):
    assert sum(file.stat().st_size for file in site.rglob("*") if file.is_file()) < WHOLE
    assert not list(site.rglob("*.map"))


def test_equations_carry_the_papers_numbers(site):
    text = "".join((site / f"{page}.html").read_text() for page in PAGES)
    numbers = re.findall(r'<span class="eqno">\((\d+)\)', text)
    assert numbers == [str(n) for n in range(1, 14)]


def test_no_directive_is_left_as_text(site):
    """A table with a backtick in its caption is a code block to MyST, and swallows what follows without a warning."""
    left = r"\{(list-table|math|code-block|literalinclude|figure|table|doc|numref|eq|cite)\}"
    for page in PAGES:
        shown = re.sub(r"<(script|style).*?</\1>", "", (site / f"{page}.html").read_text(), flags=re.DOTALL)
        assert not re.findall(left, shown), page


def test_pages_name_no_script_or_style_from_outside(site):
    for page in PAGES:
        loaded = re.findall(
            r'<(?:script|link|img)[^>]+(?:src|href)="(https?:[^"]+)"', (site / f"{page}.html").read_text()
        )
        assert loaded == [], page


def test_the_number_of_a_question_leads_to_its_row(site):
    rows = set(re.findall(r'id="(q\d+)"', (site / "differences.html").read_text()))
    texts = {page: (site / f"{page}.html").read_text() for page in PAGES if page != "differences"}
    led = {page: re.findall(r'href="[^"]*differences\.html#(q\d+)">(Q\d+)<', text) for page, text in texts.items()}
    assert len(led["experiments/claims"]) > 5
    assert all(row in rows and row == number.lower() for found in led.values() for row, number in found)


def test_every_image_has_a_text_for_whoever_cannot_see_it_and_none_a_files_name(site):
    for page in PAGES:
        images = re.findall(r"<img[^>]*>", (site / f"{page}.html").read_text())
        texts = [re.search(r'alt="([^"]*)"', image) for image in images]
        assert all(text and len(text[1]) > 15 and not re.search(r"\.(png|svg)$", text[1]) for text in texts), page


@pytest.mark.parametrize("page", PAGES)
def test_page_works_in_a_browser_without_a_network_and_looks_right(browser, site, address, screen, page):
    events = browser.visit(f"{address}/{page}.html", ready="document.readyState === 'complete'")
    asked = [e["params"]["request"]["url"] for e in events if e.get("method") == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith((address, "data:", f"blob:{address}"))] == []
    failed = [e["params"] for e in events if e.get("method") in ("Runtime.exceptionThrown", "Network.loadingFailed")]
    errors = [e["params"]["entry"]["text"] for e in events if e.get("method") == "Log.entryAdded"]
    said = [e["params"] for e in events if e.get("method") == "Runtime.consoleAPICalled"]
    assert failed == [] and errors == [] and [e for e in said if e["type"] == "error"] == []
    assert browser.evaluate("document.querySelectorAll('meta[name=viewport]').length") == 1
    assert browser.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    files = [site / unquote(urlsplit(url).path)[1:] for url in asked if url.startswith(address)]
    assert sum(file.stat().st_size for file in files if file.is_file()) < FIRST_LOAD
    looks_right(browser, screen)


WIDER = """[...document.querySelectorAll('.bd-article *')].filter(e => {
    if (e.getBoundingClientRect().right <= innerWidth + 1) return false;
    for (let at = e; at; at = at.parentElement)
        if (['auto', 'scroll', 'hidden', 'clip'].includes(getComputedStyle(at).overflowX)) return false;
    return true;
}).map(e => e.outerHTML.slice(0, 100))"""
TWICE = """[...document.querySelectorAll('[id]')].map(e => e.id).filter((id, at, all) => all.indexOf(id) !== at)"""
VIOLATIONS = """axe.run(WHERE, {
    resultTypes: ['violations'], rules: {'color-contrast': {enabled: CONTRAST}}
}).then(found => found.violations
    .filter(one => ['serious', 'critical'].includes(one.impact))
    .map(one => one.id + ': ' + one.nodes[0].html.slice(0, 200)))"""
CONTRASTS = ("index", "experiments/table_1", "methods")  # all pages have one style; looking for contrasts takes long


@pytest.fixture
def screen(browser):
    """Gives the browser a screen, and the usual one back."""
    yield browser.screen
    browser.screen(1280)


def violations(browser, contrast):
    """What axe calls serious or critical on the page that is open, with or without looking at contrasts."""
    package = pytest.importorskip("axe_core_python", reason="axe-core-python is not installed")
    browser.evaluate(Path(package.__file__).with_name("axe.min.js").read_text() + "; 1")
    where = "'main'" if contrast else "document"  # the theme fades its own bar in
    return browser.evaluate(VIOLATIONS.replace("CONTRAST", str(contrast).lower()).replace("WHERE", where))


def looks_right(browser, screen):
    """No id of the open page is there twice, nothing is wider than the screen, and axe finds nothing serious."""
    assert browser.evaluate(TWICE) == []
    assert violations(browser, contrast=False) == []
    for width in (390, 1280):
        screen(width)
        assert browser.evaluate(WIDER) == [], width


def test_run_pages_look_right(browser, site, address, screen):
    runs = sorted(file.relative_to(site).as_posix() for file in (site / "runs").rglob("*.html"))
    for page in runs[:: len(runs) // 3][:3]:
        browser.visit(f"{address}/{page}")
        looks_right(browser, screen)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_no_weak_contrast(browser, address, screen, dark):
    screen(1280, dark)
    for page in CONTRASTS:
        browser.visit(f"{address}/{page}.html")
        assert violations(browser, contrast=True) == [], page


def test_a_table_sorts_by_the_numbers_of_a_column_and_back(browser, address):
    browser.visit(f"{address}/experiments/table_1.html")
    sort = """(() => {
        const gains = one => /gain over vanilla/.test(one.textContent);
        const table = [...document.querySelectorAll('table.table')].find(gains);
        const column = [...table.tHead.rows[0].cells].findIndex(gains);
        const head = table.tHead.rows[0].cells[column];
        head.querySelector('button').click();
        const shown = [...table.tBodies[0].rows].map(row => parseFloat(row.cells[column].textContent));
        return [head.ariaSort, shown.filter(value => !isNaN(value))];
    })()"""
    for way, reverse in (("ascending", False), ("descending", True)):
        said, shown = browser.evaluate(sort)
        assert said == way and len(shown) > 2 and shown == sorted(shown, reverse=reverse)


def test_all_runs_are_filtered_by_words_and_the_rows_that_are_left_are_saved(browser, address):
    browser.visit(f"{address}/experiments/runs.html")
    whole, rows, lines = browser.evaluate("""(() => {
        const table = document.querySelector('table.filtered');
        const box = table.previousElementSibling.querySelector('input');
        const whole = table.tBodies[0].rows.length;
        box.value = 'dlb n=50';
        box.dispatchEvent(new Event('input'));
        const shown = [...table.tBodies[0].rows].filter(row => !row.hidden).map(row => row.textContent);
        return [whole, shown, saved(table).trim().split('\\n').length];
    })()""")
    assert 0 < len(rows) < whole and lines == len(rows) + 1
    assert all("dlb" in row and "n=50" in row for row in rows)


def test_search_finds_a_page(browser, address):
    browser.visit(
        f"{address}/search.html?q=temperature", ready="document.querySelectorAll('#search-results li').length > 0"
    )


@pytest.mark.parametrize("page", [page for page in PAGES if (ROOT / f"book/{page}.ipynb").exists()])
def test_committed_page_is_its_template_with_outputs(page):
    done = nbformat.read(ROOT / f"book/{page}.ipynb", as_version=4)
    template = nbformat.read(ROOT / f"notebooks/{page.split('/')[-1]}.ipynb", as_version=4)
    sources = [cell.source for cell in done.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    assert sources == [cell.source for cell in install.cells(ROOT) + template.cells]
    assert any(cell.get("outputs") for cell in done.cells)


def test_costs_on_the_committed_page_come_from_committed_records():
    cells = nbformat.read(ROOT / "book/experiments/side_by_side.ipynb", as_version=4).cells
    shown = {output.get("data", {}).get("text/markdown") for cell in cells for output in cell.get("outputs", [])}
    ours, paper = (bench.kept(RESULTS, model) for model in ("resnet10_w16", "resnet18"))
    assert any(tables.step_costs(record, "tab-costs-run")._repr_markdown_() in shown for record in ours)
    assert all(tables.step_costs(record, f"tab-costs-{n}")._repr_markdown_() in shown for n, record in enumerate(paper))


def shown_on(page):
    """The Markdown that the cells of a committed page print."""
    cells = nbformat.read(ROOT / f"book/{page}.ipynb", as_version=4).cells
    return "".join(
        output.get("data", {}).get("text/markdown", "") for cell in cells for output in cell.get("outputs", [])
    )


def test_figures_3_and_4_are_those_of_the_committed_records():
    figure_3, figure_4 = Variance(), TimeAndStorage()
    for page, block, said in ((3, figure_3, variance.finding(figure_3.found)), (4, figure_4, finding(figure_4))):
        shown = shown_on(f"experiments/fig_{page}")
        assert shown.startswith(said) and block._repr_markdown_() in shown
    alts = [picture.alt for picture in (variance.curves(figure_3.runs), variance.coefficients(figure_3.found))]
    assert all(f":alt: {alt}\n" in shown_on("experiments/fig_3") for alt in alts)


@pytest.mark.parametrize("page", ["fig_3", "fig_4"])
def test_a_picture_that_a_cell_prints_has_its_text_and_no_number_that_the_paper_could_have(site, page):
    text = (site / f"experiments/{page}.html").read_text()
    images = re.findall(r'<img[^>]+src="data:image/svg[^>]+>', text)
    assert images and all(re.search(r'alt="[^"]{40,}"', image) for image in images)
    assert re.findall(r'class="caption-number">([^<]*)<', text) != [] and not re.search(r'caption-number">\s*\w', text)


@pytest.mark.parametrize("name", experiments())
def test_numbers_of_a_committed_page_come_from_committed_records(name):
    assert body.committed(name)._repr_markdown_() in shown_on(f"experiments/{name}")


def test_the_home_page_answers_from_committed_records():
    shown, table_1 = shown_on("index"), experiment("table_1")
    assert sentences.answer(table_1) in shown and sentences.by_regime(table_1, RESULTS) in shown
