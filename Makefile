# `make run` and `make test` work in a fresh clone: they build what they need first.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
SCENARIO ?= scenarios/100k-h100-one-state.yaml

# The simulator's solves are small: threads of the linear algebra library only get in each other's way.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1

.PHONY: run test check bench coverage mutation fuzz kills soak audit samples clean help

help:
	@echo "make run    answer the first question (SCENARIO=$(SCENARIO))"
	@echo "make test   the whole test suite"
	@echo "make check  style, types, import contracts"
	@echo "make bench  timings of the hot paths"
	@echo "make coverage  branch coverage of all rooms, and of the pure layers"
	@echo "make mutation  mutants of the pure layers that the tests do not kill"
	@echo "make fuzz   10,000 files of each kind that nobody meant, and half an hour of whole runs"
	@echo "make kills  200 kills of run, sweep and serve at random moments"
	@echo "make soak   30 minutes of the page, 10,000 runs of a sweep: flat memory and files"
	@echo "make audit  bill of materials and known vulnerabilities (asks the network)"
	@echo "make samples  the figures of the README, made again"

run: $(VENV)/.run
	$(BIN)/flopgrid run $(SCENARIO)

# The kernels are compiled first, once: two workers would each compile them.
test: $(VENV)/.dev
	$(BIN)/python -c 'from sim.cluster.serving.compiled import warm_up; warm_up(print)'
	$(BIN)/python -m pytest -n 2 --dist loadgroup $(PYTEST_ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/run_all.py

# The compiled kernels are left out: a tracer cannot see them; their test is equality with the
# reference engine. Least shares: 90 % of all, 95 % of the pure layers.
PURE := sim/units.py,sim/errors.py,sim/signals.py,sim/randomness.py,sim/datum.py,sim/arch/*,sim/flops/*,sim/hardware/*,sim/cost/*,sim/control/*

coverage: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pytest-cov>=6'
	$(BIN)/python -m pytest -n 2 --dist loadgroup --cov --cov-report= $(PYTEST_ARGS)
	$(BIN)/python -m coverage report --include='$(PURE)' --fail-under=95
	$(BIN)/python -m coverage report --skip-covered --fail-under=90

mutation: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'mutmut>=3.8,<4'
	$(BIN)/python tools/mutation_score.py

LOADERS := scenario sweep config case trace device scenario-form sweep-form config-form trace-form \
	case-form weather series pandapower pypsa trace-table

fuzz: $(VENV)/.dev
	$(BIN)/python tools/fuzz.py --cases 10000 $(LOADERS)
	$(BIN)/python tools/fuzz.py --cases 100000 --seconds 1800 --engine mutations run run-case folder

kills: $(VENV)/.dev
	$(BIN)/python tools/kills.py --kills 200

soak: $(VENV)/.dev
	$(BIN)/python tools/soak.py serve --minutes 30
	$(BIN)/python tools/soak.py sweep --runs 10000

audit: | $(VENV)/bin/python
	$(BIN)/python -m venv build/audit
	build/audit/bin/python -m pip install --quiet --disable-pip-version-check 'cyclonedx-bom>=7' 'pip-audit>=2.10'
	build/audit/bin/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml --output-reproducible -o build/sbom.cdx.json
	build/audit/bin/pip-audit --requirement requirements.lock --require-hashes --disable-pip

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "flopgrid needs Python 3.11 or newer; set PYTHON=... (found: $$($(PYTHON) --version))"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements.lock pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements-dev.lock pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/.run

# The figures that the README shows.
samples: $(VENV)/.run
	rm -rf build/samples
	$(BIN)/flopgrid run scenarios/100k-h100-one-state.yaml --out build/samples
	mkdir -p outputs/samples
	cp build/samples/100k-h100-one-state-*/seed-1/figures/hosting.* outputs/samples/

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
