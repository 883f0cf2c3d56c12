# The one door: every target makes what it needs and is quick when that is done.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help demo studio test unit check format bench docs clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $(READY)

demo: $(READY)  ## separate a real recording with real weights
	$(BIN)/python examples/demo.py

studio: $(READY)  ## open the reference app: upload, listen, mix, export
	$(BIN)/python -m examples.http_app

test: $(READY)  ## run all tests
	$(BIN)/pytest

unit: $(READY)  ## run the quick tests, one process for each CPU
	$(BIN)/pytest -m "not slow" --numprocesses auto --dist worksteal tests/unit

check: $(READY) docs  ## lint, format, types, architecture, documentation
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)  ## mend what the linter can mend
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(READY)  ## measure speed and memory; minutes
	$(BIN)/python -m benchmarks

docs: $(READY)  ## build the documentation into site/; its code blocks are run by the tests
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

clean:  ## forget the environment and all caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache build dist site demo-output
