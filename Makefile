# `make` lists what there is to do. Set-up happens by itself, once; what it installs is locked with hashes.

.DEFAULT_GOAL := help
PYTHON ?=
ARGS ?=
LOG ?= postgresql
MINUTES ?= 30
BIN := .venv/bin
BROKER := $(if $(filter kafka,$(LOG)),.tools/kafka/.ready)
INPUTS := tools/setup tools/package-lock.json requirements/uv.txt hatch_build.py pyproject.toml
export PYTHON
# What one process compiled serves the hundreds that the tests start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test drill check soak chaos bench fmt docs kafka lock wheel clean

help: ## list these commands
	@sed -n 's/^\([a-z]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

demo: .venv/.ready-demo $(BROKER) ## run a whole compute network on this machine: make demo LOG=kafka ARGS="--frames 8"
	@$(BIN)/gridledger demo --log $(LOG) $(ARGS)

test: .venv/.ready-test .tools/kafka/.ready ## everything that CI runs: format, lint, types, all tests with real parts
	@$(MAKE) --no-print-directory _static
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not system" $(ARGS)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "system and not alone" $(ARGS)
	$(BIN)/python -m pytest -m "system and alone" $(ARGS)

drill: .venv/.ready-test ## forge a bundle (the demo's, or a scripted one) in every way there is; each is to be found: make drill ARGS="--seeds 100"
	@bundle=demo-out/bundle; [ -d $$bundle ] || { bundle=build/life; rm -rf $$bundle; mkdir -p build; $(BIN)/python -m tests.drill.lives $$bundle; }; \
	$(BIN)/gridledger drill $$bundle $(ARGS)

check: .venv/.ready-test ## what to run before each commit, within a minute: format, lint, types, fast tests
	@$(MAKE) --no-print-directory _static
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not system" $(ARGS)

soak: .venv/.ready-test ## kill, reorganise and simulate for long, with what was found: make soak MINUTES=30
	$(BIN)/python -m tests.soak --minutes $(MINUTES) $(ARGS)

chaos: .venv/.ready-test .tools/kafka/.ready ## rival leaders, broken brokers and spoilt topics on real Kafka, with what was found: make chaos MINUTES=5
	$(BIN)/python -m tests.chaos --minutes $(MINUTES) $(ARGS)

bench: .venv/.ready-test .tools/bench/.ready .tools/kafka/.ready ## measure beside others on this machine, and write docs/benchmarks.md: make bench ARGS="G1 G2"
	$(BIN)/python -m benchmarks $(ARGS)

fmt: .venv/.ready-test ## format, and mend what the linter can mend
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

docs: .venv/.ready-test ## write the pages that are generated from the code
	$(BIN)/python docs/generate.py

kafka: .venv/.ready-demo .tools/kafka/.ready ## fetch a Kafka broker for development: .venv/bin/gridledger kafka start

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

.tools/bench/.ready: requirements/bench.txt .venv/.ready-test
	@tools/bench

.tools/kafka/.ready: deploy/kafka/pom.xml requirements/java.txt
	@[ -e .venv/.ready-test ] || [ -e .venv/.ready-demo ] || tools/setup demo
	@tools/kafka
