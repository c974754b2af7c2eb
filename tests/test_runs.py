"""From any number to its run: the run pages, the links that lead to them, and the page of all runs."""

import json
import os
import random
import re
import shlex
from pathlib import Path
from urllib.parse import unquote

import nbformat
import numpy as np
import pandas
import pytest
from bs4 import BeautifulSoup

from skdcore import records
from skdcore.__main__ import parser, runs
from skdcore.methods import METHODS
from skdcore.study import all_runs, curves, predictions, run_pages
from skdcore.study.descriptions import descriptions
from skdcore.study.display import Table
from skdcore.study.experiments import RESULTS, ROOT
from skdcore.study.links import run_page, to_sections
from skdcore.study.tables import listing
from skdcore.train import Run

HOSTILE = '<script>alert("x")</script> & "y"\n| `z`'
LABELS = np.uint8([0, 1, 2, 2])  # three of these four right are 75 %
VANILLA, DRG = np.uint8([0, 1, 1, 1]), np.uint8([0, 2, 2, 2])  # 50 % and 75 %
EXTRA = ROOT / "book/_extra"  # as the site's root has it
COMMITTED = sorted(EXTRA.rglob("*.html"))


def read(file):
    return BeautifulSoup(Path(file).read_text(), "html.parser")


def contents(folder):
    return {file.relative_to(folder): file.read_bytes() for file in Path(folder).rglob("*.*") if file.is_file()}


def page_of(folder, settings):
    return folder / "_extra" / unquote(run_page(settings))


def rows(page, heading):
    """{head of a row: its cells} of the tables under a heading."""
    found = {}
    for element in page.find("h2", string=heading).find_next_siblings():
        if element.name == "h2":
            break
        for row in element.find_all("tr"):
            found[row.find(["th", "td"]).text] = [cell.text for cell in row.find_all("td")]
    return found


@pytest.fixture
def book(tmp_path_factory):
    return tmp_path_factory.mktemp("book")


@pytest.fixture
def made(ran, book):
    """Makes the run pages of some records of the regime `full`, changed by a function, and gives one of vanilla."""

    def made(change=lambda record: None, **accuracies):
        accuracies = accuracies or {"vanilla": [52.0, 53.0]}
        results = ran("full", **accuracies)
        found = records.under(results)
        for record in found:
            records.path(results, record["run"]).unlink()
            change(record)
            records.write(records.path(results, record["run"]), record)
        assert run_pages.make(book, results) == len(accuracies)
        return read(page_of(book, found[0]["run"]))

    return made


def test_the_metrics_are_those_of_the_records_with_their_mean(made):
    def change(record):
        record["final"] |= {"nll": 1.23456, "train_accuracy": 90.0 + record["run"]["seed"], "nll_scaled": 1.1}

    shown = rows(made(change), "Final metrics")
    assert shown["test accuracy, %"] == ["52.00", "53.00", "52.50 ± 0.71"]
    assert shown["training accuracy, %"] == ["90.00", "91.00", "90.50 ± 0.71"]
    assert shown["NLL, nats"] == ["1.2346", "1.2346", "1.2346 ± 0.0000"]
    assert shown["scaled NLL, nats"][0] == "1.1000" and shown["scaled ECE"] == ["not recorded", "not recorded", ""]


def test_what_made_a_run_is_shown_and_what_an_old_record_lacks_is_not_recorded(made):
    def change(record):
        if record["run"]["seed"]:
            record["provenance"] |= {"commit": "abc", "clean": False}

    shown = rows(made(change), "How it was made")
    assert shown["commit"] == ["not recorded", "abc"]
    assert shown["nothing changed since the commit"] == ["not recorded", "no"]
    assert (
        shown["minutes"] == ["1.0", "1.0"]
        and shown["threads"] == ["1", "1"]
        and shown["hash of the core"] == ["x", "x"]
    )


