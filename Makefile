# Every target sets up what it needs: a machine with Python 3.11 or newer is enough.
PYTHON ?= python3
DECISION ?= bidding
BIN := .venv/bin
# Idle OpenMP threads must sleep, not spin, beside other work.
export OMP_WAIT_POLICY ?= passive

.PHONY: demo app test check verify format clean

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,content]'
	touch $@

.venv/.bench: .venv/.installed  # peers that benchmarks compare with; nothing that ships needs them
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,content,bench]'
	touch $@

demo: .venv/.installed  ## the whole line on the built-in sample
	$(BIN)/ppo-marketing demo $(DECISION)

app: .venv/.installed  ## the analysts' app in a browser
	$(BIN)/ppo-marketing app

test: .venv/.installed  # a worker for each core: further threads would only spin beside them
	OPENBLAS_NUM_THREADS=1 OMP_WAIT_POLICY=passive $(BIN)/python -m pytest -n 2 --dist worksteal

check: .venv/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) --no-print-directory test

# Real logs for the benchmarks that read some; they are never part of this repository.
DATA ?= ../shared/data

BENCHMARKS := app_speed batch_scoring bidding_ppo bidding_rules budget_range comparisons constraint content_alignment \
	env_throughput fidelity_gate guardrails honesty_gate kaplan_meier kl_target log_memory ope_scale personalization_ppo \
	personalization_random_log personalization_sessions reference_returns retraining sequencing_caps \
	sequencing_fidelity sequencing_ppo sequencing_throughput serve_load throughput
ON_REAL_LOGS := 'ipinyou_sam --data $(DATA)/ipinyou_sam' 'detailing_panel --data $(DATA)/bayesm_marketing' \
	'open_bandit_ope --data $(DATA)/open_bandit_small' \
	'ipinyou_rlb --data $(DATA)/ipinyou_rlb --campaign 1458 2259 2261 2821 3358 3386 3427 3476 \
	--out benchmarks/results/ipinyou_rlb.json'

verify: .venv/.bench  ## the full tables and every benchmark; takes hours; what failed is listed at the end
	$(BIN)/python -m pytest -m 'verify or not verify'
	@test -d $(DATA) || echo 'not run: benchmarks on real logs (no folder $(DATA); set DATA=...)'
	@failed=; for one in $(BENCHMARKS); do $(BIN)/python -m benchmarks.$$one || failed="$$failed $$one"; done; \
	if test -d $(DATA); then for one in $(ON_REAL_LOGS); do \
		$(BIN)/python -m benchmarks.$$one || failed="$$failed $${one%% *}"; done; fi; \
	test -z "$$failed" || { echo "failed:$$failed"; exit 1; }

format: .venv/.installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache data/cache data/runs
