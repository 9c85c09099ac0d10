# Two commands: `make run` and `make test`. Everything is installed into .venv; no root, no download but packages.
# What is not set here comes from config.yaml, or is framed's default: make run PHOTOS=~/Pictures HTTP_PORT=8080
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PHOTOS ?=
DATA ?=
HTTP_PORT ?=
MQTT_PORT ?=
# Recipes read these from the environment: a folder's name may hold anything but a $ that is not doubled.
export PHOTOS DATA HTTP_PORT MQTT_PORT

.PHONY: help run test lint types docs bench setup setup-dev clean
.DEFAULT_GOAL := help

help:
	@echo "make run                     install framed into .venv and start it on sample photos"
	@echo "make run PHOTOS=~/Pictures   the same on your own folder; DATA=, HTTP_PORT= and MQTT_PORT= are framed's others"
	@echo "make setup                   install only"
	@echo "make test                    install the tools for tests and run them all; ARGS=tests/web runs a part"
	@echo "make lint, make types        only style; only types"
	@echo "make docs                    write docs/contract.md anew"
	@echo "make bench                   measure with small numbers; FULL=1 with those of docs/figures.md, for hours"
	@echo "make clean                   remove .venv; photos and framed's data stay"

setup: $(VENV)/.setup-run
setup-dev: $(VENV)/.setup-dev

$(VENV)/bin/uv:
	@command -v $(PYTHON) >/dev/null || { echo "framed needs Python 3.11 or newer. If yours has another name: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@echo "Making the virtual environment in $(VENV) …"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.5"

$(VENV)/.setup-run: pyproject.toml constraints.txt | $(VENV)/bin/uv
	@echo "Installing framed and what it needs into $(VENV) (a few minutes the first time, most of it download) …"
	@$(BIN)/uv pip install --python $(BIN)/python -c constraints.txt -e ".[samples]"
	@if command -v c++ >/dev/null 2>&1; then $(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e ".[pdq]" \
		|| echo "pdqhash could not be compiled; framed hashes with NumPy instead, with the same result."; fi
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -c "import framed.app, framed.cli, framed.welcome"  # compiled once, here
	@touch $@

$(VENV)/.setup-dev: $(VENV)/.setup-run
	@echo "Installing the tools for tests …"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e ".[dev]"
	@touch $@

run: setup
	@set -- --samples; test -z "$$PHOTOS" || set -- --photos "$$PHOTOS"; \
		test -z "$$DATA" || set -- "$$@" --data "$$DATA"; \
		test -z "$$HTTP_PORT" || set -- "$$@" --http-port "$$HTTP_PORT"; \
		test -z "$$MQTT_PORT" || set -- "$$@" --mqtt-port "$$MQTT_PORT"; \
		exec $(BIN)/framed run "$$@"

test: setup-dev lint types
	@env -u PYTHONDONTWRITEBYTECODE OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

lint: setup-dev
	@$(BIN)/ruff check framed tests bench
	@$(BIN)/ruff format --check framed tests bench

types: setup-dev
	@$(BIN)/mypy

docs: setup
	@mkdir -p docs
	@$(BIN)/framed contract --markdown > docs/contract.md

bench: setup-dev
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e ".[bench]"
	@$(BIN)/python bench $(if $(FULL),--full) $(ARGS)

clean:
	rm -rf $(VENV) build *.egg-info
