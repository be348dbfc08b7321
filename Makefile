# `make demo` sets up and runs the main job; `make test` sets up and runs lint, types and all tests.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
TORCH := $(shell grep '^torch==' constraints.txt)
JOBS ?= 2

EXTRAS ?= all,test
TESTS ?= tests
LEAST ?= 90
BOUNDS := $(addprefix tests/,test_units.py test_hardware_database.py test_hardware_store.py test_costs_by_hand.py test_run.py \
	dashboard/test_accuracy_page.py dashboard/test_claims_page.py)

.PHONY: demo test coverage mutation test-lowest test-newest test-bounds lint types dashboard docs clean

demo: $(VENV)/.installed
	$(BIN)/flopcast estimate gpt2 --tokens 10B

test: $(VENV)/.tools lint types
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup -m "not slow"

# The tests again, watched line by line, in the processes that they start too.
coverage: $(VENV)/.tools
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n $(JOBS) --dist loadgroup -m "not slow" $(TESTS)
	$(BIN)/coverage combine -q
	$(BIN)/coverage report --fail-under=$(LEAST)

# One number or sign of a formula changed at a time: tests must notice. FILES="profiles/formulas/matmul.py" for less.
mutation: $(VENV)/.tools
	$(BIN)/python -m tests.mutation $(FILES)

# The same tests at the two ends of the ranges in pyproject.toml, each in an environment of its own.
test-lowest test-newest: test-%:
	$(PYTHON) -m venv .venv-$*
	$(if $(filter lowest,$*),$(PYTHON) .ci/lowest.py,true) > .venv-$*/constraints.txt
	.venv-$*/bin/python -m pip install --quiet --no-compile --constraint .venv-$*/constraints.txt '.[$(EXTRAS)]' hypothesis jsonschema pytest pytest-xdist
	.venv-$*/bin/python -m pip check
	.venv-$*/bin/python -m pytest -n $(JOBS) --dist loadgroup -m "not slow" $(TESTS)

# What answers without torch, at the lowest versions: quick enough for every push.
test-bounds:
	$(MAKE) test-lowest EXTRAS=dashboard JOBS=1 TESTS="$(BOUNDS)"

lint: $(VENV)/.tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.tools
	$(BIN)/mypy

dashboard: $(VENV)/.installed
	$(BIN)/flopcast dashboard

docs: $(VENV)/.tools
	$(BIN)/python -m sphinx --fail-on-warning --keep-going -q -b html docs docs/_build
	@echo "docs/_build/index.html"

# torch goes first and alone: any other package may then only be satisfied by it, never replace it.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("flopcast needs Python 3.11 or newer; this is %d.%d. Try: make PYTHON=python3.12 ..." % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	@echo "Setting up $(VENV) (about two minutes the first time)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) $(TORCH)
	@$(PIP) --editable '.[all]'
	@touch $@

$(VENV)/.tools: $(VENV)/.installed
	@$(PIP) --editable '.[all,test]'
	@touch $@

clean:
	rm -rf $(VENV) build docs/_build *.egg-info .pytest_cache .mypy_cache .ruff_cache
