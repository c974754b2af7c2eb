"""The command line of the study: python -m skdcore.study pages | picture | labels."""

import argparse
import sys
from pathlib import Path

from skdcore.__main__ import add, carried_out, folder
from skdcore.study import pages, predictions, run_pages
from skdcore.study.experiments import RESULTS, ROOT

OWN = ROOT / "_build/results"  # the notebooks' parameter


def main(arguments=None):
    """Runs a command; returns the exit status: 0, 1 a notebook failed, 2 bad input, 3 stopped while training."""
    return carried_out(parser(), arguments)


def parser():
    """The whole command line, as argparse sees it."""
    top = argparse.ArgumentParser(prog="python -m skdcore.study", description="From records to the pages of the book.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    sub = add(commands, pages_command, "run the notebooks whose inputs changed")
    sub.epilog = "example: python -m skdcore.study pages book --results results --only table_1 index"
    sub.add_argument(
        "folder",
        metavar="FOLDER",
        type=folder,
        help="the book: index.ipynb, experiments/ and _extra/runs/ are written here",
    )
    sub.add_argument(
        "--results", type=folder, metavar="DIR", help="folder of this run's records; default: the notebooks' parameter"
    )
    sub.add_argument("--only", metavar="NAME", nargs="+", help="notebooks, such as table_1; default: all")
    sub = add(commands, picture_command, "draw the README's picture")
    sub.add_argument("file", metavar="FILE", help="such as book/figures/table_1_small.png")
    sub = add(commands, labels_command, "keep the test labels of a data set")
    sub.add_argument("dataset", help="such as cifar100")
    sub.add_argument("--root", help="folder that holds the data set's files")
    return top


def pages_command(chosen):
    """Run the notebooks in notebooks/ and write each, with its outputs, as a page of the book in FOLDER.

    What the tables show and has no record yet is trained first.  With --results, all claims and
    their verdicts are written to claims.json in that folder.  A page carries a fingerprint of
    what it was made from: its notebook and parameters, the code, study.yml, and the records.
    While these are the same, the notebook is not run again; delete a page to have it made anew.
    If a notebook fails, its old page stays, the other pages are made, and the exit status is 1.
    Then the run pages are written, from the committed records and from this run's.
    """
    failed = pages.make(chosen.folder, chosen.results, chosen.only)
    print(f"{'run pages':14} {run_pages.make(chosen.folder, RESULTS, chosen.results or OWN)}")
    return int(bool(failed))


def picture_command(chosen):
    """Draw the README's picture: the gains of Table I on all of CIFAR-100, from the committed records."""
    if Path(chosen.file).suffix not in (".png", ".svg", ".pdf"):
        raise ValueError(f"{chosen.file!r}: a picture's name ends in .png, .svg or .pdf")
    pages.picture(chosen.file)
    print(f"kept in {chosen.file}")


def labels_command(chosen):
    """Keep the classes and the test labels of a data set in results/labels.

    Run pages need them to say which predictions are right.  Predictions whose accuracy by them is
    not that of the run's record are refused; the records themselves hold no labels.
    """
    print(f"kept in {predictions.keep(chosen.dataset, chosen.root)}")


if __name__ == "__main__":
    sys.exit(main())
