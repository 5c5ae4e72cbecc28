# The commands of this project; `make` or `make help` lists them.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help demo test check format bench chaos mutants clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/.installed ## set up, run the main job on real commands, and show it (under 30 s)
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh demo/demo.sh

test: .venv/.pgbouncer ## set up, and pass all tests (ARGS='tests/cli -n 0' for some, one by one)
	@$(BIN)/python -m pytest -n 3 --dist worksteal $(ARGS)

check: .venv/.developing ## ruff, mypy strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/.developing ## put the code in its usual form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/.developing ## measure, and write bench/README.md (NAME=drain for one)
	@$(BIN)/python -m bench $(NAME)

chaos: .venv/.developing ## faults at random while jobs flow: MINUTES=10 SEED=1 BACKEND=postgres
	@PYTHONPATH=$(CURDIR)/tests $(BIN)/python -m faults.chaos --minutes $(or $(MINUTES),10) \
		--seed $(or $(SEED),1) --backend $(or $(BACKEND),sqlite)

mutants: .venv/.developing ## take out each guard in turn: some test must fail
	@$(BIN)/python -m tests.faults.mutants

clean: ## remove what was set up
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'queuectl needs Python 3.11 or newer: make PYTHON=python3.12 …'; exit 1; }
	@$(PYTHON) -m venv .venv

.venv/.installed: .venv/bin/python pyproject.toml constraints.txt
	@echo 'Setting up .venv …'
	@$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e .
	@touch $@

.venv/.pgbouncer: .venv/.developing
	@sh tests/postgres/get_pgbouncer.sh $(CURDIR)/.venv/pgbouncer
	@touch $@

.venv/.developing: .venv/.installed
	@echo 'Setting up what the tests need …'
	@$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
