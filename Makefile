# Every target does its own set-up; `make help` says what each one is for.
PYTHON ?= python3
BIN := .venv/bin
NOTEBOOKS := $(filter-out index,$(patsubst notebooks/%.ipynb,%,$(wildcard notebooks/*.ipynb))) index

# Executes notebooks into the folder of a book, one after the other in one process: FOLDER NAMES... [PARAMETER=VALUE]
define EXECUTE
import sys
from papermill import execute_notebook
book, *given = sys.argv[1:]
parameters = dict(text.split("=") for text in given if "=" in text)
for name in (text for text in given if "=" not in text):
    page = f"{book}/index.ipynb" if name == "index" else f"{book}/experiments/{name}.ipynb"
    print(page, flush=True)
    execute_notebook(f"notebooks/{name}.ipynb", page, parameters, progress_bar=False)
endef
export EXECUTE

# The README's picture.
define PICTURE
from skdcore import figures, study
table = study.experiment("table_1")
figures.gains(table.compare(*study.at_scale(table, "small"))).savefig("book/figures/table_1_small.png", dpi=120)
endef
export PICTURE

.DEFAULT_GOAL := help
.PHONY: help setup book pages test sweep bench lab clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

setup: .venv/ready ## a virtual environment .venv with the versions of requirements.lock

.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "needs Python 3.11 or newer (make PYTHON=python3.12 ...), not " + sys.version.split()[0])'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@

book: setup ## train the miniature, show its numbers: _build/html/index.html (what is trained already is kept; tracked files stay as they are)
	rm -rf _build/fresh && mkdir -p _build/fresh book/experiments
	cp -R book skdcore _config.yml _build/fresh/
	$(BIN)/python -c "$$EXECUTE" _build/fresh/book $(NOTEBOOKS)
	$(BIN)/jupyter-book build --path-output . -W -n --quiet _build/fresh/book
	@echo "open _build/html/index.html"

pages: setup ## renew the committed pages and the miniature's committed records
	mkdir -p book/experiments
	$(BIN)/python -c "$$EXECUTE" book $(NOTEBOOKS) results=results
	$(BIN)/python -c "$$PICTURE"
	$(BIN)/jupyter-book build -W -n --quiet book/

test: setup ## ruff and the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal

SWEEP ?= --dataset glyphs --model resnet10_w16 --method vanilla ls drg dsr drg+dsr --seed 0 1 2 --results _build/results
sweep: setup ## train many cells on Dask: make sweep SWEEP="--dataset cifar100 --root data ..."
	$(BIN)/python -m skdcore sweep $(SWEEP)

bench: setup ## what a step costs: ratios from one interleaved run
	$(BIN)/python -m skdcore bench

lab: setup ## JupyterLab on the notebooks
	$(BIN)/jupyter lab --notebook-dir . notebooks

clean: ## remove what was built and trained (not .venv, not results/)
	rm -rf _build
