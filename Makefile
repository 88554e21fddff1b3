# Floe. `make help` lists what there is. Everything is installed below this folder: .venv/ and node_modules/.
# What a machine needs: python3.11 (or 3.12), node 20 with npm, make, git. `make doctor` looks.

SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3.12)
VYPER = mamushi --line-length 120
COMPILE_LOCK = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-emit-index-url --no-emit-find-links

export PATH := $(CURDIR)/.venv/bin:$(CURDIR)/node_modules/.bin:$(PATH)
# Without its bytecode files Python would compile all of Ape at every start.
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE

.PHONY: help doctor setup build test fuzz invariants mutants bench demo devnet devnet-el postgres e2e judge test-fork lint format check snapshot lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

doctor: ## say what this machine lacks and how to get it
	@bash scripts/doctor.sh

setup: .venv/.stamp .venv/specs/.stamp node_modules/.stamp ## install everything (the other targets do it by themselves)

build: setup ## compile what has changed, or imports what has changed
	@python -m floe.build

test: setup ## run the tests (those of whole worlds have a target of their own: e2e)
	pytest --ignore tests/e2e

fuzz: setup ## contracts against the reference model, millions of transactions; an attacker in 10,000 markets
	python -m tests.stateful.campaign
	python -m tests.stateful.attacker

invariants: setup ## a second engine (forge) checks the same books against its own ledger
	python -m tests.forge.run

mutants: setup ## seed bugs into the contracts: campaign or tests must find every one (SCORE=200: a larger sample)
	python -m tests.mutants.run $(if $(SCORE),--score $(SCORE))

bench: setup ## measure gas against bars and peers, and how long large proofs, reports and checks of deposits take
	python -m bench.gas
	python -m bench.ssz
	python -m bench.report
	python -m bench.deposits

demo: setup ## watch ETH go in, rewards stream, a loss happen, exits being paid
	ape run demo

devnet: setup ## run a proof-of-stake chain of one's own until Ctrl-C (OPTIONS="--seconds-per-slot 2")
	@ape floe devnet $(OPTIONS)

devnet-el: setup ## the same on a real execution client, EthereumJS, coupled over the Engine API
	@ape floe devnet --execution ethereumjs $(OPTIONS)

postgres: .venv/.stamp ## unpack Debian's PostgreSQL server into .venv/postgres/, for the end-to-end tests
	@bash scripts/postgres.sh

e2e: setup postgres ## validators' whole life with our contracts, on both devnets; the books agree with the beacon state
	pytest tests/e2e --execution anvil --execution ethereumjs

judge: setup ## validators' life on both devnets, re-executed by Lodestar: every state root must be equal
	@python -m floe.devnet.judge

test-fork: setup ## integration tests on a fork (of an RPC URL if one is set, else of a local node)
	python -m tests.fork.run

lint: setup ## format, style and types: say what is wrong
	ruff format --check .
	ruff check .
	mypy .
	$(VYPER) --check contracts && $(VYPER) --check interfaces
	@awk 'length > 120 { print FILENAME ":" FNR ": longer than 120"; bad = 1 } END { exit bad }' \
		$$(find contracts interfaces -name '*.vy' -o -name '*.vyi')

format: setup ## format, style: repair what can be repaired
	ruff format .
	ruff check --fix .
	$(VYPER) contracts && $(VYPER) interfaces

check: setup ## ABIs, storage layouts and code sizes are what is committed and allowed
	@python -m floe.snapshot check

snapshot: setup ## rewrite the committed ABIs and storage layouts
	@python -m floe.snapshot write

lock: .venv/.stamp ## pin all versions anew after a change of pyproject.toml or package.json
	$(COMPILE_LOCK) --extra dev pyproject.toml --output-file requirements.lock
	$(COMPILE_LOCK) --no-deps --group devnet --output-file requirements.devnet.lock
	npm install --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts --no-audit --no-fund

clean: ## delete what was built (.venv/ and node_modules/ stay)
	rm -rf .build out .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -not -path './node_modules/*' -prune -exec rm -rf {} +

# uv installs the whole lock in seconds; it comes from the lock itself, with its hashes. It knows neither the system's
# certificates (unless asked) nor pip's configuration, so there is a second try, and a slow third one with pip.
SYNC = uv pip sync --quiet --require-hashes --python .venv/bin/python requirements.lock
.venv/.stamp: requirements.lock pyproject.toml
	@bash scripts/doctor.sh --quiet
	@echo "installing Python packages into .venv/"
	@test -x .venv/bin/pip || $(PYTHON) -m venv --clear .venv
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > .venv/uv.txt
	@pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement .venv/uv.txt
	@$(SYNC) 2> .venv/uv.log || $(SYNC) --system-certs 2>> .venv/uv.log || { cat .venv/uv.log; echo "trying pip: minutes"; \
		pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement requirements.lock; }
	@uv pip install --quiet --offline --no-deps --no-build-isolation --python .venv/bin/python --editable .
	@touch $@

# The executable consensus specs, for the devnet's beacon process alone: in a folder that only it has on its path.
SPECS = install --quiet --require-hashes --no-deps --target .venv/specs --requirement requirements.devnet.lock
.venv/specs/.stamp: requirements.devnet.lock | .venv/.stamp
	@echo "installing the consensus specs into .venv/specs/"
	@rm -rf .venv/specs
	@uv pip $(SPECS) --python .venv/bin/python 2> .venv/uv.log \
		|| uv pip $(SPECS) --python .venv/bin/python --system-certs 2>> .venv/uv.log \
		|| { cat .venv/uv.log; echo "trying pip"; pip --disable-pip-version-check $(SPECS); }
	@touch $@

# The links lead past npm's wrapper scripts, which would leave a node process beside every anvil.
node_modules/.stamp: package-lock.json package.json
	@bash scripts/doctor.sh --quiet
	@echo "installing anvil, forge, EthereumJS and Lodestar into node_modules/"
	@npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@cd node_modules/.bin && for tool in anvil forge; do ln -sf ../@foundry-rs/$$tool-*-*/bin/$$tool $$tool; done
	@touch $@