def test_curves_hold_the_points_of_the_record_and_say_where_they_end(made, tmp_path):
    page = made()
    (record, _) = records.under(tmp_path)[:2]
    figures = page.find_all("figure")
    assert [one.figcaption.text for one in figures] == ["Test accuracy, %", "Loss, term vanilla"]
    points = [point.split(",") for point in figures[0].polyline["points"].split()]
    assert [int(epoch) for epoch, _ in points] == record["curve"]["scored"]
    assert [float(value) for _, value in points] == pytest.approx(record["curve"]["test"], rel=1e-3)
    assert figures[0].svg["aria-label"].endswith("Seed 0 ends at 52. Seed 1 ends at 53.")


def test_a_point_is_drawn_where_its_circle_is():
    panel = curves.Panel("x", {0: [(1, 0.3), (10, 0.9)]})
    left, top, across, down, low = map(
        float,
        re.fullmatch(r"translate\((.+) (.+)\) scale\((.+) (.+)\) translate\(0 (.+)\)", panel.scale).groups(),
    )
    assert (left + across * 10, top + down * (0.9 + low)) == pytest.approx(panel.ends[0][:2], abs=0.1)
    assert float(panel.yticks[0][1]) <= 0.3 and float(panel.yticks[-1][1]) >= 0.9


def test_curves_of_equal_values_or_of_one_epoch_have_axes():
    for line in ([(1, 2.0)], [(1, 2.0), (2, 2.0)], [(1, 0.0)]):
        panel = curves.Panel("x", {0: line})
        labels = [float(label) for _, label in panel.yticks]
        assert len(set(labels)) == len(labels) > 1 and labels[0] < line[0][1] < labels[-1]
        assert labels[-1] - labels[0] < 5 and len(panel.xticks) > 1


@pytest.mark.parametrize("where", ["method", "device", "reason"])
def test_texts_of_a_record_are_escaped(made, where):
    def change(record):
        if where == "method":
            record["run"]["method"] = HOSTILE
        if where == "device":
            record["provenance"]["device"] = HOSTILE
        if where == "reason":
            record |= {"state": "failed", "reason": HOSTILE}

    page = made(change, vanilla=[52.0])
    assert not page.find_all("script") and HOSTILE.split("\n")[0] in page.text


def test_a_failed_run_has_its_reason_and_no_metrics(made):
    def change(record):
        if record["run"]["seed"] == 1:
            for key in ("final", "best", "curve", "cost"):
                record.pop(key)
            record |= {"state": "failed", "reason": "loss is nan"}

    page = made(change)
    assert page.find("p", string=re.compile("loss is nan")) or "Seed 1 failed: loss is nan" in page.text
    assert rows(page, "Final metrics")["test accuracy, %"] == ["52.00", "not recorded", "52.00"]
    assert rows(page, "How it was made")["minutes"] == ["1.0", "not recorded"]


def test_runs_that_all_failed_have_a_page_without_curves(made):
    def change(record):
        for key in ("final", "best", "curve", "cost"):
            record.pop(key)
        record |= {"state": "failed", "reason": "loss is nan"}

    page = made(change, vanilla=[52.0])
    assert not page.find_all("figure") and "Not recorded." in page.text


@pytest.mark.parametrize("method", ["drg+dsr", 'dsr(target="uniform")', "drg(k=1)+drg+dsr"])
def test_the_command_gives_the_run(made, tmp_path, method, book):
    made(**{method: [52.0]})
    (record,) = records.under(tmp_path)
    page = read(page_of(book, record["run"]))
    program, *words = shlex.split(page.find("pre").text)
    assert [program, *words[:2]] == ["python", "-m", "skdcore"]
    chosen = parser().parse_args(words[2:])
    (run,) = runs(chosen)
    assert {key: value for key, value in record["run"].items() if key != "batch"} == {
        key: value for key, value in run.settings().items() if key != "batch"
    }
    assert chosen.results == run_pages.AGAIN


