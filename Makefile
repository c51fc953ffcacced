# Every target makes what it needs, the virtual environment first.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: test test-unit test-component check generate lock clean clean-cache
.DEFAULT_GOAL := test

$(BIN)/.installed: requirements/dev.lock pyproject.toml
	@echo "== virtual environment ($(VENV))"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: set PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "the venv module is missing: apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -e .
	@touch $@

## test: checks and all tests
test: check test-unit test-component

## test-component: one room against the real thing (builds Kubernetes once into the user's cache)
test-component: $(BIN)/.installed
	@cluster/build-onenode >/dev/null
	$(BIN)/pytest tests/component

## test-unit: pure tests, seconds
test-unit: $(BIN)/.installed
	$(BIN)/pytest tests/unit

## check: types, lint, layers
check: $(BIN)/.installed
	$(BIN)/ruff check operator tests
	$(BIN)/mypy
	$(BIN)/lint-imports

## generate: CRDs from the models
generate: $(BIN)/.installed
	$(BIN)/python -m gantry.api.crdgen crds

## lock: requirements/*.lock from pyproject.toml (needs uv)
lock:
	for extra in operator worker dev; do uv pip compile -q --generate-hashes --no-emit-index-url --python-version 3.11 --universal --extra $$extra pyproject.toml -o requirements/$$extra.lock; done

## clean: what the repository's own targets made; clean-cache: what was built for all checkouts
clean-cache:
	rm -rf "$${XDG_CACHE_HOME:-$$HOME/.cache}/gantry"

clean:
	rm -rf $(VENV) build
