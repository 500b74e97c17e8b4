# Two commands matter: `make demo` and `make test`. Both set up .venv on their first call.

PYTHON ?= python3
# The wheel of torch is by far the largest one; which build it is, is the index's business (see docs/install.md).
TORCH  ?= torch==2.13.0
CANARY_TORCH ?= torch

# What `make setup-locked` installs; for torch without CUDA, requirements-cpu.lock and PyTorch's index of that build.
LOCKED ?= requirements.lock requirements-cuda.lock requirements-dev.lock

VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

# One thread a process (two pytest workers or two Ray workers fill two cores); no usage reports sent.
export OMP_NUM_THREADS := 1
export RAY_USAGE_STATS_ENABLED := 0
export RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO := 0
# Where images forbid it, each of the hundreds of processes of the tests compiles all its modules again.
unexport PYTHONDONTWRITEBYTECODE

# By name: no other file is imported to look for tests.
RAY_TESTS = $(sort $(shell find tests -name "test_*_ray.py"))

CANARY := $(VENV)/canary

.PHONY: help setup setup-locked lock demo test test-fast test-ray canary faults soak reliability cluster-local lint bench bench-peers format wheel clean clean-env
.NOTPARALLEL:
.DEFAULT_GOAL := help

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP)  ## create .venv and install everything, pinned by constraints.txt

define check_python
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo "elemgrid needs Python 3.11 or newer as '$(PYTHON)'; name another one: make $(or $(MAKECMDGOALS),setup) PYTHON=/path/to/python3.11" >&2; exit 1; }
@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "'$(PYTHON)' lacks the venv module; install it (Debian, Ubuntu: apt install python3-venv) or name another one with PYTHON=" >&2; exit 1; }
endef

$(STAMP): pyproject.toml constraints.txt
	$(check_python)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (once; about two minutes, the download aside)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt "$(TORCH)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all,dev]'
	$(BIN)/python -W ignore -c 'import elementembeddings.core'  # umap has numba compile into $(VENV), once
	@touch $@

# `-e .` builds with setuptools, which the lock has too, and so needs no environment of its own for that.
setup-locked:  ## the same from requirements*.lock: no file but those whose SHA-256 stands there
	$(check_python)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes $(LOCKED:%=-r %)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

lock: $(STAMP)  ## requirements*.lock anew from constraints.txt: make lock INDEX=address
	$(BIN)/python scripts/lock.py "$(INDEX)"

demo: $(STAMP)  ## the main job on the embedded crystals, from structures to report (minutes)
	$(BIN)/python -m orchestrator.hybrid_grid --preset demo --run runs/demo
	@echo "report: $(CURDIR)/runs/demo/report.html"

test: test-fast test-ray  ## all tests, two at a time: first those without Ray, then those that start it

test-fast: $(STAMP)
	$(BIN)/python -m pytest -q --durations=10 -m "not ray" -n 2 --dist loadfile

# Two processes with a Ray runtime each, since either waits for a good part of its time; three are slower.
test-ray: $(STAMP)
	$(BIN)/python -m pytest -q --durations=10 -n 2 --dist loadfile --no-loadscope-reorder $(RAY_TESTS)

canary:  ## the newest versions of everything, without constraints.txt, and the tests without Ray
	$(check_python)
	$(PYTHON) -m venv --clear $(CANARY)
	@echo "installing the newest versions into $(CANARY) (torch with CUDA is gigabytes; CANARY_TORCH names another build)"
	$(CANARY)/bin/python -m pip install --quiet --disable-pip-version-check $(CANARY_TORCH) -e '.[all,dev]'
	$(CANARY)/bin/python -m pip freeze --exclude-editable | diff constraints.txt - | sed -n 's/^> /newer: /p'
	$(CANARY)/bin/python -m pytest -q -m "not ray" -n 2 --dist loadfile

faults: $(STAMP)  ## every fault at every point (half an hour)
	$(BIN)/python -m pytest -q --all-faults \
	    -m "case(section='Faults') or (faults and not case(section='Load'))"

soak: $(STAMP)  ## 200 random faults; SEED=n and FAULTS=n (an hour or two)
	$(BIN)/python -m tests.faults.soak --seed $(SEED) --faults $(FAULTS)

reliability: $(STAMP)  ## all of the above but soak, and docs/reliability.md anew
	$(BIN)/python -m tests.faults.scoreboard

cluster-local: $(STAMP)  ## `ray up` on three machines made of namespaces; needs root (minutes)
	$(BIN)/python -m tests.faults.cluster_local

lint: $(STAMP)  ## every module imports; ruff; package contracts; mypy
	$(BIN)/python .ci/imports.py
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

# What `make bench` compares with, and on which data; what is not there is skipped with a line.
DATA           ?= $(firstword $(wildcard $(ELEMGRID_DATA)/matbench_phonons.json.gz ../shared/data/matbench_phonons.json.gz))
CGCNN_CHECKOUT ?=
MATGL          := $(VENV)/peers/matgl
MATGL_PYTHON   ?= $(MATGL)/bin/python
SHARDS         ?=
SEED           ?= 0
FAULTS         ?= 200
EPOCHS         ?= 300

bench: $(STAMP)  ## how fast, against what else there is: benchmarks/README.md (hours)
	$(BIN)/python -m benchmarks --data "$(DATA)" --checkout "$(CGCNN_CHECKOUT)" \
	    --matgl-python "$(MATGL_PYTHON)" --shards "$(SHARDS)" --epochs $(EPOCHS)

bench-peers: $(STAMP)  ## an environment with matgl, for `make bench`
	$(BIN)/python -m benchmarks.peers.setup $(MATGL)

format: $(STAMP)  ## let ruff order imports and lay out the code
	$(BIN)/ruff check --fix --select I .
	$(BIN)/ruff format .

wheel: $(STAMP)  ## dist/: what cluster.yaml copies to each machine, and no more
	rm -rf dist build
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
	cp constraints.txt requirements*.lock dist/

clean:  ## remove caches (runs/ and .venv stay)
	rm -rf .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist *.egg-info
	find .ci orchestrator trainables analysis benchmarks scripts tests \
	    -name __pycache__ -type d -prune -exec rm -rf {} +

clean-env: clean  ## remove .venv too
	rm -rf $(VENV)
