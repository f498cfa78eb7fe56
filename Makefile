# Everything a fresh machine needs is python3 (3.11 or newer, with venv) and make.
PYTHON ?= python3
VENV := .venv
UV := $(VENV)/bin/uv
RUN := $(VENV)/bin/python -m
export UV_PYTHON_DOWNLOADS := never
export UV_PROJECT_ENVIRONMENT := $(VENV)

# The CDK CLI of npm's newest tag is older than the library; this one fits it.
CDK_CLI_VERSION := 2.1148.1
CDK := .build/cdk/node_modules/.bin/cdk
# Node, for the CDK CLI and for aws-cdk-lib, comes with the virtual environment.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help demo test test-extra crash-points faults check format bench clean bootstrap synth diff deploy destroy rehearse

help: ## Show the targets
	@grep -hE '^[a-z -]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-40s %s\n", $$1, $$2}'

demo: $(VENV)/.demo ## Run a real batch on this machine
	$(RUN) infra.cli.app demo

test: check ## Check style and types, then run the tests
	rm -rf .build/aws-calls
	$(RUN) pytest -n 2 --dist loadgroup
	$(RUN) pytest tests/infra/policies.py

crash-points: $(VENV)/.dev ## Break every call and every step of every story (ten minutes)
	NIGHTLANE_EVERY_CALL=1 $(RUN) pytest -n 2 tests/faults/test_crash_points.py \
		tests/faults/test_home_crash_points.py --timeout 3000

faults: crash-points ## Break every call of every story, then play five thousand random schedules (an hour)
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

bench: $(VENV)/.bench ## Measure what the docs quote; results go to bench/results, pictures to docs
	$(RUN) bench

bootstrap synth diff deploy destroy: $(VENV)/.cdk $(CDK) ## Run the CDK CLI on cdk.json; ARGS are its own
	$(CDK) $@ $(ARGS)

rehearse: $(VENV)/.dev $(CDK) ## Deploy into an emulator of AWS and run the client's tests against it
	$(RUN) pytest tests/rehearsal --timeout 600

$(UV):
	$(PYTHON) -m venv $(VENV)
	$(RUN) pip install --quiet uv

$(VENV)/.demo: pyproject.toml uv.lock | $(UV)
	$(UV) sync --frozen --quiet --inexact
	@touch $@

$(VENV)/.cdk: pyproject.toml uv.lock | $(UV)
	$(UV) sync --frozen --quiet --inexact --group cdk
	@touch $@

$(VENV)/.dev: pyproject.toml uv.lock | $(UV)
	$(UV) sync --frozen --quiet --inexact --group dev --group cdk
	@touch $@ $(VENV)/.demo $(VENV)/.cdk

$(VENV)/.bench: pyproject.toml uv.lock | $(UV)
	$(UV) sync --frozen --quiet --inexact --group bench --group dev --group cdk
	@touch $@ $(VENV)/.demo $(VENV)/.cdk $(VENV)/.dev

$(CDK): Makefile | $(VENV)/.cdk
	$(VENV)/bin/npm install --silent --no-save --prefix .build/cdk aws-cdk@$(CDK_CLI_VERSION)
	@touch $@

clean: ## Remove what was built and installed
	rm -rf $(VENV) .build .pytest_cache .mypy_cache .ruff_cache .hypothesis nightlane-demo
