"""Hashes of the files that pages and verdicts are made from: they tell whether anything has changed since."""

import hashlib
import json

CLAIMS = "claims.json"  # made from the other files of its folder
# Folders, endings and names of files that no page depends on.
NOT_READ = {"__pycache__", "teachers"}, {".lock", ".pt", ".tmp", ".damaged"}, {CLAIMS}


def hashes(folder, *patterns, label=""):
    """{label and name: hash of the content} of the files in a folder that match one of the patterns."""
    folders, endings, names = NOT_READ
    files = {file.relative_to(folder) for pattern in patterns for file in folder.glob(pattern) if file.is_file()}
    return {
        label + file.as_posix(): hashlib.sha256((folder / file).read_bytes()).hexdigest()
        for file in files
        if file.suffix not in endings and file.name not in names and not folders & set(file.parts)
    }


def fingerprint(found):
    """sha256, in hexadecimal, of what JSON can hold."""
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()
