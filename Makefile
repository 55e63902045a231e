# Everything runs in a virtual environment of its own; `make demo` and `make test` are all a newcomer needs.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# auto: without a GPU the build for the CPU where it can be had; cpu: that one or none; pip: what pip finds
TORCH  ?= auto
STAMP  := $(VENV)/.installed$(if $(filter-out auto,$(TORCH)),-$(TORCH))
SETUP  := $(STAMP)
# twice the cores: many tests wait for sockets, deadlines and processes
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(min(8, 2 * (os.cpu_count() or 1)))')
SEED    ?= $(shell date +%s)
RELEASE ?= trixie
EXTENT  ?= full
# where this is set, every worker and every process of the tests would compile all of it again
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test lint peers bench soak docs links notebooks packages fresh test-lowest test-newest lock upgrade clean
help:
	@echo "make demo   set up, train the digits experiment on an emulated board, say where the report is"
	@echo "make test   set up, run the test suite; SEED=N repeats an order, WORKERS=0 runs it in one process"
	@echo "make lint   style, types and layer rule"
	@echo "make peers  installs QCoDeS, InstrumentKit, tm_devices and others and lets other people's drivers judge the virtual instruments"
	@echo "make bench  speed tables (minutes); make soak  long fault campaigns"
	@echo "make docs   the site, its notebooks run; make notebooks writes them as .ipynb; make links looks whether links lead anywhere"
	@echo "make packages  wheel and sdist in dist/, checked, a training in a bare environment with the wheel"
	@echo "make fresh  the first commands of README in a bare Debian; RELEASE=trixie, bookworm or sid"
	@echo "make test-lowest, test-newest  the suite with the oldest and newest packages; EXTENT=short: first commands only"
	@echo "make lock   locks what pyproject.toml newly needs; make upgrade  moves every lock to the newest release"
	@echo "TORCH=cpu   torch without CUDA libraries; TORCH=pip  the build that pip finds"

setup: $(SETUP)
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0])'
	@echo "setting up $(VENV): some minutes, once"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python tools/install.py --torch $(TORCH) --editable '.[dev]'
	@touch $(VENV)/.installed $(STAMP)

# one thread: on tensors this small a second one only waits for the first
demo: $(SETUP)
	OMP_NUM_THREADS=1 $(BIN)/hil train digits --device emulator:discrete-board --run-dir runs/demo --overwrite

test: $(SETUP)
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal --randomly-seed $(SEED)

lint: $(SETUP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p hil -p drivers -p emulator -p firmware_specs -p pyvisa_hil -p benchmarks
	$(BIN)/mypy --platform win32 --cache-dir .mypy_cache/windows -p hil -p drivers -p emulator -p firmware_specs
	$(BIN)/lint-imports

peers: $(SETUP)
	@$(BIN)/python tools/install.py --torch $(TORCH) --editable '.[peers]'
	@$(BIN)/python tools/install.py --torch $(TORCH) --no-deps instrumentkit==0.6.0
	@$(BIN)/python -m pip install --quiet --upgrade --target $(BIN)/../tm_devices tm_devices==3.7.0
	$(BIN)/python -m pytest tests/peers -rP -n 0

bench: $(SETUP)
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.growth growth.png
	$(BIN)/python -m benchmarks.peers
	$(BIN)/python -m benchmarks.wires --train
	$(BIN)/python -m benchmarks.figures --seeds 2 --by preset,item

soak: $(SETUP)
	@$(BIN)/python tools/install.py --torch $(TORCH) --editable '.[soak]'
	$(BIN)/python -m pytest -m soak --timeout 3600

DOCS := $(VENV)/.installed-docs
$(DOCS): $(SETUP)
	@$(BIN)/python tools/install.py --torch $(TORCH) --editable '.[docs]'
	@touch $(DOCS)

# notebooks are run once and kept below build/docs; a warning is an error
docs: $(DOCS)
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -q --fail-on-warning --keep-going -b html docs build/docs/html
	@echo "build/docs/html/index.html"

# links between pages are errors of `make docs`; ONLINE=--online counts servers that cannot be reached, too
links:
	$(PYTHON) tools/links.py $(ONLINE)

notebooks: $(DOCS)
	OMP_NUM_THREADS=1 $(BIN)/python tools/notebooks.py

packages: $(SETUP)
	@$(BIN)/python tools/install.py --torch $(TORCH) --editable '.[package]'
	tools/packages.sh $(abspath $(BIN))/python

fresh:
	tools/fresh.sh $(RELEASE)

test-lowest:
	tools/ranges.sh lowest $(EXTENT) $(PYTHON)

test-newest:
	tools/ranges.sh newest $(EXTENT) $(PYTHON)
	tools/ranges.sh pre $(EXTENT) $(PYTHON)

lock:
	@tools/lock.sh $(PYTHON)

upgrade:
	@tools/lock.sh $(PYTHON) --upgrade

clean:
	rm -rf $(VENV) build dist *.egg-info
