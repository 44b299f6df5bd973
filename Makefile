# make run · make test · make check; everything else is for those who work on the project.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LAB ?= lab

.PHONY: run setup test check gpu format soak docs clean

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

# Format, lint, types, import contracts, fast tests: a minute.
check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist worksteal -m "not slow and not soak and not gpu"

# Everything CI runs.
test: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist worksteal -m "not soak"

# What only a CUDA device can show, offline; without one the tests skip and say why.
gpu: $(READY)
	$(BIN)/pytest -rs -m gpu

# The long forms: the whole zoo in the sandbox and without, 200 kills, the nasty corpus under every key of every screen.
# Half an hour on two free cores; on busy ones several times that, and it may be stopped and begun anew at any time.
soak: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist worksteal -m soak

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The parts of the README that are generated.
docs: $(READY)
	$(BIN)/python -m tui.docs

clean:
	rm -rf $(VENV) build *.egg-info
