# Everything runs in a virtual environment of its own; `make demo` and `make test` are all a newcomer needs.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: help setup demo test lint bench soak clean
help:
	@echo "make demo   set up, train the digits experiment on an emulated board, say where the report is"
	@echo "make test   set up, run the test suite"
	@echo "make lint   style, types and layer rule"
	@echo "make bench  speed tables (minutes); make soak  long fault campaigns"

setup: $(STAMP)
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(STAMP)

# one thread: on tensors this small a second one only waits for the first
demo: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/hil train digits --device emulator:discrete-board --run-dir runs/demo --overwrite

test: $(STAMP)
	$(BIN)/python -m pytest

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p hil -p drivers -p emulator -p firmware_specs
	$(BIN)/lint-imports

bench: $(STAMP)
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.wires --train

soak: $(STAMP)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[soak]'
	$(BIN)/python -m pytest -m soak --timeout 3600

clean:
	rm -rf $(VENV) build *.egg-info
