# Every target sets up what it needs: a machine with Python 3.11 or newer is enough.
PYTHON ?= python3
DECISION ?= bidding
BIN := .venv/bin
# Idle OpenMP threads must sleep, not spin, beside other work.
export OMP_WAIT_POLICY ?= passive

.PHONY: demo test check verify format clean

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: .venv/.installed  ## the whole line on the built-in sample
	$(BIN)/ppo-marketing demo $(DECISION)

test: .venv/.installed
	$(BIN)/python -m pytest -n 2 --dist worksteal

check: .venv/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) --no-print-directory test

verify: .venv/.installed  ## the full tables and every benchmark; takes hours
	$(BIN)/python -m pytest -m 'verify or not verify'
	for name in $$(ls benchmarks/*.py | xargs -n1 basename | sed 's/\.py$$//' | grep -vE '^(report|ipinyou_rlb|__init__)$$'); do \
		$(BIN)/python -m benchmarks.$$name || exit 1; done

format: .venv/.installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache data/cache data/runs
