# Needs Python 3.11 or later and nothing else: every target first sets up .venv from requirements.lock.
#
#   make demo        the whole path on real images in a few minutes; DEMO_FLAGS="..." reaches the binary
#   make test        lint, import contracts and all tests but the slow ones
#   make test-all    the slow tests too
#   make lint        ruff and the import contracts
#   make format      puts the code in order
#   make clean       removes .venv and what was built; runs/ stays

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
UNFINISHED := $(VENV)/unfinished

# Each of the two test workers has one core; TensorFlow would start a thread for every core in both.
PYTEST := TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1 OMP_NUM_THREADS=1 MPLBACKEND=agg \
	$(BIN)/python -m pytest -n 2 --dist=loadfile --no-loadscope-reorder

.PHONY: demo test test-all lint format clean setup
.DEFAULT_GOAL := demo

demo: $(READY)
	$(BIN)/python -m tools.demo $(DEMO_FLAGS)

test: lint
	$(PYTEST) -m "not slow"

test-all: lint
	$(PYTEST)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

setup: $(READY)

# The lock is whole, so nothing is resolved anew; tensorflow-model-optimization asks for an absl-py that is older than
# what the rest is tested with, and works with this one.
# The mark of an unfinished set-up becomes the mark of a finished one only at the end; where a set-up was interrupted,
# the next one starts from an empty environment.
$(READY): requirements.lock setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		found=`$(PYTHON) -c 'import platform; print(platform.python_version())' 2>/dev/null || echo missing`; \
		echo "make: error: $(PYTHON) is $$found, expected Python 3.11 or later; run make PYTHON=/path/to/python" >&2; \
		exit 1; }
	@echo "Setting up $(VENV): some minutes, once."
	@test ! -e $(UNFINISHED) || rm -rf $(VENV)
	@mkdir -p $(VENV) && touch $(UNFINISHED)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --no-input --disable-pip-version-check --require-virtualenv --no-deps \
		-r requirements.lock
	$(BIN)/python -m pip install --no-input --disable-pip-version-check --require-virtualenv --quiet \
		--no-deps --no-build-isolation -e .
	@mv $(UNFINISHED) $(READY)

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
