# Everything sets itself up: a .venv with the pinned packages, then the work.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTEST := $(BIN)/python -m pytest

.PHONY: demo examples test test-all lint types imports docs reference pages install clean

demo: $(STAMP)
	$(BIN)/sji-edge demo $(if $(DATA),--data $(DATA)) $(if $(BOARDS),--boards $(BOARDS))

test: lint types imports pages
	$(PYTEST) -n 2 -m "not slow and not gpu"

test-all: lint types imports pages
	$(PYTEST) -n 2 -m "not gpu"

lint: $(STAMP)
	$(BIN)/ruff format --check sji_edge tests benchmarks scripts examples
	$(BIN)/ruff check sji_edge tests benchmarks scripts examples

# Every example in order, training included: minutes.
examples: $(STAMP)
	$(PYTEST) tests/test_examples.py -m slow

types: $(STAMP)
	$(BIN)/mypy

imports: $(STAMP)
	$(BIN)/lint-imports

# The pages of docs/reference that come from the code.
reference: $(STAMP)
	$(BIN)/python scripts/generate_reference.py

# Those pages are up to date.
pages: $(STAMP)
	$(BIN)/python scripts/generate_reference.py --check

docs: reference
	$(BIN)/zensical build --strict

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,dev,tensorrt-rtx]'
	touch $@

clean:
	rm -rf $(VENV) site demo runs inspections .pytest_cache .mypy_cache .ruff_cache
