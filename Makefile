# The commands of this repository. They need Python 3.11 or newer, pip, make and git.

PYTHON ?= python3
JOBS ?= 2
# Many tests wait for processes and servers, so two cores have time for more of them.
TEST_JOBS ?= 6
FUZZ_EXAMPLES ?=
BASH_LINES ?= 200000
PIP := -m pip --quiet --disable-pip-version-check
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast test-long fuzz check bench litellm node-page lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/.set-up ## the virtual environment, with the locked versions

demo: setup ## sign in at an emulated service, ask the embedded model, sign out
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m demo

test: setup ## all tests except the long ones; for some: make test ARGS='tests/auth -x'
	$(BIN)/python -m pytest -n $(TEST_JOBS) -m 'not long' $(ARGS)

test-fast: setup ## tests that start no processes (under a minute)
	$(BIN)/python -m pytest -n $(JOBS) -m 'not process and not long' $(ARGS)

test-long: setup ## the long tests: races of many processes, kills, long waits
	$(BIN)/python -m pytest -n $(JOBS) -m long $(ARGS)

fuzz: setup ## tests with new random input (15 minutes; BASH_LINES=20000: less)
	QWEN_TEST_FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) QWEN_TEST_BASH_LINES=$(BASH_LINES) \
	  $(BIN)/python -m pytest -n $(JOBS) -m 'hypothesis or fuzz' \
	  --hypothesis-profile=fuzz --timeout=0 $(ARGS)

check: setup ## format, lint, types, layers, dependencies
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry src

bench: setup .venv-bench/.set-up ## speed and size, compared with floors and the peers on PATH
	$(BIN)/python bench/run.py --python .venv-bench/bin/python --qwen .venv-bench/bin/qwen $(ARGS)

litellm: .venv-litellm/.set-up ## LiteLLM's proxy for the tests, in its own environment (730 MB)

node-page: setup ## the tables of docs/node-qwen-code.md
	$(BIN)/python tests/support/node_page.py

lock: ## update constraints.txt to the latest versions that pyproject.toml allows
	$(call make_venv,.venv-lock)
	.venv-lock/bin/python $(PIP) install -e '.[all,dev]'
	.venv-lock/bin/python -m pip freeze --exclude-editable > constraints.txt
	rm -rf .venv-lock

clean: ## remove environments, builds and caches
	rm -rf .venv .venv-bench .venv-litellm .venv-lock build dist
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.set-up: pyproject.toml constraints.txt
	$(call make_venv,.venv)
	$(BIN)/python $(PIP) install -c constraints.txt -e '.[all,dev]'
	@touch $@

# The bench measures what users get: an installed and compiled wheel. An editable one starts slower.
.venv-bench/.set-up: pyproject.toml constraints.txt $(shell find src -name '*.py')
	$(call make_venv,.venv-bench)
	.venv-bench/bin/python $(PIP) install -c constraints.txt '.[mcp]' httpx openai bpe-openai==0.1.4
	@touch $@

# LiteLLM pins other versions than this project, so it is installed apart.
.venv-litellm/.set-up: tests/model_servers/litellm.txt
	$(call make_venv,.venv-litellm)
	.venv-litellm/bin/python $(PIP) install -r tests/model_servers/litellm.txt
	@touch $@

# Some systems ship Python without ensurepip. Then their pip installs one into the environment.
define make_venv
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
  { echo "$(PYTHON) is too old: Python 3.11 or newer is needed (make PYTHON=python3.12 …)" >&2; exit 1; }
@test -x $(1)/bin/pip || $(PYTHON) -m venv $(1) 2>/dev/null || \
  { $(PYTHON) -m venv --clear --without-pip $(1) && $(PYTHON) -m pip --python $(1)/bin/python install --quiet pip; }
endef
