# Everything sets itself up: a bare machine with Python 3.11 or newer is enough.
PYTHON ?=
VENV ?= .venv
BIN := $(VENV)/bin
ONCE ?=
JSON ?=
MICROPHONE ?=
UPGRADE ?=
# Every run starts the same modules in a hundred processes: they are compiled once.
unexport PYTHONDONTWRITEBYTECODE

PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
# What is installed is what was tested: requirements/*.txt, made by `make lock`. The project itself needs no download then.
INSTALL = $(PIP) install --require-hashes --requirement requirements/$(1).txt
EDITABLE := $(PIP) install --no-deps --no-build-isolation --editable .

.PHONY: demo test real quick check plan latest oldest lock chaos fuzz bench bench-compare bench-wer dictation load soak \
	docs esp-idf clean wanted wheel aarch64 deb deb-trial

demo: $(VENV)/.demo  ## the main job, live: two simulated ESP32s, or (MICROPHONE=1) your own voice; the page on :8080
	@$(BIN)/earshot demo $(if $(ONCE),--once) $(if $(JSON),--json) \
		$(if $(MICROPHONE),--microphone '$(patsubst 1,default,$(MICROPHONE))')

test: $(VENV)/.dev check  ## what CI runs
	@.ci/system-packages
	@.ci/tests $(BIN)/python

real: $(VENV)/.dev  ## fetches what is real and large (real weights, a Home Assistant, a language model: 1.2 GB, once), and runs the tests that want it
	@.ci/system-packages
	@.ci/real $(BIN)/python

# What is compiled, served over HTTP, attacked or killed belongs to the whole suite; here it is not even imported.
WHOLE := attacks benchmarks chaos firmware_bridge/esp32 fuzz gateway/adapters gateway/web real system

quick: $(VENV)/.dev  ## the inner loop: under a minute on two cores
	$(BIN)/python -m pytest -n 3 --dist loadgroup -m "not slow" -q --hypothesis-profile quick $(WHOLE:%=--ignore tests/%)

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $$(find firmware_bridge tests -name '*.[ch]')
	$(BIN)/mypy

plan: $(VENV)/.dev  ## the floor plan in docs/architecture.md, made from the imports and the docstrings
	$(BIN)/python -m docs.plan

latest oldest: $(BIN)/uv  ## the tests with the newest, or the oldest, of everything that pyproject.toml allows
	@.ci/system-packages
	@.ci/unlocked $@ $(BIN)/uv $(PYTHON)
	@.ci/tests .venv-$@/bin/python

lock: $(BIN)/uv  ## pins what is installed: what is new in pyproject.toml; with UPGRADE=1 the newest of everything
	@.ci/lock $(abspath $(BIN)/uv) $(if $(UPGRADE),--upgrade)

chaos: $(VENV)/.dev  ## everything is killed, cut and filled; the table in docs/reliability.md (an hour)
	@.ci/system-packages
	$(BIN)/python -m tests.chaos

fuzz: $(VENV)/.dev  ## inputs that coverage leads to, against everything that reads what strangers send (10 minutes each: 4 hours)
	@$(BIN)/python -m tests.fuzz --each --seconds $(or $(SECONDS),600)
	@$(BIN)/python -m tests.fuzz.c --seconds $(or $(SECONDS),600)

bench: $(VENV)/.dev  ## all benchmarks; regenerates the table in docs/benchmarks.md
	@.ci/system-packages
	@.ci/system-packages speech
	$(BIN)/python -m benchmarks --all

bench-compare: $(VENV)/.dev  ## today's results against the committed ones, ratios with their spread (NAMES="hub journal", ROUNDS=3; on quiet cores)
	@.ci/system-packages
	$(BIN)/python -m benchmarks --rounds $(or $(ROUNDS),3) --compare $(NAMES)

bench-wer: $(VENV)/.dev  ## word errors of every engine and every shortcut (minutes)
	@.ci/system-packages speech
	$(BIN)/python -m benchmarks wer

load: $(VENV)/.dev  ## a whole fleet at what this machine bears, and a page about it (ARGS="--minutes 4 --duty 0.02 --devices-mqtt 50"; docs/load.md)
	@.ci/system-packages
	$(BIN)/python -m benchmarks.fleet load $(ARGS)

soak: $(VENV)/.dev  ## the same for two hours, at little, and what became of memory (ARGS="--hours 0.5", ARGS="--night --hours 1")
	@.ci/system-packages
	$(BIN)/python -m benchmarks.fleet soak $(ARGS)

dictation: $(VENV)/.dev  ## three hours of speech without an end, faster than it is spoken (minutes)
	$(BIN)/python -m benchmarks dictation

$(BIN)/python:
	@.ci/venv $(VENV) $(PYTHON)

ifneq ($(PYTHON),)
$(BIN)/python: wanted  # which is looked at each time: an environment of another Python is no answer
wanted:
endif

$(BIN)/uv: requirements/uv.txt | $(BIN)/python
	@$(call INSTALL,uv)
	@touch $@

$(VENV)/.demo: requirements/demo.txt pyproject.toml | $(BIN)/python
	@echo "Installing Earshot into $(VENV) (once; about a minute) ..." >&2
	@$(call INSTALL,demo)
	@$(EDITABLE)
	@touch $@

$(VENV)/.dev: requirements/test.txt pyproject.toml | $(BIN)/python
	@echo "Installing Earshot and what its tests need into $(VENV) (once; a minute or two) ..." >&2
	@$(call INSTALL,test)
	@$(EDITABLE)
	@touch $@ $(VENV)/.demo

wheel: $(VENV)/.dev  ## dist/*.whl, installed by pipx and from the pins, far from here, and tried (a minute or two)
	@.ci/wheel $(abspath $(BIN)/uv) $(abspath $(BIN)/python)

aarch64: $(BIN)/uv  ## whether all that is pinned has wheels for a Raspberry Pi
	@.ci/aarch64 $(abspath $(BIN)/uv) $(abspath $(BIN)/python)

deb: $(VENV)/.dev  ## dist/*.deb for Debian 12 and 13, amd64 and arm64 (RELEASES=12 ARCHITECTURES=amd64: less), each looked at by lintian
	@.ci/system-packages deb
	@deploy/debian/build $(abspath $(BIN)/uv) $(abspath $(BIN)/python) $(if $(RELEASES),"$(RELEASES)","12 13") $(if $(ARCHITECTURES),"$(ARCHITECTURES)","amd64 arm64")

deb-trial: deb  ## each package for this machine's architecture installed, used, upgraded, removed and purged in a Debian of its own (root)
	@deploy/debian/trials $(shell dpkg --print-architecture) "$(RELEASES)"

docs: $(BIN)/uv  ## the documentation as a site in build/site, searched, read from a folder; a broken link is an error (a minute)
	@$(BIN)/uv venv -q --clear build/docs-venv
	@$(BIN)/uv pip install -q -p build/docs-venv/bin/python --require-hashes -r requirements/docs.txt
	@build/docs-venv/bin/python -m docs.site

esp-idf: $(BIN)/uv  ## the ESP32 component against ESP-IDF's own headers (IDF_PATH=..., IDF_EXTRA=...), and its manifests
	@.ci/esp-idf
	@.ci/esp-manifests

clean:
	rm -rf $(VENV) .venv-latest .venv-oldest build dist *.egg-info
