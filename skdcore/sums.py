"""The grammar of configurations: "ps_kd+drg(alpha=0.1)+dsr" is a sum of methods, "cifar100(n=50)" a data set.

A name is a configuration.  Defaults live in the signatures of functions and nowhere else, and every configuration
has one canonical text, which is its directory under results/ and its row in a table.
"""

import ast
import inspect
import json
import warnings
from functools import cache, partial
from typing import NamedTuple, NewType, get_args

from skdcore.errors import short, unknown

METHODS = {}  # {name: function}; skdcore.methods fills it
LONGEST = 1000  # characters of a configuration; nested deeper, a text ends Python's parser or ours
Sum = NewType("Sum", str)  # the text of a sum, as the value of a keyword
Share = NewType("Share", float)  # from 0 to 1


def method(function=None, *, labels=False, view=False, source="", formula=""):
    """Registers a method under its function's name; see skdcore.methods."""
    if function is None:
        return partial(method, labels=labels, view=view, source=source, formula=formula)
    function.labels, function.view, function.source, function.formula = labels, view, source, formula
    METHODS[function.__name__] = function
    return function


class Term(NamedTuple):
    """One term of a sum: the method, the keywords that differ from its defaults, and its canonical text."""

    function: object
    keywords: dict
    text: str


@cache
def keywords_of(function):
    """{keyword: default} of a method or data set, in signature order."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def signature(function):
    """A method with its keywords and their defaults, such as "ls(eps=0.1)"."""
    return f"{function.__name__}({', '.join(f'{k}={v!r}' for k, v in keywords_of(function).items())})"


def parse(name):
    """A sum such as "drg(k=1)+dsr" as a list of terms, views first, written order otherwise.

    Raises ValueError for anything that is not a sum of known methods with literal keywords, for a term
    twice, and for two methods that both hold the label loss.  Nothing in the text is ever evaluated.
    """
    if (tree := expression(name)) is None:
        raise ValueError(f"not a sum of methods: {short(name)}; write for example drg(k=1)+dsr")
    terms = [call(node, METHODS, "method", name) for node in _summands(tree)]
    texts = [term.text for term in terms]
    if twice := {text for text in texts if texts.count(text) > 1}:
        raise ValueError(f"{' and '.join(sorted(twice))} is in {name!r} twice")
    holders = [term.text for term in terms if term.function.labels]
    if len(holders) > 1:
        raise ValueError(f"{' and '.join(holders)} each hold the label loss; a sum takes one of them")
    return sorted(terms, key=lambda term: not term.function.view)


def canonical(name):
    """The one text of a sum: views first, defaults dropped, keywords in signature order."""
    terms = parse(name)
    if len(terms) > 1:  # build adds the label loss by itself
        terms = [term for term in terms if term.text != "vanilla"]
    return "+".join(term.text for term in terms)


def teachers(name):
    """The sums, in canonical form, whose networks must be trained before `name` is."""
    return [
        (keywords_of(term.function) | term.keywords)[keyword]
        for term in parse(name)
        for keyword, kind in inspect.get_annotations(term.function).items()
        if kind is Sum
    ]


def build(name):
    """The sum as a function `Step -> {term: loss}`, whose values add up to the loss of the step.

    Where no term holds the label loss, "vanilla" (equation (2)) comes first, once.
    """
    terms = parse(name)
    adornments = [partial(term.function, **term.keywords) for term in terms if term.function.view]
    terms = [term for term in terms if not term.function.view]
    if not any(term.function.labels for term in terms):
        terms.insert(0, Term(METHODS["vanilla"], {}, "vanilla"))

    def losses(s):
        s.adornments = adornments
        _ = s.z  # first, as autocast keeps its copies of the weights: those of a forward without gradient have none
        result = {}
        for term in terms:
            s.term = term.text
            result[term.text] = term.function(s, **term.keywords)
        return result

    return losses


def expression(text):
    """The syntax tree of a text of at most `LONGEST` characters, or None if it is no expression; never evaluated."""
    try:
        with warnings.catch_warnings(action="ignore"):  # Python's own, of odd escapes and of numbers beside words
            return ast.parse(text.strip(), mode="eval").body if len(text) <= LONGEST else None
    except (AttributeError, TypeError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _summands(node):
    right = []
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        right.append(node.right)
        node = node.left
    return [node, *reversed(right)]


def call(node, functions, kind, name):
    """A parsed name or call, such as drg(k=1), of one of the `functions`, as a `Term`.

    Raises ValueError for an unknown function (a `kind`) or keyword, naming the near ones, and for a bad value.
    """
    source, node = _source(name, node), node if isinstance(node, ast.Call) else ast.Call(node, [], [])
    if not isinstance(node.func, ast.Name) or node.args:
        raise ValueError(f"not a {kind} with keywords: {source} in {short(name)}")
    if node.func.id not in functions:
        raise unknown(kind, node.func.id, functions)
    function = functions[node.func.id]
    defaults, given = keywords_of(function), {}
    for keyword in node.keywords:
        if not defaults:
            raise ValueError(f"{function.__name__} takes no keywords, such as {keyword.arg}")
        if keyword.arg not in defaults:
            raise unknown(f"keyword of {function.__name__}", keyword.arg, defaults)
        if keyword.arg in given:
            raise ValueError(f"{function.__name__} has {keyword.arg} twice in {name!r}")
        given[keyword.arg] = _value(keyword, defaults[keyword.arg], function, name)
    given = {k: given[k] for k in defaults if k in given and given[k] != defaults[k]}
    text = ",".join(f"{k}={_text(v)}" for k, v in given.items())
    return Term(function, given, f"{function.__name__}({text})" if text else function.__name__)


def _value(keyword, default, function, name):
    """The keyword's literal, of the default's own type (an int is fine for a float)."""
    owner = function.__name__
    try:
        value = ast.literal_eval(keyword.value)
        if isinstance(default, float) and type(value) is int:
            value = float(value)
    except (ValueError, TypeError, RecursionError, OverflowError):
        text = f"{owner}({keyword.arg}=...) takes a plain value, not {_source(name, keyword.value)}"
        text += f"; a word is quoted: {keyword.arg}={json.dumps(default)}" if isinstance(default, str) else ""
        raise ValueError(text) from None
    kind = int if default is None else type(default)
    if default is None and value is None:
        return None
    if type(value) is not kind or value in (float("inf"), float("-inf")):
        raise ValueError(f"{owner}({keyword.arg}={value!r}): {keyword.arg} takes {kind.__name__}, such as {default!r}")
    annotation = inspect.get_annotations(function).get(keyword.arg)
    if (words := get_args(annotation)) and value not in words:
        raise unknown(f"{keyword.arg} of {owner}", value, words)
    if annotation is Share and not 0 <= value <= 1:
        raise ValueError(f"{owner}({keyword.arg}={value!r}): {keyword.arg} is a share, from 0 to 1")
    return _teacher(value) if annotation is Sum else value


def _source(name, node):
    return short(ast.get_source_segment(name.strip(), node))


def _teacher(name):
    """The canonical text of a teacher's sum.  Raises ValueError if it takes a teacher itself."""
    if teachers(name):
        raise ValueError(f"a teacher takes no teacher itself: teacher={name!r}; name a sum without kd")
    return canonical(name)


def _text(value):
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value) if isinstance(value, str) else repr(value)
