# `make` lists what there is to do. Set-up happens by itself, once; what it installs is locked with hashes.

.DEFAULT_GOAL := help
PYTHON ?=
ARGS ?=
MINUTES ?= 30
BIN := .venv/bin
# Tests with real parts that compute rather than wait: two at a time do not disturb each other. The others have the machine for themselves.
COUNTING := tests/auditor tests/simulator tests/projections tests/log
INPUTS := tools/setup tools/package-lock.json requirements/uv.txt hatch_build.py pyproject.toml
export PYTHON

.PHONY: help demo test drill check soak fmt docs lock wheel clean

help: ## list these commands
	@sed -n 's/^\([a-z]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

demo: .venv/.ready-demo ## run a whole compute network on this machine: make demo ARGS="--frames 8"
	@$(BIN)/gridledger demo $(ARGS)

test: .venv/.ready-test ## everything that CI runs: format, lint, types, all tests with real parts
	@$(MAKE) --no-print-directory _static
	$(BIN)/python -m pytest -n 2 -m "not system" $(ARGS)
	$(BIN)/python -m pytest -n 2 -m system $(COUNTING) $(ARGS)
	$(BIN)/python -m pytest -m system $(addprefix --ignore=,$(COUNTING)) $(ARGS)

drill: .venv/.ready-test ## forge a bundle (the demo's, or a scripted one) in every way there is; each is to be found: make drill ARGS="--seeds 100"
	@bundle=demo-out/bundle; [ -d $$bundle ] || { bundle=build/life; rm -rf $$bundle; mkdir -p build; $(BIN)/python -m tests.drill.lives $$bundle; }; \
	$(BIN)/gridledger drill $$bundle $(ARGS)

check: .venv/.ready-test ## what to run before each commit, within a minute: format, lint, types, fast tests
	@$(MAKE) --no-print-directory _static
	$(BIN)/python -m pytest -n 2 -m "not system" $(ARGS)

soak: .venv/.ready-test ## kill, reorganise and simulate for long, with what was found: make soak MINUTES=30
	$(BIN)/python -m tests.soak --minutes $(MINUTES) $(ARGS)

fmt: .venv/.ready-test ## format, and mend what the linter can mend
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

docs: .venv/.ready-test ## write the pages that are generated from the code
	$(BIN)/python docs/generate.py

wheel: .venv/.ready-test ## build the wheel into dist/
	$(BIN)/hatchling build -t wheel

lock: .venv/.ready-test ## lock the dependencies again: make lock ARGS=--upgrade takes the newest
	tools/lock $(ARGS)

clean: ## remove everything that set-up, builds and runs left here
	rm -rf .venv .tools build dist demo-out .hypothesis .mypy_cache .pytest_cache .ruff_cache

.PHONY: _static
_static:
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy .

.venv/.ready-demo: $(INPUTS) requirements/demo.txt
	@tools/setup demo

.venv/.ready-test: $(INPUTS) requirements/test.txt
	@tools/setup test
