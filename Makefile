# Two commands: `make run` and `make test`. Everything is installed into .venv; no root, no download but packages.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
DATA ?= data
PHOTOS ?=
HTTP_PORT ?= 8480
MQTT_PORT ?= 1883

.PHONY: run test lint types bench setup setup-dev clean

setup: $(VENV)/.setup-run
setup-dev: $(VENV)/.setup-dev

$(VENV)/bin/uv:
	@echo "Making the virtual environment …"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.5"

$(VENV)/.setup-run: pyproject.toml constraints.txt | $(VENV)/bin/uv
	@echo "Installing framed and what it needs (some minutes the first time, most of it download) …"
	@$(BIN)/uv pip install --python $(BIN)/python -c constraints.txt -e ".[samples]"
	@if command -v c++ >/dev/null 2>&1; then $(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e ".[pdq]" \
		|| echo "pdqhash could not be compiled; framed hashes with NumPy instead, with the same result."; fi
	@touch $@

$(VENV)/.setup-dev: $(VENV)/.setup-run
	@echo "Installing the tools for tests …"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e ".[dev]"
	@touch $@

run: setup
	@$(BIN)/framed run --data "$(DATA)" $(if $(PHOTOS),--photos "$(PHOTOS)",--samples) --http-port $(HTTP_PORT) --mqtt-port $(MQTT_PORT)

test: setup-dev lint types
	@OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -q $(ARGS)

lint: setup-dev
	@$(BIN)/ruff check framed tests bench
	@$(BIN)/ruff format --check framed tests bench

types: setup-dev
	@$(BIN)/mypy

bench: setup-dev
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e ".[bench]"
	@for script in bench/*.py; do echo "== $$script"; $(BIN)/python $$script; done

clean:
	rm -rf $(VENV) build *.egg-info
