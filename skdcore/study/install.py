"""The first cell of a page in a published book: what a notebook that is opened alone, as Colab opens it, installs."""

import yaml
from nbformat.v4 import new_code_cell

SOURCE = """\
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

if not find_spec("skdcore"):
    subprocess.run(["git", "clone", "--depth=1", "{address}", "edition"], check=True)
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--editable", "./edition[notebooks]"]
    subprocess.run(install, check=True)
    sys.path.append(str(Path("edition").resolve()))  # a kernel that runs already does not see what pip adds"""


def cells(root):
    """The cell, in a list, or none where `_config.yml` in the project's root gives no address of a repository."""
    address = yaml.safe_load((root / "_config.yml").read_text())["repository"]["url"]
    return (
        [new_code_cell(SOURCE.format(address=address), id="install", metadata={"tags": ["remove-cell"]})]
        if address
        else []
    )
