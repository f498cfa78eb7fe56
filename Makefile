# Everything a fresh machine needs is python3 (3.11 or newer, with venv) and make.
PYTHON ?= python3
VENV := .venv
UV := $(VENV)/bin/uv
RUN := $(VENV)/bin/python -m
export UV_PYTHON_DOWNLOADS := never
export UV_PROJECT_ENVIRONMENT := $(VENV)

# npm's latest CDK CLI is older than aws-cdk-lib; this version matches it.
CDK_CLI_VERSION := 2.1148.1
TYPESCRIPT_VERSION := 5.9.3
CDK := .build/cdk/node_modules/.bin/cdk
# The virtual environment has the Node that the CDK CLI and aws-cdk-lib need.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help demo demo-embeddings test test-extra test-console crash-points faults check format bench clean bootstrap synth diff deploy destroy rehearse

help: ## Show the targets
	@grep -hE '^[a-z -]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-40s %s\n", $$1, $$2}'

demo: $(VENV)/.demo ## Run a real batch on this machine
	$(RUN) infra.cli.app demo

demo-embeddings: $(VENV)/.embeddings ## Embed the documentation with a real model, and search it
	$(RUN) infra.cli.embeddings

test: check ## Check style and types, then run the tests
	rm -rf .build/aws-calls
	$(RUN) pytest -n 3 --dist loadgroup
	$(RUN) pytest tests/infra/policies.py

crash-points: $(VENV)/.dev ## Inject faults into every call and step of every story, which takes long
	NIGHTLANE_EVERY_CALL=1 $(RUN) pytest -n 2 tests/faults/test_crash_points.py \
		tests/faults/test_home_crash_points.py tests/faults/test_upload_faults.py tests/faults/test_hostile_upstreams.py \
		tests/faults/test_handover.py --timeout 3000

faults: crash-points ## crash-points, then five thousand random schedules
	$(RUN) tests.faults.test_interleavings 0 2500 & first=$$!; \
	$(RUN) tests.faults.test_interleavings 2500 5000 && wait $$first

test-extra: $(VENV)/.dev ## Run the tests that need more than python3: other Pythons and clients, Java, Node
	.ci/extra

test-console: $(VENV)/.dev ## Check the types of the console, and test it in an installed Chromium
	$(UV) sync --frozen --quiet --inexact --group browser --group dev --group cdk
	$(VENV)/bin/npm install --silent --no-save --prefix .build/typescript typescript@$(TYPESCRIPT_VERSION)
	.build/typescript/node_modules/.bin/tsc --project tests/console/jsconfig.json
	$(RUN) pytest -n 2 --dist loadfile tests/console

check: $(VENV)/.dev ## Check format, lint and types
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

format: $(VENV)/.dev ## Format the code
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

bench: $(VENV)/.bench ## Measure the figures in the docs; results go to bench/results, pictures to docs/figures
	$(RUN) bench

deploy destroy: $(VENV)/.cdk $(CDK) ## Check the account and deploy, or delete the stack; ARGS are passed to `nightlane`
	$(RUN) infra.cli.app $@ $(ARGS)

bootstrap synth diff: $(VENV)/.cdk $(CDK) ## Run the CDK CLI with cdk.json; ARGS are passed to it
	$(CDK) $@ $(ARGS)

rehearse: $(VENV)/.dev $(CDK) ## Deploy into an AWS emulator and run the client tests against it
	$(RUN) pytest tests/rehearsal --timeout 600

$(UV):
	$(PYTHON) -m venv $(VENV)
	$(RUN) pip install --quiet uv

$(VENV)/.demo: pyproject.toml uv.lock | $(UV)
	$(UV) sync --frozen --quiet --inexact
	@touch $@

$(VENV)/.embeddings: pyproject.toml uv.lock | $(UV)
	$(UV) sync --frozen --quiet --inexact --group embeddings
	@touch $@ $(VENV)/.demo

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

clean: ## Delete everything that was built or installed
	rm -rf $(VENV) $(VENV)-* .build .pytest_cache .mypy_cache .ruff_cache .hypothesis nightlane-demo dist layers/nightlane/*.egg-info
