"""What a papermill template needs: parameters that are checked, and plain displays."""

import ast
import os
import types
from contextlib import suppress
from pathlib import Path
from typing import Union, get_args, get_origin

from IPython import get_ipython
from IPython.display import Markdown

from skdcore.errors import unknown
from skdcore.study.experiments import ROOT

__all__ = ["Markdown", "parameters"]
PLAIN = (str, int, float, bool, list, dict, tuple, types.NoneType)


def parameters(namespace):
    """Checks and converts the parameters of a notebook in place; call it in the cell after them, first of all.

    The parameters are the annotated names of the parameters cell.  Papermill defines whatever it is given,
    and only logs a name that the notebook does not know; here that is an error which names the near ones.
    A text given for a list or number (as papermill's -p gives it) becomes what the annotation says.
    From then on relative paths start at the project's root, wherever Jupyter was started.
    """
    os.chdir(ROOT)
    shell = get_ipython()
    hidden = shell.user_ns_hidden if shell else ()
    known = _annotated(shell.user_ns["In"] if shell else [Path(namespace["__file__"]).read_text()], namespace)
    for name, value in list(namespace.items()):
        if not name.startswith("_") and name not in hidden and isinstance(value, PLAIN) and name not in known:
            raise unknown("parameter", name, known)
    for name, kind in known.items():
        namespace[name] = _convert(name, namespace[name], kind)


def _annotated(cells, namespace):
    """{name: type} of the annotated assignments `name: type = value` of the cells, or of a script.

    They are read from the source: since Python 3.14 a module has no `__annotations__` until it is asked for them,
    and IPython compiles each statement as a module of its own.
    """
    known = {}
    for cell in cells:
        with suppress(SyntaxError):  # a cell that was never run
            for node in ast.parse(cell).body:
                if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                    known[node.target.id] = eval(ast.unparse(node.annotation), namespace)
    return known


def _convert(name, value, kind):
    kinds = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    if isinstance(value, str) and str not in kinds:
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            raise ValueError(f"parameter {name}={value!r}: takes {_words(kind)}") from None
    if not any(_fits(value, one) for one in kinds):
        raise ValueError(f"parameter {name}={value!r}: takes {_words(kind)}")
    return value


def _fits(value, kind):
    if get_origin(kind) is list:
        return isinstance(value, list) and all(_fits(item, get_args(kind)[0]) for item in value)
    return type(value) is kind or (kind is float and type(value) is int)


def _words(kind):
    if get_origin(kind) in (Union, types.UnionType):
        return " or ".join(map(_words, get_args(kind)))
    if kind is types.NoneType:
        return "None"
    return kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind)
