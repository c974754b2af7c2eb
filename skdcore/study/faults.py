"""What happens when things break: the report of the fault suite, `make faults`, as tables."""

import json
from pathlib import Path

import fastjsonschema
import pandas

from skdcore.records import NUMBER, POSITIVE, TEXT, write_json
from skdcore.study.display import Table
from skdcore.study.experiments import RESULTS

NAME = "faults.json"
MEASURED = {"value": "measured", "at_most": "at most"}
WHOLE = {"type": "integer", "minimum": 0}


def _rows(texts, **numbers):
    properties = dict.fromkeys(texts.split(), TEXT) | numbers
    item = {"type": "object", "required": [*properties], "properties": properties}
    return {"type": "array", "items": item, "minItems": 1}


SCHEMA = {
    "type": "object",
    "required": ["seed", "seconds", "kinds", "costs", "provenance"],
    "properties": {
        "kinds": _rows("kind fault holds", tries=WHOLE, held=WHOLE, seconds=POSITIVE, problems={"type": "object"}),
        "costs": _rows("cost unit", value=NUMBER, at_most=NUMBER),
    },
}
FORM = fastjsonschema.compile(SCHEMA)


def write(report, folder):
    """Writes the suite's report, of the form of SCHEMA, to <folder>/faults.json."""
    write_json(Path(folder, NAME), FORM(report))


def read(results=RESULTS):
    """The report there.  Raises FileNotFoundError, or ValueError for a file of another form."""
    file = Path(results, NAME)
    try:
        return FORM(json.loads(file.read_text()))
    except ValueError as error:
        raise ValueError(f"{file}: not a report of the fault suite: {error}") from None


def finding(report):
    """How many tries held, in a sentence or two."""
    tries, held = (sum(row[key] for row in report["kinds"]) for key in ("tries", "held"))
    if held == tries:
        return f"**All {tries:,} tries held.**"
    bad = [f"{row['tries'] - row['held']} of {row['tries']:,} ({row['fault'].lower()})" for row in report["kinds"]]
    bad = [text for text, row in zip(bad, report["kinds"], strict=True) if row["held"] < row["tries"]]
    return f"**{held:,} of {tries:,} tries held.** These did not: {'; '.join(bad)}."


def tried(report):
    """The kinds of faults, how often each was tried and held, and what must hold."""
    rows = [
        {"what breaks": row["fault"], "tries": f"{row['tries']:,}", "held": f"{row['held']:,}"}
        | {"what must hold": row["holds"]}
        for row in report["kinds"]
    ]
    made, minutes = report["provenance"], report["seconds"] / 60
    caption = (
        f"Faults tried by `python tests/faults --seed {report['seed']}`, in {minutes:.0f} minutes, with the costs "
        f"below, on {made['device']}, {made['ended'][:10]}, commit {made['commit'][:7]}. A sweep trains 12 runs on "
        "3 workers."
    )
    return Table(pandas.DataFrame(rows), caption, "tab-faults")


def measured(report):
    """What safety costs, beside the most that it should."""
    rows = [
        {"what": row["cost"]} | {words: _with(row[key], row["unit"]) for key, words in MEASURED.items()}
        for row in report["costs"]
    ]
    over = [row["cost"] for row in report["costs"] if row["value"] > row["at_most"]]
    caption = "What safety costs, measured by the same command after the faults. "
    caption += f"More than it should: {'; '.join(over)}." if over else "Nothing costs more than it should."
    return Table(pandas.DataFrame(rows), caption, "tab-fault-costs")


def _with(value, unit):
    return f"{100 * value:.1f} %" if unit == "%" else f"{value:.2f} {unit}".strip()
