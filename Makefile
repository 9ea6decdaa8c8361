# Everything a person or CI does here. It needs make and a Python of 3.11 or newer, and makes .venv itself.

.POSIX:
.SUFFIXES:
.PHONY: help up test test-long oracles check cover format docs bench lock clean

PYTHON = python3
VENV = .venv
ORACLES = .venv-oracles
PEERS = .venv-peers
JOBS = logical
ARGS =

BIN = $(VENV)/bin
PIP = -m pip install --quiet --disable-pip-version-check --no-input
PYTEST = $(BIN)/python -m pytest -n $(JOBS)

help:
	@echo 'make up         start the service: its address, a key, a sandbox gateway, and stories'
	@echo 'make test       the tests, without the long ones and the oracles'
	@echo 'make test-long  all of them but the oracles, at full counts'
	@echo 'make oracles    ask programs of others whether we are right (ALLOW_MISSING=1: those there are)'
	@echo 'make check      lint, format, types, import contracts'
	@echo 'make cover      branch coverage of the pure rooms, which must be whole'
	@echo 'make bench      the figures, side by side with pgbench'
	@echo 'make format     let ruff mend what it can'
	@echo 'make docs       draw the reference pages from the code'
	@echo 'make lock       compile requirements/ from pyproject.toml (UPGRADE=1: the newest versions)'
	@echo 'make clean      remove environments, caches and build output, never data'
	@echo 'ARGS=...        more arguments for the command'

up: $(VENV)/.runtime
	$(BIN)/catena up $(ARGS)

test: $(VENV)/.dev
	$(PYTEST) -m 'not oracle and not long' $(ARGS)

test-long: $(VENV)/.dev
	CATENA_LONG=1 $(PYTEST) -m 'not oracle' $(ARGS)

oracles: $(VENV)/.dev $(ORACLES)/.installed $(ORACLES)/.node
	ALLOW_MISSING='$(ALLOW_MISSING)' \
		PATH="$$PATH:$$PWD/$(ORACLES)/bin:$$PWD/$(ORACLES)/node/node_modules/.bin" \
		$(PYTEST) -m oracle $(ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

cover: $(VENV)/.dev
	$(PYTEST) -m 'not oracle and not long' --cov=catena.money --cov=catena.ledger --cov=catena.liens \
		--cov=catena.chains --cov=catena.gateways.bank --cov=catena.reconciliation \
		--cov-branch --cov-report=term-missing:skip-covered --cov-fail-under=100 \
		tests/test_money.py tests/ledger tests/liens tests/chains tests/gateways/bank \
		tests/reconciliation/test_matching.py tests/reconciliation/test_properties.py \
		tests/reconciliation/test_report.py tests/reconciliation/test_reports.py \
		tests/reconciliation/test_work.py $(ARGS)

bench: $(VENV)/.dev $(PEERS)/.installed
	PEERS='$(PEERS)' $(BIN)/python -m bench $(ARGS)

format: $(VENV)/.dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(VENV)/.dev
	@mkdir -p docs/reference
	$(BIN)/python -c 'from catena.settings import render_reference as page; print(page(), end="")' \
		>docs/reference/limits.md
	$(BIN)/python -c 'from catena.api.reference import render_errors as page; print(page(), end="")' \
		>docs/reference/errors.md
	$(BIN)/python -c 'from catena.api.reference import render_document as page; print(page(), end="")' \
		>docs/reference/openapi.json
	$(BIN)/python -c 'from catena.chains.states import render_states as page; print(page(), end="")' \
		>docs/reference/states.md
	$(BIN)/python -c 'from catena.chains.failures import render_failures as page; print(page(), end="")' \
		>docs/reference/failures.md
	$(BIN)/python -c 'from catena.sandbox.reference import render_sandbox as page; print(page(), end="")' \
		>docs/reference/sandbox.md

# --- environments: the stamps say which requirements are installed -----------------------------

$(BIN)/python:
	sh .ci/venv '$(PYTHON)' $(VENV)

$(ORACLES)/bin/python:
	sh .ci/venv '$(PYTHON)' $(ORACLES)

$(PEERS)/bin/python:
	sh .ci/venv '$(PYTHON)' $(PEERS)

$(VENV)/.build: requirements/build.txt $(BIN)/python
	$(BIN)/python $(PIP) --require-hashes -r requirements/build.txt
	@touch $@

$(VENV)/.package: pyproject.toml $(VENV)/.build
	$(BIN)/python $(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.runtime: requirements/runtime.txt $(VENV)/.package
	$(BIN)/python $(PIP) --require-hashes -r requirements/runtime.txt
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.package
	$(BIN)/python $(PIP) --require-hashes -r requirements/dev.txt
	@touch $@

$(ORACLES)/.installed: requirements/oracles.txt $(ORACLES)/bin/python
	$(ORACLES)/bin/python $(PIP) --require-hashes --no-deps -r requirements/oracles.txt
	@touch $@

# Without npm there is nothing to install, and the tests say what is missing.
$(ORACLES)/.node: requirements/node/package-lock.json $(ORACLES)/bin/python
	@mkdir -p $(ORACLES)/node
	cp requirements/node/package.json requirements/node/package-lock.json $(ORACLES)/node
	if command -v npm >/dev/null; then \
		npm ci --prefix $(ORACLES)/node --ignore-scripts --no-audit --no-fund && touch $@; \
	fi

$(PEERS)/.installed: requirements/peers.txt $(PEERS)/bin/python
	$(PEERS)/bin/python $(PIP) --require-hashes -r requirements/peers.txt
	@touch $@

# --- the rest ----------------------------------------------------------------------------------

COMPILE = $(BIN)/uv --quiet pip compile $${UPGRADE:+--upgrade} --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header

lock: $(VENV)/.build
	test -x $(BIN)/uv || $(BIN)/python $(PIP) uv
	$(COMPILE) pyproject.toml --output-file requirements/runtime.txt
	$(COMPILE) --group build --output-file requirements/build.txt
	$(COMPILE) pyproject.toml --group dev --constraint requirements/runtime.txt \
		--constraint requirements/build.txt --output-file requirements/dev.txt
	$(COMPILE) --group oracles --output-file requirements/oracles.txt
	$(COMPILE) --group peers --output-file requirements/peers.txt

clean:
	rm -rf $(VENV) $(ORACLES) $(PEERS) build dist .coverage .coverage.* htmlcov .hypothesis \
		.import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find src tests bench simulation -name __pycache__ -type d -prune -exec rm -rf {} +
