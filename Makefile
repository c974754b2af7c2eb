# Every target does its own set-up; `make help` says what each one is for.
PYTHON ?= python3
BIN := .venv/bin

# Builds the pages in a folder.  Jupyter Book 2 would build nothing from them and exit 0, hence the look at the end.
define BUILD
rm -f _build/html/index.html
$(BIN)/jupyter-book build --path-output . -W -n --quiet $(1)
@test -f _build/html/index.html || { echo "no _build/html/index.html: $(BIN)/jupyter-book must be version 1.0.4" >&2; exit 1; }
endef

.DEFAULT_GOAL := help
.PHONY: help setup book pages test quick sweep bench faults lab clean

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
	$(BIN)/python -m skdcore.study pages _build/pages
	rm -rf _build/fresh && mkdir -p _build/fresh
	cp -R book skdcore _config.yml _build/fresh/
	cp -R _build/pages/. _build/fresh/book/
	$(call BUILD,_build/fresh/book)
	@echo "open _build/html/index.html"

pages: setup ## renew the committed pages and the miniature's committed records
	$(BIN)/python -m skdcore.study pages book --results results
	$(BIN)/python -m skdcore.study picture book/figures/table_1_small.png
	$(call BUILD,book/)

test: setup ## ruff and the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal

quick: setup ## the tests that the author of a method needs, in a minute
	$(BIN)/python -m pytest -m quick --numprocesses 2 --dist worksteal

SWEEP ?= --dataset glyphs --model resnet10_w16 --method vanilla ls drg dsr drg+dsr --seed 0 1 2 --results _build/results
sweep: setup ## train many runs on Dask: make sweep SWEEP="--dataset cifar100 --root data ..."
	$(BIN)/python -m skdcore sweep $(SWEEP)

bench: setup ## what a step costs: ratios from one interleaved run
	$(BIN)/python -m skdcore bench

faults: setup ## what a sweep survives: processes killed, files damaged, inputs at random
	$(BIN)/python tests/faults

lab: setup ## JupyterLab on the notebooks
	$(BIN)/jupyter lab --notebook-dir . notebooks

clean: ## remove what was built and trained (not .venv, not results/)
	rm -rf _build
