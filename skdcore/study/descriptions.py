"""The page of the methods, made from their code."""

import inspect
import re

from skdcore.methods import METHODS
from skdcore.study.display import escaped
from skdcore.study.links import section
from skdcore.sums import signature


def descriptions():
    """A section for each method, which links lead to: signature, source and formula, docstring, code."""
    return "\n\n".join(map(_description, METHODS.values()))


def _description(function):
    code = re.sub(r' {4}""".*?"""\n', "", inspect.getsource(function), count=1, flags=re.DOTALL)
    source, formula = escaped(function.source), f"`{function.formula}`" if function.formula else ""
    origin = ": ".join(filter(None, [source and f"**{source}**", formula]))
    heading = f"({section(function)})=\n### {function.__name__}"
    parts = [heading, f"`{signature(function)}`", origin, escaped(inspect.getdoc(function) or "")]
    return "\n\n".join([*filter(None, parts), f"```python\n{code}```"])
