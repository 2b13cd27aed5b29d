# Every command of this repository. `make help` lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up
JOBS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## the virtual environment, with the locked versions

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,local]'
	@touch $@

demo: $(STAMP) ## a prompt answered by the embedded model, and how it was reached
	@PATH="$(CURDIR)/$(BIN):$$PATH" bash demo/demo.sh

test: $(STAMP) ## all tests
	$(BIN)/python -m pytest -n $(JOBS) $(ARGS)

check: $(STAMP) ## format, lint, types, arrows between rooms, dependencies
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry src

bench: $(STAMP) ## how fast and how big, against floors and the peers found on PATH
	$(PYTHON) -m venv $(VENV)-bench
	$(VENV)-bench/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt . httpx openai
	$(BIN)/python bench/run.py --python $(VENV)-bench/bin/python --qwen $(VENV)-bench/bin/qwen $(ARGS)

lock: ## write constraints.txt anew from what pyproject.toml admits today
	rm -rf $(VENV)-lock
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet --disable-pip-version-check -e '.[dev,local]'
	$(VENV)-lock/bin/python -m pip freeze --exclude-editable > constraints.txt
	rm -rf $(VENV)-lock

clean: ## what was built and set up
	rm -rf $(VENV) $(VENV)-bench $(VENV)-lock build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
