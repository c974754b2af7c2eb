"""The page "All runs": a table of every record, to be sorted, filtered and downloaded."""

import html

from IPython.display import HTML

from skdcore import records
from skdcore.study.quantities import QUANTITIES, head
from skdcore.study.tables import listing

RUN = {"seed": "seed", "dataset": "data set", "model": "network", "epochs": "epochs", "precision": "precision"}
METRICS = "accuracy", "nll", "ece", "train_accuracy", "minutes"
MADE = {"ended": "date", "commit": "commit", "state": "state"}


def table(results):
    """The records under a folder as HTML, each with a link to the page of its runs; in the book it can be filtered.

    Raises FileNotFoundError for a folder that is not there.
    """
    frame = listing(records.under(records.folder(results)))
    if frame.empty:
        return HTML(f"<p>No records under {html.escape(str(results))}.</p>")
    accuracy, *others = METRICS
    frame["ended"], frame["commit"] = frame["ended"].str[:10], frame["commit"].fillna("not recorded").str[:12]
    frame = frame.round({key: QUANTITIES[key].decimals for key in METRICS})
    texts = frame.select_dtypes(exclude="number").columns
    frame[texts] = frame[texts].map(html.escape)
    pairs = zip(frame["page"], frame["method"], strict=True)
    frame["method"] = [f'<a href="../{page}">{name}</a>' for page, name in pairs]
    columns = {"method": "method", accuracy: head(accuracy)} | RUN | {key: head(key) for key in others} | MADE
    frame = frame.reindex(columns=columns).rename(columns=columns)
    how = {"index": False, "escape": False, "border": 0, "na_rep": "", "table_id": "runs", "justify": "left"}
    return HTML(frame.to_html(classes="table filtered", **how))
