"""The page of the methods is made from their code."""

import ast
import inspect
import re

import pytest

from skdcore.losses import kl
from skdcore.methods import METHODS, method
from skdcore.study.descriptions import descriptions
from skdcore.sums import signature


def sections():
    parts = re.split(r"^### ", descriptions(), flags=re.MULTILINE)[1:]
    return dict(zip(METHODS, parts, strict=True))


@pytest.mark.parametrize("name", METHODS)
def test_a_method_has_a_section_with_its_signature_source_formula_and_code(name):
    function = METHODS[name]
    text, code, _ = sections()[name].split("```")
    assert text.startswith(f"{name}\n\n`{signature(function)}`\n\n**")
    assert function.formula and f"`{function.formula}`" in text and "`" not in function.formula
    assert re.search(r"equation \(\d+\)|\[\d+\]", function.source, re.IGNORECASE)
    whole = ast.parse(inspect.getsource(function))
    if inspect.getdoc(function):
        del whole.body[0].body[0]
    assert ast.dump(ast.parse(code.removeprefix("python"))) == ast.dump(whole)


def test_no_docstring_becomes_markup():
    for name, section in sections().items():
        text = re.sub(r"\*\*|`[^`]*`", "", section.split("```")[0]).removeprefix(name)
        assert not re.search(r"(?<!\\)[_*$<>\[]", text), name


def test_a_method_without_source_formula_and_docstring_is_described_by_its_code(spare_methods):
    @method
    def two_exits(s, tau=1.0):
        return kl((s.exit(1) + s.exit(2)) / 2, s.z, tau)

    section = sections()["two_exits"]
    assert section.startswith("two_exits\n\n`two_exits(tau=1.0)`\n\n```python\n") and "return kl(" in section
    assert "**" not in section
