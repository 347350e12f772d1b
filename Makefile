# Every target sets up what it needs in a virtual environment; nothing else has to be typed.
#   PYTHON   the interpreter to begin with         VENV      where the environment goes
#   ARGS     passed on to demo, test and bench     PYTHONS   the interpreters of `make matrix`
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

# The extensions are built again when any of these has changed.
SOURCES := setup.py pyproject.toml $(shell find streamgru -name '*.pyx' -o -name '*.pxd' -o -name '*.h' -o -path '*/simd/*.c' -o -name workers.c)

# Their stubs are held against what they really offer.
STUBTEST := --concise --ignore-disjoint-bases --ignore-positional-only --ignore-unused-allowlist \
	--allowlist tests/packaging/stubtest.txt
COMPILED := $(shell find streamgru -name '*.pyi' | sed 's,\.pyi$$,,; s,/,.,g')

.PHONY: help demo test lint docs bench bench-here check matrix endurance exhaustive fuzz pictures clean install-test
.DEFAULT_GOAL := help

help:
	@echo "make demo        watch the built-in model follow recorded sensor data"
	@echo "make test        build, and run the tests"
	@echo "make lint        ruff, cython-lint, mypy, and the stubs against the extensions"
	@echo "make docs        build the documentation in docs/_build/html"
	@echo "make bench       time it, beside other runtimes (a download of 3 GB) and the limits of this machine: ten minutes"
	@echo "make check       lint, test and docs: what a change must pass"
	@echo "make matrix      wheel, tests and demo on Python 3.11, 3.12 and 3.13"
	@echo "make endurance   a hundred million steps of one stream, twice: some minutes"
	@echo "make exhaustive  sigmoid, tanh and exp over all floats: a quarter of an hour"
	@echo "make fuzz        a minute of coverage-guided fuzzing for every format that is read"
	@echo "make pictures    draw the pictures of the documentation again"

demo: $(VENV)/.package
	$(BIN)/streamgru demo $(ARGS)

test: install-test
	$(BIN)/python -m pytest $(ARGS)

install-test: $(VENV)/.test

lint: $(VENV)/.lint $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	PATH="$(abspath $(BIN)):$$PATH" cython-lint streamgru
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest $(STUBTEST) $(COMPILED)

docs: $(VENV)/.docs
	$(BIN)/sphinx-build -n -W --keep-going -q -E -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

# In an environment of its own: the tests shall not depend on what the other runtimes bring along.
bench:
	@$(MAKE) --no-print-directory bench-here VENV=$(VENV)-bench

bench-here: $(VENV)/.bench
	$(BIN)/python -m benchmarks $(ARGS)

check: lint test docs

matrix: $(VENV)/.build
	$(BIN)/python tests/packaging/matrix.py $(PYTHONS)

endurance: install-test
	$(BIN)/python -m tests.realtime.endurance $(ARGS)

exhaustive:
	$(PYTHON) -m tests.kernels.simd.exhaustive

fuzz: $(VENV)/.fuzz
	$(BIN)/python -m tests.fuzz $(ARGS)

pictures: $(VENV)/.docs
	PATH="$(abspath $(BIN)):$$PATH" docs/images/draw.sh

clean:
	rm -rf $(VENV) build dist docs/_build *.egg-info
	find streamgru \( -name '*.so' -o -name '*.c' -o -name _blas_int.pxi \) ! -path '*/simd/*' ! -name workers.c | xargs rm -f

$(VENV)/.pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "streamgru needs Python 3.11 or later; name one: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade 'pip>=25.1'
	@touch $@

$(VENV)/.package: $(VENV)/.pip $(SOURCES)
	@echo "building: about a minute"
	$(PIP) install --editable .
	@touch $@

$(VENV)/.test $(VENV)/.lint $(VENV)/.docs $(VENV)/.bench $(VENV)/.fuzz: $(VENV)/.%: $(VENV)/.package
	$(PIP) install --group $*
	@touch $@

$(VENV)/.build: $(VENV)/.pip
	$(PIP) install build
	@touch $@
