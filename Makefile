# Every target sets itself up in .venv from a bare Python >= 3.11.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: setup demo test minis test-slow faults lint format bench tracking lock clean

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --requirement requirements.lock
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --no-deps --editable .
	touch $(READY)

demo: $(READY)
	$(BIN)/python -m grid.run --space demo

test: $(READY)
	$(BIN)/python -m pytest

# Every row of the paper's tables and figures on images, for two steps; ten minutes at most
minis: $(READY)
	$(BIN)/python -m pytest -m slow tests/grid/end_to_end/test_minis.py --durations=1

test-slow: $(READY)
	$(BIN)/python -m pytest -m slow

# Every row of docs/reliability.md, random kills, and that page's figures; an hour and a half
KILLS ?= 200
faults: $(READY)
	mkdir -p build
	-$(BIN)/python -m pytest -m "" --junitxml=build/faults.xml $$(PYTHONPATH=tests/support $(BIN)/python tests/support/table.py --tests)
	-PYTHONPATH=tests/support $(BIN)/python tests/support/kills.py --kills $(KILLS) --json build/kills.json
	PYTHONPATH=tests/support $(BIN)/python tests/support/table.py build/faults.xml build/kills.json

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY)
	$(BIN)/python -m bench

# MLflow's server on loopback; reads MEDPT_TRACKING_DB and MEDPT_TRACKING_ARTIFACTS; docs/tracking.md
OUT ?= runs
PORT ?= 5000
tracking: $(READY)
	$(BIN)/python -m grid.tracking --out $(OUT) --port $(PORT) $(OPTIONS)

lock: $(READY)
	$(BIN)/uv pip compile pyproject.toml --extra dev --extra forest --extra server --python-version 3.11 --universal \
		--no-header --no-emit-index-url --no-annotate --output-file requirements.lock

clean:
	rm -rf $(VENV) runs build *.egg-info
