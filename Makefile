# Bare `make` lists the targets. Everything runs in .venv, made from the hash-locked requirements by scripts/venv.sh.
# Variables: PYTHON (interpreter), PER_DAY, DURATION and ARGS (make bench), WORKERS and PYTEST_ARGS (make test), SOAK_S
# (make soak, seconds).

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help bench test check proof soak docs lock upgrade screenshots clean runtime dev tools

BIN := .venv/bin
PER_DAY ?= 450000
DURATION ?= 30s
ARGS ?=
WORKERS ?= 5
PYTEST_ARGS ?=
SOAK_S ?= 1800
export SOAK_S
# Tests start hundreds of Pythons; compiled once, each starts in a third of the time.
unexport PYTHONDONTWRITEBYTECODE
BENCHMARKS := mock_latency http_calls workers simulation generator plan_vs_bench shown_benches
PYTEST = $(BIN)/python -m pytest $(PYTEST_ARGS)
# A proof that hangs shows where after so many seconds.
LONG = -o faulthandler_timeout=$$(( $(SOAK_S) + 600 ))

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

bench: runtime ## Measure: 450,000 jobs a day for 30 s on real parts (PER_DAY=, DURATION=, ARGS=)
	$(BIN)/jobctl bench --per-day $(PER_DAY) --duration $(DURATION) $(ARGS)

test: dev tools ## Run the tests: in parallel, then those that need the machine for themselves
	$(PYTEST) -m "not serial and not proof" -n $(WORKERS) --dist loadfile --no-loadscope-reorder
	@files=$$(grep -rls --include='*.py' 'mark\.serial' tests); \
	if [ -n "$$files" ]; then set -x; $(PYTEST) -m "serial and not proof" $$files; \
	else echo "no test is marked serial"; fi

check: dev ## Check format, lint, types, floors, the lock, the distributions, and what is made from slo.toml
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/lock.py check
	$(BIN)/python scripts/check_distributions.py
	$(BIN)/python scripts/reference.py --check
	$(BIN)/python scripts/pictures.py --check
	$(BIN)/python scripts/high_load.py --check
	$(BIN)/jobctl monitoring render --check --slo-file monitoring/slo.toml
	$(BIN)/jobctl deploy render --check

proof: dev tools ## Show the full-length figures and write them to docs/figures/ (minutes)
	$(PYTEST) $(LONG) -m proof
	@mkdir -p docs/figures; for name in $(BENCHMARKS); do echo "== $$name"; \
	$(BIN)/python benchmarks/$$name.py > docs/figures/$$name.txt || exit 1; cat docs/figures/$$name.txt; done
	$(BIN)/python scripts/high_load.py

soak: dev tools ## Soak a worker: 50 jobs/s for half an hour; part of proof (SOAK_S=)
	$(PYTEST) $(LONG) -m proof tests/proof/test_soak.py

docs: dev ## Make the reference and the pictures again, and build the documents as a site, site/index.html
	$(BIN)/python scripts/reference.py
	$(BIN)/python scripts/pictures.py
	$(BIN)/python scripts/high_load.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "Open site/index.html; to search it as well: $(BIN)/python -m http.server --bind 127.0.0.1 --directory site"

lock: dev ## Lock the requirements again after a change in pyproject.toml; pins that still fit stay
	$(BIN)/python scripts/lock.py write

upgrade: dev ## Lock the newest releases that fit pyproject.toml
	$(BIN)/python scripts/lock.py write --upgrade

screenshots: dev tools ## Make the pictures of the README again, from one real bench
	$(BIN)/python scripts/screenshots.py

clean: ## Remove what was made: .venv, distributions, caches
	rm -rf .venv .tools dist build site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +

runtime:
	@PYTHON="$(PYTHON)" scripts/venv.sh runtime

dev:
	@PYTHON="$(PYTHON)" scripts/venv.sh dev

tools: dev
	@$(BIN)/python scripts/tools.py
