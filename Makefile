# Every command of this repository. Needs Python 3.11 or newer, pip, make and git.

PYTHON ?= python3
JOBS ?= 2
FUZZ_EXAMPLES ?=
PIP := -m pip --quiet --disable-pip-version-check
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast test-long fuzz check bench lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/.set-up ## the virtual environment, with the locked versions

demo: setup ## a prompt answered by the embedded model, and how it was reached
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m demo

test: setup ## all tests that are not long; make test ARGS='tests/auth -x' for some
	$(BIN)/python -m pytest -n $(JOBS) -m 'not long' $(ARGS)

test-fast: setup ## tests that start no processes: under a minute
	$(BIN)/python -m pytest -n $(JOBS) -m 'not process and not long' $(ARGS)

test-long: setup ## the others: races of many processes, kills, long waits
	$(BIN)/python -m pytest -n $(JOBS) -m long $(ARGS)

fuzz: setup ## new random input, for about two minutes; FUZZ_EXAMPLES=50000 for longer
	QWEN_TEST_FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) $(BIN)/python -m pytest -n $(JOBS) -m hypothesis \
	  --hypothesis-profile=fuzz --timeout=0 $(ARGS)

check: setup ## format, lint, types, arrows between rooms, dependencies
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry src

bench: setup .venv-bench/.set-up ## how fast and how big, against floors and the peers found on PATH
	$(BIN)/python bench/run.py --python .venv-bench/bin/python --qwen .venv-bench/bin/qwen $(ARGS)

lock: ## write constraints.txt anew from what pyproject.toml admits today
	$(call make_venv,.venv-lock)
	.venv-lock/bin/python $(PIP) install -e '.[all,dev]'
	.venv-lock/bin/python -m pip freeze --exclude-editable > constraints.txt
	rm -rf .venv-lock

clean: ## remove what was built and set up
	rm -rf .venv .venv-bench .venv-lock build dist
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.set-up: pyproject.toml constraints.txt
	$(call make_venv,.venv)
	$(BIN)/python $(PIP) install -c constraints.txt -e '.[all,dev]'
	@touch $@

# Measured is what users get: a wheel, compiled as it is installed. An editable one starts slower.
.venv-bench/.set-up: pyproject.toml constraints.txt $(shell find src -name '*.py')
	$(call make_venv,.venv-bench)
	.venv-bench/bin/python $(PIP) install -c constraints.txt '.[mcp]' httpx openai bpe-openai==0.1.4
	@touch $@

# Some systems ship Python without ensurepip: their own pip then puts one into the environment.
define make_venv
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
  { echo "$(PYTHON) is too old: Python 3.11 or newer is needed (make PYTHON=python3.12 …)" >&2; exit 1; }
@test -x $(1)/bin/pip || $(PYTHON) -m venv $(1) 2>/dev/null || \
  { $(PYTHON) -m venv --clear --without-pip $(1) && $(PYTHON) -m pip --python $(1)/bin/python install --quiet pip; }
endef
