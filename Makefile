# make help lists the targets; reproduce and test set everything up by themselves.
PYTHON ?= python3
SCALE ?=
DATA ?=
IMAGES ?=
EXPERIMENT ?=
DRY_RUN ?=
PORT ?= 6006
BIN := .venv/bin
INSTALLED := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help setup reproduce bench test test-slow test-root fuzz report tensorboard lint clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  with reproduce go SCALE=smoke|quick|cpu|gpu|paper, DATA=mnist|digits, IMAGES=cifar10|cifar10_jpeg|shapes,"
	@echo "  EXPERIMENT=fig1|fig2|..., DRY_RUN=1 (list the runs and their costs); with tensorboard PORT=6006"

setup: $(INSTALLED) ## make .venv and install the project in it, editable

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else "Python 3.11 to 3.13 is needed, $(PYTHON) is %d.%d; name another: make setup PYTHON=python3.12" % v)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

reproduce: $(INSTALLED) ## run the experiments of a scale, judge the claims, write results/
	$(BIN)/python scripts/reproduce.py $(if $(SCALE),--scale $(SCALE)) $(if $(DATA),--data $(DATA)) $(if $(IMAGES),--images $(IMAGES)) $(if $(EXPERIMENT),--experiment $(EXPERIMENT)) $(if $(filter-out 0 no false,$(DRY_RUN)),--dry-run)

bench: $(INSTALLED) ## measure how fast it is, into results/bench.csv; an hour, best on an idle machine
	$(BIN)/python scripts/bench.py $(if $(IMAGES),--images $(IMAGES))

report: $(INSTALLED) ## build the figures, results/README.md and results/report.html from the committed tables
	$(BIN)/python scripts/report.py

tensorboard: $(INSTALLED) ## browse the runs at http://localhost:6006
	$(BIN)/tensorboard --logdir runs --host localhost --port $(PORT)

lint: $(INSTALLED) ## ruff and a strict type check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint ## lint, types and tests
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=10

test-slow: $(INSTALLED) ## the slow tests: torchrun, searches, every scale, and a Slurm of one node where it is installed
	@if command -v sbatch slurmd munged > /dev/null; then tests/machines/slurm.sh start; \
	else echo "no Slurm here (Debian: apt-get install slurm-wlm munge): its tests are skipped"; fi
	$(BIN)/python -m pytest -m slow; code=$$?; tests/machines/slurm.sh stop; exit $$code

test-root: $(INSTALLED) ## as root: what needs a disk of its own to be mounted
	$(BIN)/python -m pytest tests/faults/test_room.py

fuzz: $(INSTALLED) ## 2,000 command lines drawn at random: each runs or is refused in one message
	BNREPRO_FUZZ=2000 $(BIN)/python -m pytest tests/faults/test_fuzz.py

clean: ## remove .venv and caches (runs/, data/ and results/ stay)
	rm -rf .venv .mypy_cache .ruff_cache src/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
