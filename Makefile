# The two commands: `make quickstart` and `make test`. Both set up what they need and say so.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:
MAKEFLAGS += --no-print-directory

SUDO := $(if $(filter 0,$(shell id -u)),,sudo --preserve-env=R1FLEET_CACHE,R1FLEET_TORCH_INDEX)
BIN := .venv/bin
FLEET := $(SUDO) $(BIN)/r1fleet
# Under sudo the cache is root's own, as the lab and what it leaves there are.
CACHE = "$${R1FLEET_CACHE:-$$($(SUDO) sh -c 'echo ~')/.cache/r1fleet}"
# Two files of tests at a time, in the order of their folders: labs first, unit tests fill up what is left.
AT_ONCE := --numprocesses 2 --no-loadscope-reorder
LAB_PACKAGES := mmdebstrap systemd-container nftables iproute2 tinyproxy openssh-client openssh-server procps rsync

.PHONY: help setup system quickstart quickstop check test test-unit test-all molecule bench clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */\1\t/' | expand -t 14

setup: system $(BIN)/.ready  ## install what is missing: system packages for the lab, the Python environment

system:
	@missing=""
	for package in $(LAB_PACKAGES); do
	  dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$package"
	done
	python=""
	for name in python3.13 python3.12 python3.11 python3; do
	  if command -v $$name >/dev/null && $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$name; break; fi
	done
	if [ -z "$$python" ]; then missing="$$missing python3.11 python3.11-venv"
	elif ! $$python -c 'import ensurepip, venv' 2>/dev/null; then missing="$$missing $$(basename $$(readlink -f $$(command -v $$python)))-venv"; fi
	if [ -n "$$missing" ]; then
	  echo "setup: installing$$missing"
	  $(SUDO) apt-get update -qq
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null
	fi

$(BIN)/.ready: pyproject.toml | system
	@for name in python3.13 python3.12 python3.11 python3; do
	  if command -v $$name >/dev/null && $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$name; break; fi
	done
	echo "setup: making the Python environment .venv ($$($$python --version))"
	$$python -m venv .venv
	$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.[dev]'
	touch $@

quickstart: setup  ## the main job on two lab hosts: provision, launch, status, one chat completion
	@bold=; plain=; if [ -t 1 ]; then bold=$$'\033[1m'; plain=$$'\033[0m'; fi
	run() { printf '\n%s$$%s%s\n' "$$bold" "$$(printf ' %q' "$$@")" "$$plain"; "$$@"; }
	inventory=$(CACHE)/lab/lab/inventories/lab.yaml
	run $(FLEET) lab up --hosts 2
	run $(FLEET) provision "$$inventory"
	run $(FLEET) launch tiny -i "$$inventory"
	run $(FLEET) status -i "$$inventory"
	run $(FLEET) ask "What is two plus two?" -d tiny -i "$$inventory"
	quoted=$$(printf %q "$$inventory")
	printf '\n%s\n' "The endpoint goes on answering. Look at it, and stop it (or: make quickstop):"
	printf '  %s\n' "$(FLEET) status --probe" "$(FLEET) logs tiny -i $$quoted" "$(FLEET) plan tiny -i $$quoted" \
	  "$(FLEET) stop tiny -i $$quoted --yes" "$(FLEET) lab down"

quickstop:  ## stop what quickstart started
	@$(FLEET) stop tiny -i $(CACHE)/lab/lab/inventories/lab.yaml --yes || true
	$(FLEET) lab down

check: $(BIN)/.ready  ## formatting, lint, types, layers
	@$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: setup check  ## everything that must be green: checks, unit tests, the lab
	@$(SUDO) $(BIN)/python -m pytest -m "not slow" $(AT_ONCE)

test-unit: $(BIN)/.ready  ## unit tests only; the lab tests do not run
	@$(BIN)/python -m pytest tests/unit
	echo "unit tests only: the lab tests did not run (make test)"

test-all: setup check  ## everything, the long runs included
	@$(SUDO) $(BIN)/python -m pytest

molecule: setup  ## one role's Molecule scenario: ROLE=base ENGINE=r1fleet|ansible COMMAND=test|converge|verify|destroy
	@$(SUDO) $(BIN)/python -m tests.molecule $(or $(ROLE),base) $(or $(COMMAND),test) --engine $(or $(ENGINE),r1fleet)

bench: setup  ## speed against peers, as ratios in one run; options in BENCH="--hosts 8 --runs 5 --peers pyinfra --rtt 40"
	@$(SUDO) $(BIN)/python -m benchmarks $(BENCH)

clean:  ## remove the Python environment and what the lab has cached
	@[ ! -x $(BIN)/r1fleet ] || $(FLEET) lab down --all || true
	$(SUDO) rm -rf .venv .mypy_cache .ruff_cache .pytest_cache
	echo "kept:" $(CACHE) "(lab base, wheelhouses); remove it by hand"
