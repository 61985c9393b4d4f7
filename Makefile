# Two commands do everything: `make demo` and `make test`. Both work in .venv and install what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CONSTRAINTS := constraints/tested.txt

.PHONY: demo test format docs clean

demo: $(VENV)/.core
	$(BIN)/mentallama run recipes/sample-linear.yaml
	$(BIN)/mentallama analyze --task dreaddit --model linear:runs/sample-linear/train \
	  "I can't keep up with any of it, the rent is due and my boss keeps calling, I haven't slept in days"
	@echo "The report page is runs/sample-linear/report/index.html"
	@echo "The command is $(BIN)/mentallama; after '. $(BIN)/activate' it is mentallama. Next:"
	@echo "  $(BIN)/mentallama --help"
	@echo "  $(BIN)/mentallama init study"

test: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.dev
	$(BIN)/python docs/generate.py

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: $(BIN)/python pyproject.toml $(CONSTRAINTS)
	$(BIN)/pip install --quiet --disable-pip-version-check -e . -c $(CONSTRAINTS)
	@touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml $(CONSTRAINTS)
	$(BIN)/pip install --quiet --disable-pip-version-check -e ".[dev]" -c $(CONSTRAINTS)
	@touch $@ $(VENV)/.core

clean:
	rm -rf $(VENV) runs .mypy_cache .ruff_cache .pytest_cache .hypothesis
