"""The paper's claims of accuracy: what it says, what its own cells say, and the verdict of the records.

A claim of study.yml rests on comparisons, "A better than B" at a model and scale.  One is *reproduced* when the 95 %
t interval of the difference, paired by seed, lies above zero, *contradicted* when it lies below, and *within noise*
when it holds zero; fewer than 3 pairs give no verdict.  `experiments.paired` does all of this statistic.
"""

from dataclasses import dataclass
from statistics import mean

import pandas

from skdcore.errors import unknown
from skdcore.methods import canonical
from skdcore.study import experiments
from skdcore.study.tables import Table, interval

SCALES = ("paper", "small")  # the miniature's characters decide nothing about photographs
WORDS = {  # of a claim; a question of this study keeps better and worse
    "paper": {"better": "reproduced", "worse": "contradicted"},
    "small": {"better": "carried over", "worse": "reversed"},  # another network, a shorter run
}
FOLDS = {"mean": mean, "min": min, "max": max}


@dataclass(frozen=True)
class Comparison:
    """Is the method `better` above the `best` or the `mean` (`fold`) of `rivals`, at these models of a table?"""

    better: str
    rivals: list
    fold: str
    table: experiments.Experiment
    models: list

    def __str__(self):
        rivals = ", ".join(f"`{rival}`" for rival in self.rivals)
        return f"`{self.better}` over {f'the {self.fold} of ' if len(self.rivals) > 1 else ''}{rivals}"

    def difference(self, accuracies):
        """`experiments.paired` of {method: {seed: accuracy}}, over the seeds that all methods of the comparison have.

        The best rival is the one with the highest mean over these seeds.
        """
        ours, rivals = accuracies[self.better], [accuracies[rival] for rival in self.rivals]
        seeds = sorted(set(ours).intersection(*rivals))
        average = {seed: mean(rival[seed] for rival in rivals) for seed in seeds}
        best = max(rivals, key=lambda rival: sum(rival[seed] for seed in seeds))
        return experiments.paired(ours, average if self.fold == "mean" else {seed: best[seed] for seed in seeds})

    def cell(self, model):
        """The same difference between the paper's own cells, in percentage points; None where it prints too few."""
        printed = {method: values.get(model) for method, values in self.table.rows.items()}
        return self.difference({m: {} if value is None else {0: value} for m, value in printed.items()})["gain"]


@dataclass(frozen=True)
class Claim:
    """`text` is what the paper says or, if `asked`, a question of this study; `size` {fold: gain} what it prints."""

    id: str
    text: str
    asked: bool
    where: str
    size: dict
    comparisons: list

    def cells(self):
        """The differences between the paper's own cells, one a comparison and model that it prints."""
        cells = [comparison.cell(model) for comparison in self.comparisons for model in comparison.models]
        return [cell for cell in cells if cell is not None]

    def printed(self):
        """`size` as text, such as "mean +2.00, max +2.87"; of a single cell the number alone."""
        return _words(self.size, len(self.cells()) == 1)

    def computed(self):
        """The same from the paper's own cells, with their range and how many have the claim's sign."""
        if not (cells := self.cells()):
            return ""
        folds = _words({fold: FOLDS[fold](cells) for fold in [*self.size, "min", "max"]}, len(cells) == 1)
        return folds if len(cells) == 1 else f"better in {sum(cell > 0 for cell in cells)} of {len(cells)}: {folds}"


def _words(sizes, one):
    texts = [f"{value:+.2f}" if one else f"{fold} {value:+.2f}" for fold, value in sizes.items()]
    return ", ".join(texts[:1] if one else texts)


def claims():
    """The claims of study.yml.  Raises ValueError for an experiment, a row or a model that does not exist."""
    given = experiments.claims()
    tables = {
        name: experiments.experiment(name) for name in {one["table"] for entry in given for one in entry["comparisons"]}
    }
    return [
        Claim(
            entry["id"],
            entry["asks" if "asks" in entry else "says"],
            "asks" in entry,
            entry["where"],
            entry.get("size", {}),
            [_comparison(**one | {"table": tables[one["table"]]}) for one in entry["comparisons"]],
        )
        for entry in given
    ]


def _comparison(better, than, table, models=None):
    ((fold, rivals),) = than.items() if isinstance(than, dict) else [("best", [than])]
    better, *rivals = (canonical(method) for method in (better, *rivals))
    for kind, names, known in (("row", [better, *rivals], table.rows), ("column", models or [], table.columns)):
        for name in names:
            if name not in known:
                raise unknown(f"{kind} of {table.name}", name, known)
    return Comparison(better, rivals, fold, table, models or table.columns)


