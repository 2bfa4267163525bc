# The verbs of the house. `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
export PATH := $(CURDIR)/bin:$(PATH)

.PHONY: help setup build run test check verify bench chaos load pictures fuzz docs clean

help: ## list the verbs
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "make %-8s %s\n", $$1, $$2}'

setup: ## install what this machine lacks (Debian packages, Go modules)
	@scripts/setup.sh

build: setup ## build bin/myelin and bin/processor
	@scripts/build.sh

run: build ## start Myelin with the examples, in the foreground; Ctrl-C drains and stops
	@scripts/run.sh

test: build ## install and start the real servers, run every suite
	@scripts/test.sh

check: ## format, vet, lint and the floors of the house
	@scripts/check.sh

verify: ## prove the models of channel and dealer, and that planted mistakes are found
	@scripts/verify.sh

bench: build ## measure ratios (ONLY=http for one), write docs/benchmarks.md
	@scripts/bench.sh $(ONLY)

chaos: build ## kill things for hours (ROUNDS=20 EVENTS=10000000)
	@scripts/chaos.sh

load: build ## look at the dashboard with 1,000 functions and 500 changes a second (LOAD=10m)
	@scripts/load.sh

pictures: build ## take the screenshots of the dashboard anew (docs/images)
	@scripts/pictures.sh

fuzz: ## fuzz every parser and shared-memory entry (FUZZTIME=30s each)
	@scripts/fuzz.sh

docs: ## write the generated reference pages anew
	@scripts/docs.sh

clean: ## remove what the other verbs made in this directory
	@rm -rf bin .cache