@pytest.fixture
def predicted(ran, tmp_path, monkeypatch):
    """Records of vanilla and drg with the predictions of 4 test images, and their labels."""
    monkeypatch.setattr(predictions, "KEPT", tmp_path / "labels")
    results = ran("full", vanilla=[50.0, 50.0], drg=[75.0, 75.0])
    for record in records.under(results):
        if (record["run"]["method"], record["run"]["seed"]) != ("drg", 1):
            file = records.path(results, record["run"]).with_suffix(".images.npz")
            np.savez_compressed(file, predicted={"vanilla": VANILLA, "drg": DRG}[record["run"]["method"]])
    (tmp_path / "labels").mkdir()
    np.savez_compressed(tmp_path / "labels/cifar100.npz", labels=LABELS, classes=np.array(["a", "b", "<c>"]))
    return results


def test_predictions_are_compared_with_vanillas_of_the_same_seed(predicted, book):
    run_pages.make(book, predicted)
    run = next(record["run"] for record in records.under(predicted) if record["run"]["method"] == "drg")
    page = read(page_of(book, run))
    shown = rows(page, "Predictions beside vanilla's")
    assert {words: cells for words, cells in shown.items() if "wrong" in words or "no change" in words} == {
        "right to wrong": ["1"],
        "wrong to right": ["2"],
        "wrong to another wrong class": ["0"],
        "no change of class": ["1"],
    }
    assert [shown[name] for name in ("<c>", "b", "a")] == [["+2"], ["-1"], ["+0"]]
    assert "seed 1" not in page.find("h2", string="Predictions beside vanilla's").find_next("table").text


def test_predictions_of_another_accuracy_are_refused(predicted, tmp_path, book):
    np.savez_compressed(tmp_path / "labels/cifar100.npz", labels=LABELS[::-1], classes=np.array(["a", "b", "c"]))
    with pytest.raises(ValueError, match=r"0\.json: the predictions have another accuracy"):
        run_pages.make(book, predicted)


def test_without_predictions_nothing_is_compared_and_vanilla_is_not_compared_with_itself(made, tmp_path, book):
    page = made(vanilla=[52.0], drg=[53.0])
    assert page.h1.text == "drg" and rows(page, "Predictions beside vanilla's") == {}
    assert "Not recorded; see vanilla at the same scale." in page.text
    href = next(link["href"] for link in page.find_all("a") if link.text == "vanilla")
    run = records.under(tmp_path)[0]["run"]
    vanilla = (page_of(book, run).parent / unquote(href)).resolve()
    assert read(vanilla).h1.text == "vanilla" and not read(vanilla).find("h2", string="Predictions beside vanilla's")


def test_labels_are_kept_with_the_classes(tmp_path, monkeypatch):
    monkeypatch.setattr(predictions, "KEPT", tmp_path)
    file = predictions.keep("glyphs")
    truth, classes = predictions.labels("glyphs")
    assert file == tmp_path / "glyphs.npz" and len(truth) == 1000 and classes[:2] == ["A", "B"]
    assert file.read_bytes() == (RESULTS / "labels/glyphs.npz").read_bytes()
    assert predictions.labels("tinyimagenet") is None
    for harm in (b"", b"no archive", file.read_bytes()[:300]):
        file.write_bytes(harm)
        with pytest.raises(ValueError, match="glyphs.npz: damaged"):
            predictions.labels("glyphs")


def test_a_folder_is_known_by_its_name_and_a_subset_by_its_data_set(tmp_path, monkeypatch, folder):
    monkeypatch.setattr(predictions, "KEPT", tmp_path)
    file = predictions.keep(f"folder:{folder}")
    truth, classes = predictions.labels(f"folder:{folder.name}")
    assert file == tmp_path / f"folder-{folder.name}.npz" and len(truth) == 6 and classes == ["a cat's", "dög+1"]
    predictions.keep("glyphs").rename(tmp_path / "cifar100.npz")
    assert predictions.labels("cifar100(n=50)")[1] == predictions.labels("cifar100")[1]


