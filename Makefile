# The menu. Needs Python 3.11+ and make; everything else comes from the committed, hashed lock files.
PYTHON ?= python3
BIN := .venv/bin
MEMBERS := libs/contracts libs/chassis services/identity services/membership services/transactions services/renewals services/notifications services/portal deploy/local
LOCKS := requirements.uv.lock requirements.lock $(MEMBERS:%=%/pyproject.toml)
.DEFAULT_GOAL := help
.PHONY: help run demo test check screenshots faults bench format stop clean lock contracts

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/ready: $(LOCKS)
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.uv.lock
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock requirements.uv.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --offline $(MEMBERS:%=-e %)
	@touch $@

run: .venv/ready  ## everything, with real Kafka and PostgreSQL; Ctrl-C ends it, data stays (FRESH=1 starts over)
	$(BIN)/covey run $(if $(FRESH),--fresh)

demo: .venv/ready  ## the main job and a season of renewals, checked from outside; KILL=seed kills services while it runs
	$(BIN)/covey demo $(if $(KILL),--kill $(KILL))

# Each of these has its databases to itself, so that two may run at once; the others start whole stacks and strike them.
# The longest files come first, or one of the two would be at work alone in the end.
SIDE_BY_SIDE := tests/architecture tests/bench services/identity $(filter-out services/portal services/identity,$(wildcard services/*)) libs tests/contracts
ONE_BY_ONE := deploy $(filter-out $(SIDE_BY_SIDE),$(wildcard tests/*))

test: .venv/ready  ## every test, on real Kafka and PostgreSQL; ARGS=... runs some
ifdef ARGS
	$(BIN)/pytest $(ARGS)
else
	$(BIN)/pytest --numprocesses 2 --dist loadfile $(SIDE_BY_SIDE)
	$(BIN)/pytest services/portal
	$(BIN)/pytest $(ONE_BY_ONE)
endif

check: .venv/ready  ## format, lint, types, boundaries, generated files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m covey_contracts check

screenshots: .venv/ready  ## every page as pictures in .covey/screenshots: desktop, phone, dark, Spanish
	mkdir -p .covey/screenshots
	COVEY_SCREENSHOTS=.covey/screenshots $(BIN)/pytest -q services/portal/tests -k sound

faults: .venv/ready  ## real services under faults, and what must hold of them; FAULT=F3,F4 SEED=7 EVENTS=1000000 WARM_UP=100 RATE=12 MINUTES=150 JSON=FILE GO_ON=1
	$(BIN)/python -m tests.resilience.faults $(if $(FAULT),--fault $(FAULT)) $(if $(SEED),--seed $(SEED)) $(if $(EVENTS),--events $(EVENTS)) $(if $(WARM_UP),--warm-up $(WARM_UP)) $(if $(RATE),--rate $(RATE)) $(if $(MINUTES),--minutes $(MINUTES)) $(if $(JSON),--json $(JSON)) $(if $(GO_ON),--go-on)

bench: .venv/ready  ## how fast, as ratios against limits and peers of the same run; KEY=relay,inbox runs some, PROFILE=1 samples it
	$(BIN)/python -m bench $(if $(PROFILE),--profile) $(KEY)

format: .venv/ready  ## format and mend what ruff can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

contracts: .venv/ready  ## make the files that are generated from the contracts again
	$(BIN)/python -m covey_contracts write

stop: .venv/ready  ## end what "make run" left running
	$(BIN)/covey stop

clean:  ## stop, and delete the environment and all local data
	@if [ -x $(BIN)/covey ]; then $(BIN)/covey clean; fi
	rm -rf .venv .covey .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

lock: .venv/ready  ## choose versions anew and write the hashed lock
	$(BIN)/uv lock --quiet --upgrade
	$(BIN)/uv export --quiet --no-header --all-packages --all-extras --all-groups --no-emit-workspace --format requirements-txt -o requirements.lock
