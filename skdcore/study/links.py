"""Where the links of the pages lead: from a number to its runs, from a method to its section."""

import re
from urllib.parse import quote

from skdcore import records
from skdcore.sums import parse


def run_page(settings):
    """The address, from the site's root, of the page of a run with these settings and of its other seeds."""
    *folders, scale = records.path("runs", settings).parent.parts
    return address(*folders, f"{scale}.html")


def address(*parts):
    """A path as it stands in a link: the names are percent-encoded themselves, so their "%" is encoded again."""
    return "/".join(quote(part, safe="") for part in parts)


def to_runs(runs, rows):
    """The address of the runs of each row, None for a row without any; `runs` are {row: {seed: record}}."""
    return [run_page(next(iter(runs[row].values()))["run"]) if runs.get(row) else None for row in rows]


def known_runs(runs, rows):
    """The addresses of the runs of those rows that ran; none if the first did not."""
    first, *others = to_runs(runs, rows)
    return [first, *filter(None, others)] if first else []


def to_sections(row):
    """A row's name in backticks, such as `drg(k=1)+dsr`, as Markdown: each method links to its section.

    What may follow the backticks, such as ", eager", stays.  None for a text that names no methods of this code.
    """
    match = re.fullmatch(r"`(.+?)(, \d+ epochs)?`(,.*)?", row)
    try:
        terms = parse(match[1]) if match else []
    except ValueError:
        return None
    linked = "+".join(f"[`{term.text}`](#{section(term.function)})" for term in terms)
    return linked and linked + (match[2] or "") + (match[3] or "") or None


def to_claim(name):
    """A claim's name as Markdown that links to its row in the table of the claims."""
    return f"[`{name}`](#{claim(name)})"


def claim(name):
    """The label of a claim's row, in which a plus would be no letter."""
    return f"claim-{name.replace('+', '-')}"


def section(method):
    """The label of a method's section."""
    return f"method-{method.__name__}"