def test_pages_made_again_are_left_alone_and_those_without_a_record_are_removed(ran, tmp_path_factory, book):
    results = ran("full", vanilla=[52.0], drg=[53.0])
    run_pages.make(book, results)
    before = {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in book.rglob("*.*")}
    assert len(before) == 4
    run_pages.make(book, results)
    assert before == {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in book.rglob("*.*")}
    run_pages.make(other := tmp_path_factory.mktemp("other"), results)
    assert contents(book) == contents(other)
    next(results.rglob("drg/*/0.json")).unlink()
    run_pages.make(book, results)
    assert {file.parts[-1] for file in contents(book)} == {"0.json", "e12-bf16.html"} and len(contents(book)) == 2
    assert len(contents(other)) == 4


def test_of_two_folders_the_later_ones_runs_are_shown(ran, tmp_path, book):
    one = ran("full", vanilla=[52.0], drg=[53.0]).rename(tmp_path.with_name("one"))
    tmp_path.mkdir()
    other = ran("full", vanilla=[60.0])
    assert run_pages.make(book, one, other) == 2
    page = read(page_of(book, records.under(other)[0]["run"]))
    assert rows(page, "Final metrics")["test accuracy, %"][0] == "60.00"


def test_a_page_of_200_epochs_and_three_seeds_is_small(ran, book):
    results = ran("paper", vanilla=[77.1234, 77.2345, 77.3456])
    for record in records.under(results):
        loss = [2.34567 / epoch for epoch in range(1, 201)]
        record["curve"]["loss"] = dict.fromkeys(("vanilla", "drg", "dsr"), loss)
        records.write(records.path(results, record["run"]), record)
    run_pages.make(book, results)
    (page,) = (book).rglob("*.html")
    assert 10_000 < page.stat().st_size <= 40_960


def test_a_row_links_each_method_to_a_section_that_exists():
    assert to_sections("`drg(k=1)+dsr`") == "[`drg(k=1)`](#method-drg)+[`dsr`](#method-dsr)"
    assert to_sections("`vanilla, 24 epochs`") == "[`vanilla`](#method-vanilla), 24 epochs"
    assert to_sections("`drg`, eager") == "[`drg`](#method-drg), eager"
    assert to_sections("usual loop") is None and to_sections("`my method`") is None
    assert re.findall(r"^\(method-(\w+)\)=\n### (\w+)$", descriptions(), re.MULTILINE) == [(m, m) for m in METHODS]


def test_a_table_links_numbers_to_runs_in_the_book_alone(ran):
    frame = pandas.DataFrame({"method": ["`drg`", "usual loop"], "ours": ["1 | 2", "x"]})
    table = Table(frame, "Caption", "tab-x", {"ours": ["runs/a%2528.html", None]})
    assert (
        '| [`drg`](#method-drg) | <a class="run" href="../runs/a%2528.html">1\xa0\\|\xa02</a> |'
        in table._repr_markdown_()
    )
    assert "| usual\xa0loop " in table._repr_markdown_() and "href" not in table._repr_html_()


def test_all_runs_are_listed_with_their_pages_the_failed_ones_too(ran):
    results = ran("full", vanilla=[52.0], drg=[53.0])
    record = records.under(results)[0]
    failed = {key: record[key] for key in ("run", "provenance")} | {"state": "failed", "reason": "x"}
    failed["provenance"]["commit"] = HOSTILE
    records.write(records.path(results, record["run"]), failed)
    frame = listing(records.under(results))
    assert frame["method"].tolist() == ["drg", "vanilla"] and frame["state"].tolist() == ["failed", "finished"]
    assert frame["accuracy"][1] == 52.0 and frame["page"][1] == "runs/cifar100/resnet10_w16/vanilla/e12-bf16.html"
    shown = all_runs.table(results).data
    assert "../runs/cifar100/resnet10_w16/vanilla/e12-bf16.html" in shown and "<script>alert" not in shown
    assert shown == all_runs.table(results).data


def test_a_folder_without_records_is_a_sentence(tmp_path):
    assert all_runs.table(tmp_path).data == f"<p>No records under {tmp_path}.</p>"


def test_the_command_of_an_image_folder_leaves_its_place_to_the_reader():
    command = run_pages.command(Run("cifar100", "resnet18", "drg").settings() | {"dataset": "folder:cub50_64"})
    assert "--dataset folder:PATH/cub50_64 --model resnet18" in command


