"""A page of a published book begins with a cell that installs the project, for a notebook that is opened alone."""

import importlib.util
import subprocess
import sys

import pytest

from skdcore.study import install

ADDRESS = "https://github.com/someone/edition"


@pytest.fixture
def source(tmp_path):
    (tmp_path / "_config.yml").write_text(f"repository: {{url: '{ADDRESS}'}}")
    (cell,) = install.cells(tmp_path)
    return cell.source


@pytest.fixture
def called(monkeypatch):
    """Starts no process; gives the commands."""
    called = []
    monkeypatch.setattr(subprocess, "run", lambda command, check: called.append(command))
    monkeypatch.setattr(sys, "path", [*sys.path])
    return called


def test_without_an_address_there_is_no_cell(tmp_path):
    (tmp_path / "_config.yml").write_text("repository: {url: ''}")
    assert install.cells(tmp_path) == []


def test_where_the_project_is_missing_it_is_fetched_and_installed_and_importable_at_once(
    source, called, monkeypatch, tmp_path
):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.chdir(tmp_path)
    exec(source, {})
    clone, pip = called
    assert clone[:2] == ["git", "clone"] and ADDRESS in clone and clone[-1] == "edition"
    assert pip[:4] == [sys.executable, "-m", "pip", "install"] and pip[-1] == "./edition[notebooks]"
    assert sys.path[-1] == str(tmp_path / "edition")


def test_where_the_project_is_installed_nothing_happens(source, called):
    before = [*sys.path]
    exec(source, {})
    assert called == [] and sys.path == before
