"""What a papermill template needs: parameters that are checked, and plain displays."""

import ast
import os
import types
from contextlib import suppress
from pathlib import Path
from typing import Union, get_args, get_origin

from IPython import get_ipython
from IPython.display import Markdown
from matplotlib import rcParams, style
from matplotlib.figure import Figure
from matplotlib_inline.config import InlineBackend

from skdcore.errors import short, unknown
from skdcore.study.described import described
from skdcore.study.display import SALTED, UNDATED
from skdcore.study.experiments import ROOT

__all__ = ["Markdown", "parameters"]
PLAIN = (str, int, float, bool, list, dict, tuple, types.NoneType)
INJECTED = "# Parameters"  # how papermill begins the cell of what it is given


def parameters(namespace):
    """Checks and converts the parameters of a notebook in place; call it in the cell after them, first of all.

    The parameters are the annotated names of the parameters cell.  Papermill defines whatever it is given,
    and only logs a name that the notebook does not know; here that is an error which names the near ones.
    It writes `name = value` into a cell and so runs a name that is code: that is an error before anything else is run.
    What other cells assign is no parameter, so that a cell can be run again.
    A text given for a list or number (as papermill's -p gives it) becomes what the annotation says.
    From then on relative paths start at the project's root, wherever Jupyter was started.
    """
    os.chdir(ROOT)
    shell = get_ipython()
    if shell:
        _figures(shell)
    cells = shell.user_ns["In"] if shell else [Path(namespace["__file__"]).read_text()]
    known = _annotated(cells, namespace)
    for name in [name for name in (_given(cells) if shell else namespace) if name in namespace]:  # a script runs once
        if not name.startswith("_") and isinstance(namespace[name], PLAIN) and name not in known:
            raise unknown("parameter", name, known)
    for name, kind in known.items():
        namespace[name] = _convert(name, namespace[name], kind)


def _figures(shell):
    """Figures are vectors, the same for the same records, in colours that colour-blind readers can tell apart.

    Their plain text says what they show.
    """
    backend = InlineBackend.instance(parent=shell)
    backend.shell = shell
    backend.figure_formats = {"svg"}
    backend.print_figure_kwargs = {"bbox_inches": "tight", "metadata": UNDATED}
    rcParams.update(SALTED | style.library["petroff10"])
    plain = shell.display_formatter.formatters["text/plain"]
    plain.for_type(Figure, lambda figure, printer, cycle: printer.text(described(figure)))


def _annotated(cells, namespace):
    """{name: type} of the annotated assignments `name: type = value` of the cells, or of a script.

    They are read from the source: since Python 3.14 a module has no `__annotations__` until it is asked for them,
    and IPython compiles each statement as a module of its own.
    """
    annotated = [node for _, body in _parsed(cells) for node in body if _is_parameter(node)]
    return {node.target.id: eval(ast.unparse(node.annotation), namespace) for node in annotated}


def _given(cells):
    """The names that the parameters cell and papermill's cell assign, in the form in which each was last run."""
    last = {}
    for cell, body in _parsed(cells):
        injected = cell.lstrip().startswith(INJECTED)
        if injected and (code := [node for node in body if not _names_a_value(node)]):
            raise ValueError(f"a parameter's name must be an identifier, not code: {short(ast.unparse(code[0]))}")
        if injected or any(map(_is_parameter, body)):
            targets = [target for node in body if isinstance(node, ast.Assign) for target in node.targets]
            last[injected] = [target.id for target in targets if isinstance(target, ast.Name)]
    return sum(last.values(), [])


def _parsed(cells):
    """(text, statements) of each cell."""
    for cell in cells:
        with suppress(SyntaxError):  # a cell that was never run
            yield cell, ast.parse(cell).body


def _is_parameter(node):
    return isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)


def _names_a_value(node):
    return isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)


def _convert(name, value, kind):
    kinds = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    if isinstance(value, str) and str not in kinds:
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
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
