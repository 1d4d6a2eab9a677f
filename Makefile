# Everything sets itself up: a bare machine with Python 3.11 or newer is enough.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ONCE ?=
JSON ?=
# Every run starts the same modules in a hundred processes: they are compiled once.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test quick check chaos bench bench-wer dictation clean

demo: $(VENV)/.demo  ## the main job, live: two simulated ESP32s, the page on :8080
	@$(BIN)/earshot demo $(if $(ONCE),--once) $(if $(JSON),--json)

test: $(VENV)/.dev check  ## what CI runs
	@.ci/system-packages
	@.ci/tests $(BIN)/python

quick: $(VENV)/.dev  ## the inner loop: under a minute on two cores
	$(BIN)/python -m pytest -n 2 -m "not slow" -q --hypothesis-profile quick

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

chaos: $(VENV)/.dev  ## everything is killed, cut and filled; the table in docs/reliability.md (an hour)
	@.ci/system-packages
	$(BIN)/python -m tests.chaos

bench: $(VENV)/.dev  ## all benchmarks; regenerates the table in docs/benchmarks.md
	@.ci/system-packages
	@.ci/system-packages speech
	$(BIN)/python -m benchmarks --all

bench-wer: $(VENV)/.dev  ## word errors of every engine and every shortcut (minutes)
	@.ci/system-packages speech
	$(BIN)/python -m benchmarks wer

dictation: $(VENV)/.dev  ## three hours of speech without an end, faster than it is spoken (minutes)
	$(BIN)/python -m benchmarks dictation

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml | $(VENV)/bin/python
	@echo "Installing Earshot into $(VENV) (once; about a minute) ..." >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[embedded]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	@echo "Installing Earshot and what its tests need into $(VENV) (once; a minute or two) ..." >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@ $(VENV)/.demo

clean:
	rm -rf $(VENV) build dist *.egg-info