def test_committed_run_pages_are_those_of_the_committed_records(tmp_path):
    assert run_pages.make(tmp_path, RESULTS) == len(COMMITTED) > 50
    ours, theirs = contents(tmp_path / "_extra"), contents(EXTRA)
    assert ours.keys() == theirs.keys() and [name for name in ours if ours[name] != theirs[name]] == []


def links_of_tables():
    """(run page, number) of every number of a committed page that links to its runs."""
    for file in sorted((ROOT / "book/experiments").glob("*.ipynb")):
        for cell in nbformat.read(file, as_version=4).cells:
            for output in cell.get("outputs", []):
                shown = output.get("data", {}).get("text/markdown", "")
                for link in BeautifulSoup(shown, "html.parser").find_all("a", class_="run"):
                    yield target(EXTRA / "experiments" / file.name, link), link.text


def target(page, link):
    """The file that a link of a page leads to."""
    return Path(os.path.normpath(page.parent / unquote(link["href"])))


def test_every_number_of_a_committed_table_that_links_to_runs_leads_to_their_page():
    found = list(links_of_tables())
    assert len(found) > 100 and {page for page, _ in found} <= {*COMMITTED}


def test_the_page_of_all_runs_links_to_each_run_page_and_is_small():
    file = ROOT / "book/experiments/runs.ipynb"
    text, pages = file.read_text().replace("\\/", "/"), set(listing(records.under(RESULTS))["page"])
    assert {EXTRA / unquote(page) for page in pages} == {*COMMITTED}
    assert [page for page in pages if f"../{page}" not in text] == []
    assert file.stat().st_size < 1_500_000


def test_every_link_of_a_run_page_leads_to_a_page_of_the_book_or_to_a_record():
    for page in COMMITTED:
        links = read(page).find_all("a")
        assert len(links) >= 3
        for link in links:
            file = target(page, link)
            source = ROOT / "book" / file.relative_to(EXTRA).with_suffix(".ipynb")
            assert file.is_file() or source.is_file(), (page, link)


def test_ten_numbers_are_followed_to_their_records_by_clicks_alone():
    """Each is an accuracy: of one run, the mean and standard deviation of all, or the mean on the training images."""
    accuracies = {pair for pair in links_of_tables() if re.fullmatch(r"\d+\.\d\d( ± \d+\.\d\d)?", pair[1])}
    for page, number in random.Random(0).sample(sorted(accuracies), 10):
        files = [target(page, link) for link in read(page).find_all("a", download=True)]
        finals = pandas.DataFrame([json.loads(file.read_text())["final"] for file in files])
        accuracy = finals["accuracy"]
        held = [f"{accuracy.mean():.2f} ± {accuracy.std():.2f}", *accuracy.map("{:.2f}".format)]
        held += [f"{finals['train_accuracy'].mean():.2f}"] if "train_accuracy" in finals else []
        assert number in held, page


@pytest.mark.parametrize("width", [1280, 390])
def test_run_pages_work_in_a_browser_without_a_network(browser, width, tmp_path):
    run_pages.make(tmp_path, RESULTS)
    (tmp_path / "_extra/_static").mkdir()
    (tmp_path / "_extra/_static/favicon.svg").write_bytes((ROOT / "book/_static/favicon.svg").read_bytes())
    pages = random.Random(1).sample(sorted((tmp_path / "_extra").rglob("*.html")), 3)
    browser.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
    try:
        for page in pages:
            events = browser.visit(page.as_uri())
            asked = [e["params"]["request"]["url"] for e in events if e.get("method") == "Network.requestWillBeSent"]
            assert asked and [url for url in asked if not url.startswith("file:")] == []
            bad = ("Runtime.exceptionThrown", "Log.entryAdded", "Network.loadingFailed", "Runtime.consoleAPICalled")
            assert [e for e in events if e.get("method") in bad] == []
            assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth"), page
            assert browser.evaluate("document.querySelectorAll('polyline').length") >= 2
    finally:
        browser.call("Emulation.clearDeviceMetricsOverride")
