# All commands for users and pipelines. `make` alone lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help up down setup provision smoke test test-fast test-faults fuzz check lock bench bench-serve bench-push clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: ## install the tools and deploy the stack `local`
	@tools/up.sh

down: ## destroy the stack `local` and stop its local cloud
	@tools/down.sh

setup: ## install the tools only: Python packages, Pulumi engine, Docker
	@tools/setup.sh

provision: ## preview and update the stack STACK (default: local)
	@tools/provision.sh "$${STACK:-local}"

smoke: ## request a prediction from the stack STACK (default: local)
	@tools/smoke.sh "$${STACK:-local}"

test: setup ## all tests: pure, process and end-to-end tests
	@tools/test.sh

test-fast: ## the pure tests only: no Docker, no engine, no other process
	@tools/venv.sh && tools/test-tools.sh && . tools/env.sh && pytest -q -n 2 -m 'not e2e and not process'

test-faults: setup ## the fault tests with all rounds, on their own stack: docs/faults.md
	@tools/test-tools.sh && . tools/env.sh && ONEBOX_FAULTS=full pytest -v -m e2e tests/e2e/faults

fuzz: setup ## random requests against the API's server for an hour (ONEBOX_FUZZ_SECONDS)
	@. tools/env.sh && ONEBOX_FUZZ_SECONDS=$${ONEBOX_FUZZ_SECONDS:-3600} pytest -q -s tests/app/test_fuzz.py

check: ## lint, format, types, import rules, shell scripts, lock files
	@tools/check.sh

lock: ## resolve pyproject.toml and the .in files of the images into the hash-locked requirements.txt
	@tools/lock.sh

bench: ## short benchmarks, as ratios within one run
	@tools/venv.sh && . tools/env.sh && python -m benchmarks

bench-serve: ## POST /predict beside other servers: requests/s, latency, memory (needs wrk)
	@tools/venv.sh && . tools/env.sh && python -m benchmarks serve

bench-push: ## onebox push beside Ansible and pyinfra on one host of the local cloud
	@tools/bench-push.sh

clean: down ## `make down`, then delete what this checkout created
	rm -rf .venv .onebox Pulumi.local.yaml app/artifacts
