# make run · make test · make check; everything else is for those who work on the project.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LAB ?= lab

.PHONY: run setup test lint types tests check gpu format soak docs clean

run: $(READY)
	$(BIN)/autoresearch-tui $(LAB)

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; this is $$($(PYTHON) --version). Say which: make PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) \
	  || { echo "no virtual environment can be made; on Debian: apt-get install python3-venv"; rm -rf $(VENV); exit 1; }
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev,hf]'
	@touch $(READY)

# Everything CI runs. Four workers on two cores: half of a screen's test is waiting for the screen.
test: lint
	@$(MAKE) -j2 types tests

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(READY)
	$(BIN)/lint-imports
	$(BIN)/mypy

tests: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 4 --dist worksteal -m "not soak"

# Format, lint, types, import contracts, the tests of everything pure: a minute.
check: lint types
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 -m "not slow and not soak" tests/unit

# What only a CUDA device can show, offline: tests, speed, a session, pictures; figures for BENCHMARKS.md in build/gpu. Each
# part ends within ten minutes and is not done twice (`make gpu PARTS="numbers session"`). Without a device it says why.
# Nothing is installed: .venv where there is one, else PYTHON with its own packages.
gpu:
	@python=$(BIN)/python; test -x $$python || python=$(PYTHON); $$python -m tests.gpu $(PARTS) $(if $(RESULTS),--results $(RESULTS))

# The long forms: the whole zoo in the sandbox and without, 200 kills, the nasty corpus under every key of every screen.
# Half an hour on two free cores; on busy ones several times that, and it may be stopped and begun anew at any time.
soak: $(READY)
	HYPOTHESIS_PROFILE=fresh OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist worksteal -m "soak or hypothesis"

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The parts of the README that are generated.
docs: $(READY)
	$(BIN)/python -m tui.docs

clean:
	rm -rf $(VENV) build *.egg-info
