# make serve    start the server; more options: make serve ARGS="--ws 127.0.0.1:0"
# make test     the gate: style, types, tests
# make fuzz-api the HTTP API asked whatever its description allows, and more, for some minutes
# make autobahn the WebSocket test suite of the Autobahn project, against both engines, also over TLS (needs Python 2.7)
# make test-dependencies  the tests with the oldest and newest dependencies, on each Python there is; half an hour
# make bench    this server beside its peers, about 20 minutes; less: make bench ARGS="--runs 1 --only send_x8 route"
# All set up .venv first if need be. Another interpreter: make PYTHON=/path/to/python3 ...

PYTHON ?= python3 python3.14 python3.13 python3.12 python3.11 python
ARGS ?=
BIN := .venv/bin

.PHONY: help serve test test-dependencies fuzz-api autobahn bench

help:
	@sed -n '1,7s/^# //p' Makefile

serve: .venv/.installed
	@exec $(BIN)/python -m wukong_trio serve --data-dir wukong-data $(ARGS)

test: .venv/.installed-dev .venv-fuzz/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict
	$(BIN)/python tests/fuzz/fuzz_api.py --cases 5 --limit 120
	$(BIN)/pytest

test-dependencies: .venv/bin/python
	@$(BIN)/python tests/dependencies.py $(ARGS)

fuzz-api: .venv/.installed-dev .venv-fuzz/.installed
	@$(BIN)/python tests/fuzz/fuzz_api.py $(ARGS)

autobahn: .venv/.installed-dev
	@$(BIN)/python tests/autobahn/run.py

bench: .venv/.installed-bench
	@$(BIN)/python benchmarks/run.py $(ARGS)

# Stamps: nothing is installed again until pyproject.toml changes.
.venv/.installed: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/.installed-dev: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch .venv/.installed $@

.venv-fuzz/.installed: tests/fuzz/requirements.txt | .venv/bin/python
	.venv/bin/python -m venv --clear .venv-fuzz
	.venv-fuzz/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

.venv/.installed-bench: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,peers]'
	@touch .venv/.installed .venv/.installed-dev $@

.venv/bin/python:
	@for python in $(PYTHON); do \
	    if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        echo "$$python -m venv .venv"; \
	        $$python -m venv --clear .venv && exit 0; \
	        rm -rf .venv; \
	        echo "make: $$python cannot create a virtual environment; on Debian and Ubuntu install python3-venv" >&2; \
	        exit 1; \
	    fi; \
	done; \
	echo "make: Python 3.11 or newer is needed, and none of these is: $(PYTHON)" >&2; \
	for python in $(PYTHON); do \
	    version=$$($$python --version 2>/dev/null) && echo "make: $$python is $$version" >&2; \
	done; \
	echo "make: install it, or name it: make PYTHON=/path/to/python3" >&2; \
	exit 1
