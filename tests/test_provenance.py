"""Every committed record leads back to the code that made it."""

import hashlib
import json
import subprocess
from functools import cache
from pathlib import Path

import pytest

from skdcore.machine import AND, CODE, HERE

PROJECT = Path(__file__).parents[1]


def git(*words):
    return subprocess.run(["git", *words], cwd=PROJECT, check=True, capture_output=True).stdout


def committed_records():
    """The records that git tracks."""
    try:
        names = git("ls-files", "-z", "results").decode().split("\0")
    except (OSError, subprocess.CalledProcessError):
        return []
    return [PROJECT / name for name in names if Path(name).name.split(".")[0].isdigit() and name.endswith(".json")]


@cache
def code_of(commit):
    """The hash of the core at a commit, from the files that git has of it."""
    names = [n for n in git("ls-tree", "--name-only", commit, "skdcore/").decode().split() if n.endswith(".py")]
    return hashlib.sha256(b"".join(git("show", f"{commit}:{name}") for name in sorted(names))).hexdigest()[:12]


def test_the_hash_of_the_code_is_that_of_the_modules_of_the_core_alone():
    files = sorted(HERE.glob("*.py"))
    assert hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()[:12] == CODE
    assert "train.py" in {f.name for f in files} and not any("study" in str(f.relative_to(HERE)) for f in files)


def test_each_committed_record_has_the_code_of_the_commit_that_it_names():
    records = committed_records()
    if not records or git("rev-parse", "--is-shallow-repository").strip() == b"true":
        pytest.skip("needs a git checkout with its history")
    for file in records:
        made = json.loads(file.read_text())["provenance"]
        assert made["commit"], f"{file} names no commit"
        assert made["clean"] or not file.with_suffix(".images.npz").exists(), f"{file}: the tree was not clean"
        codes = {code_of(commit) for commit in made["commit"].split(AND)}
        assert set(made["code"].split(AND)) == codes, file
