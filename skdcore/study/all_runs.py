"""The page "All runs": a table of every record, to be sorted, filtered and downloaded."""

import html
from math import nan

import pandas
from IPython.display import HTML

from skdcore import records
from skdcore.study.links import run_page

RUN = {"seed": "seed", "dataset": "data set", "model": "network", "epochs": "epochs", "precision": "precision"}
METRICS = {"nll": "NLL", "ece": "ECE", "train_accuracy": "training accuracy, %"}


def listed(results):
    """A row for each record under a folder: its run, metrics, minutes, date, commit and state.

    Raises FileNotFoundError for a folder that is not there.
    """
    rows = []
    for record in records.under(records.folder(results)):
        run, final, made = record["run"], record.get("final", {}), record["provenance"]
        row = {"method": run["method"], "accuracy, %": final.get("accuracy", nan)}
        row |= {words: run[key] for key, words in RUN.items()}
        row |= {words: final.get(key, nan) for key, words in METRICS.items()}
        row |= {"minutes": record.get("cost", {}).get("seconds", nan) / 60, "date": made["ended"][:10]}
        row |= {"commit": (made.get("commit") or "not recorded")[:12], "state": record["state"]}
        rows.append(row | {"page": run_page(run)})
    return pandas.DataFrame(rows)


def table(results):
    """The rows of `listed` as HTML, each with a link to the page of its runs; in the book it can be filtered."""
    if (frame := listed(results)).empty:
        return HTML(f"<p>No records under {html.escape(str(results))}.</p>")
    frame = frame.round({"accuracy, %": 2, "NLL": 4, "ECE": 4, "training accuracy, %": 2, "minutes": 1})
    texts = frame.select_dtypes(exclude="number").columns
    frame[texts] = frame[texts].map(html.escape)
    addresses = frame.pop("page")
    frame["method"] = [f'<a href="../{page}">{name}</a>' for page, name in zip(addresses, frame["method"], strict=True)]
    how = {"index": False, "escape": False, "border": 0, "na_rep": "", "table_id": "runs", "justify": "left"}
    return HTML(frame.to_html(classes="table filtered", **how))
