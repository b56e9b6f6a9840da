# Every target sets itself up in .venv from a bare Python >= 3.11. A comment after `##` is what `make help` prints.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help setup demo test minis test-slow faults lint format bench tracking lock clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "make %-10s %s\n", $$1, $$2 }'

setup: $(READY) ## install the locked versions into .venv (7 GB); PYTHON=python3.12 names another Python

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Python 3.11 or newer is needed; $(PYTHON) reports: $$($(PYTHON) --version 2>&1)." \
			"Name another: make $(or $(MAKECMDGOALS),setup) PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --requirement requirements.lock
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --no-deps --editable .
	touch $(READY)

demo: $(READY) ## run the demo on synthetic data: two cores, three minutes, tables, answers and a report
	$(BIN)/python -m grid.run --space demo

test: $(READY) ## run the tests: 15 to 25 minutes on two cores
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# Every row of the paper's tables and figures on images, for two steps, and the installed wheel
minis: $(READY) ## run every row of the paper for two steps, and the installed wheel: 20 minutes
	$(BIN)/python -m pytest -m slow tests/grid/end_to_end/test_minis.py tests/test_wheel.py --durations=2

test-slow: $(READY) ## run all slow tests
	$(BIN)/python -m pytest -m slow

# Every row of docs/reliability.md, random kills, and that page's figures
KILLS ?= 200
faults: $(READY) ## kill whole runs and write the figures of docs/reliability.md: an hour and a half
	mkdir -p build
	-$(BIN)/python -m pytest -m "" --junitxml=build/faults.xml $$(PYTHONPATH=tests/support $(BIN)/python tests/support/table.py --tests)
	-PYTHONPATH=tests/support $(BIN)/python tests/support/kills.py --kills $(KILLS) --json build/kills.json
	PYTHONPATH=tests/support $(BIN)/python tests/support/table.py build/faults.xml build/kills.json

lint: $(READY) ## check format, style, types and the layers of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## format the code and fix what ruff can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY) ## run the benchmarks of docs/performance.md and compare their ratios: 15 minutes
	$(BIN)/python -m bench

# Reads MEDPT_TRACKING_DB and MEDPT_TRACKING_ARTIFACTS; see docs/tracking.md
OUT ?= runs
PORT ?= 5000
tracking: $(READY) ## serve the record of runs with MLflow on this machine
	$(BIN)/python -m grid.tracking --out $(OUT) --port $(PORT) $(OPTIONS)

lock: $(READY) ## write requirements.lock anew from pyproject.toml
	$(BIN)/uv pip compile pyproject.toml --extra dev --extra forest --extra server --python-version 3.11 --universal \
		--no-header --no-emit-index-url --no-annotate --output-file requirements.lock

clean: ## remove .venv, runs and what was built
	rm -rf $(VENV) runs build dist *.egg-info