def judge(scale, results=experiments.RESULTS):
    """A row for each claim, comparison and model at a scale: the paper's cell, and `experiments.paired` in a claim's words.

    At a scale with networks of its own, Tables I and II are the same runs, and stand there once.
    """
    networks, found, rows = experiments.scale(scale).get("models"), {}, []
    for claim in claims():
        words = {"": experiments.MISSING} | ({} if claim.asked else WORDS[scale])
        for comparison in claim.comparisons:
            table, models = comparison.table, networks or comparison.models
            if table.name not in found:
                found[table.name], _ = experiments.at_scale(table, scale, results)
            by_cell = table.by_cell(found[table.name], models)
            for model in models:
                row = {"claim": claim.id, "asked": claim.asked, "size": claim.printed(), "comparison": str(comparison)}
                row |= {"table": table.name if table.paper == "none" else table.paper, "model": model}
                row |= comparison.difference(
                    {method: experiments.accuracy(by_cell[model, method]) for method in table.rows}
                )
                row |= {"cell": comparison.cell(model), "verdict": words.get(row["verdict"], row["verdict"])}
                rows.append(row)
    frame = pandas.DataFrame(rows)
    return frame.drop_duplicates(["claim", "comparison", "model"]) if networks else frame


def overview(results=experiments.RESULTS):
    """A table of the claims: the gains that the paper prints, the same from its own cells, and how many verdicts."""
    judged = {scale: judge(scale, results).groupby("claim")["verdict"] for scale in SCALES}
    rows = []
    for claim in claims():
        text = f"*This study asks:* {claim.text}" if claim.asked else claim.text
        row = {"claim": f"`{claim.id}`"}
        for scale, verdicts in judged.items():
            counts = verdicts.get_group(claim.id).value_counts(sort=False)
            row[f"{scale} scale"] = ", ".join(f"{verdict}: {count}" for verdict, count in counts.items())
        row |= {"the paper says": f"{text} ({claim.where})"}
        rows.append(row | {"its size": claim.printed(), "its own cells": claim.computed()})
    caption = (
        "The verdicts, each with the number of its comparisons; what the paper claims, in our words; the gains that it "
        "prints, in percentage points, and the same computed from its own tables."
    )
    return Table(pandas.DataFrame(rows), caption, "tab-claims-overview")


def scaled(scale, results=experiments.RESULTS):
    """A table of the comparisons at a scale that have been run; its caption counts the others."""
    frame = judge(scale, results)
    ran = frame[frame["pairs"] > 0]
    text = f"The claims at the {scale} scale ({experiments.scale(scale)['text']})"
    caption = f"{text}: difference of final accuracies in percentage points, with its 95 % interval, paired by n seeds."
    caption += f" Of {len(frame)} comparisons {len(frame) - len(ran)} are {experiments.MISSING}."
    columns = "claim", "comparison", "network", "the paper", "ours", "n", "verdict"
    rows = [_row(row) for row in ran.itertuples()]
    return Table(pandas.DataFrame(rows, columns=columns), caption, f"tab-claims-{scale}")


def _row(row):
    printed = "" if pandas.isna(row.cell) else f"{row.cell:+.2f}"
    paper = "; ".join(filter(None, [printed, f"says {row.size}" if row.size else ""]))
    ours = " ".join(filter(None, [f"{row.gain:+.2f}", interval(row) and f"({interval(row)})"]))
    where = f"{row.comparison}, {row.table}"
    return f"`{row.claim}`", where, row.model, paper, ours, str(row.pairs), row.verdict


def sentence(results=experiments.RESULTS):
    """The verdicts on the paper's claims in a sentence: at the paper's scale if it has any, else at the small scale."""
    frames = {scale: judge(scale, results).query("not asked") for scale in SCALES}
    scale = next((scale for scale, frame in frames.items() if (frame["pairs"] >= 3).any()), SCALES[-1])
    parts = []
    for verdict in (*WORDS[scale].values(), experiments.NOISE, experiments.FEW):
        rows = frames[scale][frames[scale]["verdict"] == verdict]
        names = ", ".join(f"`{claim}`" for claim in rows["claim"].unique())
        words = "of fewer than three seeds" if verdict == experiments.FEW else verdict
        parts.append(f"{len(rows)} {words}" + (f" ({names})" if names else ""))
    count, missing = len(frames[scale]), (frames[scale]["verdict"] == experiments.MISSING).sum()
    text = f"**The {scale} scale** ({experiments.scale(scale)['text']}), the paper's claims"
    return f"{text}: of {count} comparisons {', '.join(parts)} and {missing} {experiments.MISSING}."
