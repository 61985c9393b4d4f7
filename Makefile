# Two commands do everything: `make demo` and `make test`. Both work in .venv and install what they need; the tests of
# exports use the tools that they export to in an environment of their own, .venv-tools.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CONSTRAINTS := constraints/tested.txt
TOOLS := .venv-tools
TOOL_PINS := constraints/export-tools.txt
LLAMA_FACTORY := llamafactory==0.9.5

.PHONY: demo test tools format docs clean

demo: $(VENV)/.core
	$(BIN)/mentallama run recipes/sample-linear.yaml
	$(BIN)/mentallama analyze --task dreaddit --model linear:runs/sample-linear/train \
	  "I can't keep up with any of it, the rent is due and my boss keeps calling, I haven't slept in days"
	@echo "The report page is runs/sample-linear/report/index.html"
	@echo "The command is $(BIN)/mentallama; after '. $(BIN)/activate' it is mentallama. Next:"
	@echo "  $(BIN)/mentallama --help"
	@echo "  $(BIN)/mentallama init study"

test: $(VENV)/.dev $(TOOLS)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2

tools: $(TOOLS)/.installed

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.dev
	$(BIN)/python docs/generate.py

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: $(BIN)/python pyproject.toml $(CONSTRAINTS)
	@echo "Installing into $(VENV); this takes a minute or two"
	$(BIN)/pip install --quiet --disable-pip-version-check -e . -c $(CONSTRAINTS)
	@touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml $(CONSTRAINTS)
	@echo "Installing into $(VENV), with the tools for the tests; this takes minutes"
	$(BIN)/pip install --quiet --disable-pip-version-check -e ".[dev]" -c $(CONSTRAINTS)
	@touch $@ $(VENV)/.core

# llamafactory lies in a folder of its own, because only some of its modules can be imported without torch.
$(TOOLS)/.installed: $(TOOL_PINS)
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-compile -r $(TOOL_PINS)
	$(TOOLS)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-compile --upgrade --target $(TOOLS)/llamafactory $(LLAMA_FACTORY)
	@touch $@

clean:
	rm -rf $(VENV) $(TOOLS) runs .mypy_cache .ruff_cache .pytest_cache .hypothesis
