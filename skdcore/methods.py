r"""The methods: each is one function `Step -> loss`, and methods add.

`build("drg(k=1)+dsr")` reads a sum, equation (7) as code: the label loss L_CE once, plus each term.
A name is a configuration: defaults live in the signatures and nowhere else, and every sum has one
canonical text (`canonical`), which is its directory under results/ and its row in a table.

To add a method, write a function here.  `@method` makes it known; `@method(labels=True)` says that it
holds the label loss itself, so that `build` does not add L_CE; `@method(view=True)` marks a function
`images -> images` that adorns every view of the step.
"""

import ast
import inspect
import json
from functools import partial
from typing import NamedTuple

import torch

from skdcore.errors import unknown
from skdcore.losses import cross_entropy, kl

METHODS = {}


def method(function=None, *, labels=False, view=False):
    """Registers a method under its function's name."""
    if function is None:
        return partial(method, labels=labels, view=view)
    function.labels, function.view = labels, view
    METHODS[function.__name__] = function
    return function


@method(labels=True)
def vanilla(s):
    """Equation (2): cross entropy with the hard labels.  One forward, no state, no extra parameters."""
    return cross_entropy(s.z, s.y)


@method(labels=True)
def ls(s, eps=0.1):
    """Label smoothing [11]: cross entropy with (1 - eps) * onehot(y) + eps / K.

    The uniform part covers all K classes, the target among them, as in the code of OLS [28] and PS-KD [8].
    """
    K = s.z.shape[1]
    target = (1 - eps) * torch.nn.functional.one_hot(s.y, K) + eps / K
    return cross_entropy(s.z, target.to(s.z.dtype))


@method
def drg(s, k=2, alpha=0.2, tau=1.0, detach=True):
    """Distillation with Reverse Guidance, equation (10) less L_CE(p, y): L_CE(q, y) + alpha * L_RG.

    q is the output of the auxiliary classifier (AC) after block `k`; L_RG is (9).  The teacher's logits are
    detached as in the official code (Q2), so L_RG trains the network alone, while L_CE(q, y) reaches
    block `k` and below: deep supervision, which `alpha=0` shows alone.  One AC of extra parameters.
    """
    teacher = s.exit(k)  # z'
    return cross_entropy(teacher, s.y) + alpha * kl(teacher, s.z, tau, detach)


@method
def dsr(s, beta=1.0, tau=4.0):
    """Distillation with Shape-wise Regularization, equation (12) less L_CE: beta * L_SR of (11).

    Logits are ranked in ascending order; row i is taught by row i of the last iteration, another image
    of any class.  State: the ranked logits (B, K), zeros at t = 0, never reset (Algorithm 2; Q5).
    """
    ranked = s.z.sort(dim=1).values
    last = s.memory.setdefault("ranked", torch.zeros_like(ranked))
    loss = beta * kl(last, ranked, tau)
    last.copy_(ranked.detach())
    return loss


class Term(NamedTuple):
    """One term of a sum: the method, the keywords that differ from its defaults, and its canonical text."""

    function: object
    keywords: dict
    text: str


def keywords_of(function):
    """{keyword: default} of a method, in signature order."""
    return {p.name: p.default for p in list(inspect.signature(function).parameters.values())[1:]}


def parse(name):
    """A sum such as "drg(k=1)+dsr" as a list of terms, views first, written order otherwise.

    Raises ValueError for anything that is not a sum of known methods with literal keywords, for a term
    twice, and for two methods that both hold the label loss.  Nothing in the text is ever evaluated.
    """
    try:
        tree = ast.parse(name.strip(), mode="eval").body
    except (AttributeError, SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError(f"not a sum of methods: {name!r}; write for example drg(k=1)+dsr") from None
    terms = [_term(node, name) for node in _summands(tree)]
    texts = [term.text for term in terms]
    if twice := {text for text in texts if texts.count(text) > 1}:
        raise ValueError(f"{' and '.join(sorted(twice))} stands twice in {name!r}")
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


def build(name):
    """The sum as a function `Step -> {term: loss}`, whose values add up to the loss of the step.

    Where no term holds the label loss, "vanilla" (equation (2)) comes first, once.
    """
    terms = parse(name)
    adornments = [partial(term.function, **term.keywords) for term in terms if term.function.view]
    terms = [term for term in terms if not term.function.view]
    if not any(term.function.labels for term in terms):
        terms.insert(0, Term(vanilla, {}, "vanilla"))

    def losses(s):
        s.adornments = adornments
        result = {}
        for term in terms:
            s.term = term.text
            result[term.text] = term.function(s, **term.keywords)
        return result

    return losses


def _summands(node):
    right = []
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        right.append(node.right)
        node = node.left
    return [node, *reversed(right)]


def _term(node, name):
    call = node if isinstance(node, ast.Call) else ast.Call(node, [], [])
    if not isinstance(call.func, ast.Name) or call.args:
        raise ValueError(f"not a method with keywords: {ast.unparse(node)!r} in {name!r}")
    if call.func.id not in METHODS:
        raise unknown("method", call.func.id, METHODS)
    function = METHODS[call.func.id]
    defaults, given = keywords_of(function), {}
    for keyword in call.keywords:
        if keyword.arg not in defaults:
            raise unknown(f"keyword of {function.__name__}", keyword.arg, defaults)
        given[keyword.arg] = _value(keyword, defaults[keyword.arg], function.__name__)
    given = {k: given[k] for k in defaults if k in given and given[k] != defaults[k]}
    text = ",".join(f"{k}={_text(v)}" for k, v in given.items())
    return Term(function, given, f"{function.__name__}({text})" if text else function.__name__)


def _value(keyword, default, owner):
    """The keyword's literal, of the default's own type (an int may stand for a float)."""
    try:
        value = ast.literal_eval(keyword.value)
    except (ValueError, TypeError, RecursionError):
        raise ValueError(
            f"{owner}({keyword.arg}=...) takes a plain value, not {ast.unparse(keyword.value)!r}"
        ) from None
    if isinstance(default, float) and type(value) is int:
        value = float(value)
    kind = int if default is None else type(default)
    if type(value) is not kind or value in (float("inf"), float("-inf")):
        raise ValueError(f"{owner}({keyword.arg}={value!r}): {keyword.arg} takes {kind.__name__}, such as {default!r}")
    return value


def _text(value):
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value) if isinstance(value, str) else repr(value)
