# The workflow. Each target makes its own virtual environment inside the checkout.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: help demo test test-all lint bench storm clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# What an installation is made of, beside the modules, which are used where they stand.
SOURCES := pyproject.toml setup.py $(wildcard src/allcores/jobs/count/native/*)

# Stamps, so that a set-up happens once and again only when the requirements or the native kernel change.
$(VENV)/.run: $(BIN)/python $(SOURCES)
	$(PIP) -e .
	@touch $@

$(VENV)/.test: $(BIN)/python $(SOURCES)
	$(PIP) -e '.[test]'
	@touch $@ $(VENV)/.run

$(VENV)/.lint: $(BIN)/python pyproject.toml
	$(PIP) -e '.[lint]'
	@touch $@

$(VENV)/.bench: $(BIN)/python $(SOURCES)
	$(PIP) -e '.[bench]'
	@touch $@ $(VENV)/.run

demo: $(VENV)/.run ## count the lines of Python's own sources, one after the other and on all cores
	$(BIN)/python examples/demo.py

test: $(VENV)/.test ## the test suite
	$(BIN)/python -m pytest

test-all: ## the test suite on every CPython 3.10 to 3.14 found here
	PYTHON=$(PYTHON) ./tests/on_every_python.sh

lint: $(VENV)/.lint ## style and types
	$(BIN)/ruff check src tests bench examples
	$(BIN)/ruff format --check src tests bench examples
	$(BIN)/mypy

storm: $(VENV)/.test ## 50,000 tasks while another process kills workers; SEEDS=10 runs ten storms
	$(BIN)/python -m tests.storm --seeds $(or $(SEEDS),1) --seed $(or $(SEED),1) --tasks $(or $(TASKS),50000)

bench: $(VENV)/.bench ## measure against the peers, some ten minutes; writes docs/benchmarks.md, its data and its plot
	$(BIN)/python -m bench

clean: ## remove the virtual environments and caches
	rm -rf .venv* build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
