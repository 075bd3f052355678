# Every verb a person or a pipeline needs. `make` alone lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help up down setup provision smoke test test-fast test-faults fuzz check lock bench bench-serve bench-push clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: ## set everything up and bring the stack `local` to a served prediction
	@tools/up.sh

down: ## destroy the stack `local` and end its local cloud
	@tools/down.sh

setup: ## tools only: Python packages, Pulumi engine, Docker
	@tools/setup.sh

provision: ## preview and update the stack STACK (default: local)
	@tools/provision.sh "$${STACK:-local}"

smoke: ## ask the API of the stack STACK for a prediction
	@tools/smoke.sh "$${STACK:-local}"

test: setup ## all tests: the pure ones in seconds, then the real stack end to end
	@tools/test.sh

test-fast: ## the pure tests alone: no Docker, no engine, no other program
	@tools/venv.sh && tools/test-tools.sh && . tools/env.sh && pytest -q -n 2 -m 'not e2e and not process'

test-faults: setup ## the fault table with its full counts on a stack of its own: docs/faults.md
	@tools/test-tools.sh && . tools/env.sh && ONEBOX_FAULTS=full pytest -v -m e2e tests/e2e/faults

fuzz: setup ## an hour of drawn requests against the API's server (ONEBOX_FUZZ_SECONDS)
	@. tools/env.sh && ONEBOX_FUZZ_SECONDS=$${ONEBOX_FUZZ_SECONDS:-3600} pytest -q -s tests/app/test_fuzz.py

check: ## lint, format, types, import rules, shell scripts, lock files
	@tools/check.sh

lock: ## resolve pyproject.toml and the .in files of the images into the hash-locked requirements.txt
	@tools/lock.sh

bench: ## the repo's own measurements, as ratios of one run
	@tools/venv.sh && . tools/env.sh && python -m benchmarks

bench-serve: ## POST /predict beside other servers: requests/s, latency, memory (needs wrk)
	@tools/venv.sh && . tools/env.sh && python -m benchmarks serve

bench-push: ## onebox against Ansible and pyinfra on one rehearsal host
	@tools/bench-push.sh

clean: down ## `make down`, then everything this checkout made for itself
	rm -rf .venv .onebox Pulumi.local.yaml app/artifacts
