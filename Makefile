# Everything a developer or an operator types. Needs python3 (3.11 or newer) with its venv module, and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-annotate --no-header
# Further arguments: make demo ARGS="--report demo/report.json", make test ARGS="-k ledger".
ARGS ?=

.PHONY: help demo run test soak check fix bench lock clean venv plots

help: ## list these targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 8

demo: $(VENV)/run ## the main job, end to end, on embedded parts
	@$(BIN)/gallop demo $(ARGS)

run: $(VENV)/run ## the bot, with the settings of the environment and .env
	@$(BIN)/gallop run $(ARGS)

test: $(VENV)/dev ## every test but the long runs, in two processes
	@$(BIN)/python -m pytest --quiet --numprocesses 2 --dist loadfile -m "not soak" $(ARGS)

soak: $(VENV)/dev ## the long runs: every kill point, thousands of faults
	@$(BIN)/python -m pytest --quiet -m soak $(ARGS)

check: $(VENV)/dev ## format, lint, types, architecture
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/python -m pytest --quiet tests/test_architecture.py

fix: $(VENV)/dev ## format, and repair what lint can repair
	@$(BIN)/ruff check --quiet --fix .
	@$(BIN)/ruff format --quiet .

bench: $(VENV)/dev ## the measurements of the README
	@$(BIN)/python -m tests.bench $(ARGS)

lock: $(VENV)/dev ## choose dependencies anew, with hashes
	@$(LOCK) --upgrade pyproject.toml --output-file requirements/run.txt
	@$(LOCK) --upgrade --extra plots --constraint requirements/run.txt pyproject.toml --output-file requirements/plots.txt
	@$(LOCK) --upgrade --extra dev --constraint requirements/plots.txt pyproject.toml --output-file requirements/dev.txt
	@echo setuptools | $(LOCK) --upgrade --constraint requirements/dev.txt - --output-file requirements/build.txt

clean: ## remove what these targets made, but never data/
	@rm -rf $(VENV) build demo *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find bot cogs tests -name __pycache__ -type d -prune -exec rm -rf {} +

venv: $(VENV)/dev ## the virtual environment alone

plots: $(VENV)/plots ## the plotting library, for the pictures of reports

$(VENV)/run: requirements/run.txt requirements/build.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo 'Gallop needs Python 3.11 or newer, for example: make PYTHON=python3.12' >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --require-hashes -r requirements/run.txt -r requirements/build.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/plots: requirements/plots.txt $(VENV)/run
	@$(PIP) install --require-hashes -r requirements/plots.txt
	@touch $@

$(VENV)/dev: requirements/dev.txt $(VENV)/run
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@
