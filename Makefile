# `make` alone: set up, train the demo runs, render every report. `make help` lists the rest.
PYTHON ?= python3
VENV   ?= .venv
# Trainings and rules at a time: a number, or all cores.
JOBS   ?= all
# Passed on to Snakemake: make reports CONFIG="tier=lite", CONFIG="train=never", CONFIG="runs_per_job=4"
CONFIG ?=

SYSTEM_PATH := $(PATH)
export PATH := $(abspath $(VENV))/bin:$(PATH)
# glibc returns big tensors at each step and page-faults them in again; keeping them gains 10-40 % on a CPU.
export MALLOC_MMAP_MAX_ := 0
export MALLOC_TRIM_THRESHOLD_ := 20000000000

SNAKEMAKE := snakemake --cores $(JOBS) $(if $(CONFIG),--config $(CONFIG) --)
READY     := $(VENV)/ready
# A worker per core with one thread each. A worker that dies fails its test and is replaced: with --dist load or
# worksteal, that is; loadfile and loadscope hang then (pytest-xdist 3.8).
PYTEST    := python -m pytest -n logical --maxprocesses 8 --dist worksteal --max-worker-restart 1000
# All tests together; one test has the limit in pyproject.toml. (macOS has no `timeout`.)
TEST_LIMIT ?= 2h
LIMITED   := $(if $(shell command -v timeout),timeout --foreground --kill-after 30 $(TEST_LIMIT))
define RUN_TESTS
@code=0; OMP_NUM_THREADS=1 $(LIMITED) $(PYTEST) $(1) || code=$$?; case $$code in 124 | 137) \
	echo "make $@: ended after $(TEST_LIMIT), before all tests had run; for more time: make $@ TEST_LIMIT=4h" ;; esac; \
	exit $$code
endef
CODE      := shared pipelines tests benchmarks scripts

.DEFAULT_GOAL := reports
.PHONY: reports demo setup test test-all torture lint format check lock slurm-test bench unlock clean help always

reports: $(READY) ## train what the demo needs, render all reports (open reports/index.html)
	@echo "Each step writes to logs/; a line here for each training that ends"
	@$(SNAKEMAKE) reports
	@echo "Done: reports/index.html (recorded results)$$([ ! -e reports/demo/index.html ] || \
		echo ', reports/demo/index.html (trained here)')"

demo: $(READY) ## only the demo reports, from trainings on this machine
	@$(SNAKEMAKE) demo

SETUP := PATH="$(SYSTEM_PATH)" PYTHON="$(PYTHON)" VENV="$(VENV)" bash scripts/setup.sh

setup: ## make or renew the environment, also after a change of PYTHON or TORCH
	@$(SETUP)
$(READY): envs/constraints.txt envs/requirements.txt envs/requirements-nodeps.txt pyproject.toml scripts/setup.sh
	@$(SETUP)
# Named on the command line, they shall not be accepted and ignored: the script looks (a second).
ifneq ($(findstring command line,$(origin PYTHON) $(origin TORCH)),)
$(READY): always
endif

test: $(READY) ## the default tests (minutes)
	$(call RUN_TESTS)

test-all: $(READY) ## every test, the slow ones too
	$(call RUN_TESTS,-m "not gpu and not torture")

torture: $(READY) ## kills, damaged files, many writers, mutated inputs in the long form (about an hour)
	@OMP_NUM_THREADS=1 python -m pytest -m torture tests/core
	@echo "Counts: docs/reliability.md"

# Minutes of `make fuzz`, and the seed of its first network.
MINUTES ?= 20
SEED    ?= 1000000
fuzz: $(READY) ## random networks: atlas, measurement and training must agree (MINUTES=20 SEED=1000000)
	@OMP_NUM_THREADS=1 PYTHONPATH=. python tests/core/differential.py --minutes $(MINUTES) --seed $(SEED)

lint: $(READY) ## style of Python and of the Snakefile
	@ruff check $(CODE) && ruff format --check $(CODE) && snakefmt --check Snakefile && snakemake --lint

format: $(READY) ## put the style right
	@ruff check --fix $(CODE); ruff format $(CODE) && snakefmt Snakefile

check: $(READY) ## are the recorded results valid, and is dvc.lock in step? (seconds; no data, no GPU)
	@python -m pipelines check
	@[ -e .git ] || { echo "dvc.lock is not checked: this copy is no git repository, and DVC needs one"; exit 0; }; \
		dvc status --quiet $$(dvc stage list --name-only) || \
		{ dvc status $$(dvc stage list --name-only); echo "dvc.lock is behind: python -m pipelines sync"; exit 1; }

lock: $(READY) ## renew the pins of envs/constraints.txt
	@bash scripts/lock.sh

slurm-test: $(READY) ## part of the smoke tier through a real SLURM on this machine (needs root)
	@bash scripts/slurm-test.sh

bench: $(READY) ## speed of the layers against escnn, e2cnn and dense convolutions
	@python -m benchmarks

unlock: $(READY) ## take away the lock of a killed Snakemake
	@snakemake --unlock

clean: ## remove the trainings and logs of this machine (recorded results stay)
	@rm -rf .repro .snakemake logs reports/demo
	@echo "Removed .repro, .snakemake, logs and reports/demo; the environment ($(VENV)) and data/ stay"

help:
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1: /' | awk -F': ' '{ printf "  make %-11s %s\n", $$1, $$2 }'
	@echo "Options: PYTHON=$(PYTHON) VENV=$(VENV) JOBS=$(JOBS) CONFIG=\"tier=lite\" TORCH=auto|cpu|default"
