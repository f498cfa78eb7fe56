# Everything a fresh machine needs is python3 (3.11 or newer, with venv) and make.
PYTHON ?= python3
VENV := .venv
UV := $(VENV)/bin/uv
RUN := $(VENV)/bin/python -m
export UV_PYTHON_DOWNLOADS := never
export UV_PROJECT_ENVIRONMENT := $(VENV)

.DEFAULT_GOAL := help
.PHONY: help demo test test-extra faults check format bench clean

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

demo: $(VENV)/.demo ## Run a real batch through the real handlers on this machine
	$(RUN) infra.cli.app demo

test: check ## Check style and types, then run the tests
	$(RUN) pytest -n 2

faults: $(VENV)/.dev ## Play five thousand random schedules of faults (half an hour on two cores)
	$(RUN) tests.faults.test_interleavings 0 2500 & first=$$!; \
	$(RUN) tests.faults.test_interleavings 2500 5000 && wait $$first

test-extra: $(VENV)/.dev ## Run what needs more than python3: other Pythons, Java, Node
	.ci/extra

check: $(VENV)/.dev ## Check format, lint and types
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

format: $(VENV)/.dev ## Format the code
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

bench: $(VENV)/.dev ## Measure what the README quotes; results go to bench/results
	$(RUN) bench

$(UV):
	$(PYTHON) -m venv $(VENV)
	$(RUN) pip install --quiet uv

$(VENV)/.demo: pyproject.toml uv.lock | $(UV)
	$(UV) sync --frozen --quiet --inexact
	@touch $@

$(VENV)/.dev: pyproject.toml uv.lock | $(UV)
	$(UV) sync --frozen --quiet --inexact --group dev
	@touch $@ $(VENV)/.demo

clean: ## Remove what was built and installed
	rm -rf $(VENV) .build .pytest_cache .mypy_cache .ruff_cache .hypothesis nightlane-demo
