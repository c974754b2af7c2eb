"""Errors that say what to do."""

from difflib import get_close_matches


def unknown(kind, name, known):
    """A `ValueError` that names the bad value and the near ones (all of them when none is near)."""
    known = sorted(known)
    begun = [other for other in known if name and other.startswith(str(name))]
    near = list(dict.fromkeys(begun + get_close_matches(str(name), known, n=3, cutoff=0.5)))
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}"
    return ValueError(f"unknown {kind} {short(name)}; {hint}")


def short(value):
    """A value as an error shows it: the middle of a very long one is left out."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:90]} ... {text[-90:]}"


class Damaged(ValueError):
    """A file beside a record cannot be used: it is incomplete, altered, or of another form; the text names it."""


class Broken(Exception):
    """Runs of a sweep ended in an exception, or took their worker with them; the others were trained."""


class Stopped(Exception):
    """The run was asked to stop; its checkpoint is written, and the same call resumes from there."""
