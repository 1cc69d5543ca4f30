# SPDX-License-Identifier: GPL-2.0-only
#
# The commands that people type. Each sets up what is missing first; `make help` lists them.

# What is passed on: make conformance ARGS="--claim preset.returns_eintr"
ARGS =
# A file that gets the launcher's own exit code, for make turns every failure into 2. Until there is
# one it says 70, so that a run that is killed leaves no 0 of an earlier one.
STATUS_FILE =
export STATUS_FILE

# An empty environment has none, and compilers look for their parts in it.
PATH ?= /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH

SETUP = tools/bootstrap.sh
RUN = .venv/bin/kvm-conformance

.PHONY: conformance test bench blobs lint setup setup-plot setup-emulation setup-architectures setup-mutants setup-dev pins install clean help

conformance: ## run the conformance suites: on this host's KVM, else in an emulated host
	@trap : INT; \
	tell() { \
		if [ -n "$$STATUS_FILE" ] && ! echo $$1 >"$$STATUS_FILE"; then \
			echo "Error: STATUS_FILE=$$STATUS_FILE cannot be written." >&2; exit 73; \
		fi; \
	}; \
	tell 70; $(SETUP) && $(RUN) run --else-emulate $(ARGS); code=$$?; tell $$code; exit $$code

test: ## run the project's own tests
	@$(SETUP) --test
	@.venv/bin/pytest tests -n auto $(ARGS)

bench: ## measure what a KVM_RUN costs
	@$(SETUP)
	@$(RUN) bench $(ARGS)

blobs: ## rebuild the guest programs and compare them with the stored ones
	@$(SETUP) --dev
	@$(RUN) blobs $(ARGS)

lint: ## run the checks of the source: format, lint, types, warnings, guest programs
	@$(SETUP) --dev
	@.ci/checks $(ARGS)

setup: ## only set up
	@$(SETUP)

setup-plot: ## only set up, with the Python packages of emulated hosts and of pictures
	@$(SETUP) --plot

setup-emulation: ## only set up, with what emulated hosts need
	@$(SETUP) --emulation

setup-architectures: ## only set up, with what kernels of other architectures need
	@$(SETUP) --architectures

setup-mutants: ## only set up, with what broken KVMs are built with
	@$(SETUP) --mutants

setup-dev: ## only set up, with what the checks need
	@$(SETUP) --dev

pins: ## pin the Python packages of pyproject.toml anew, by version and hash
	@$(SETUP) --dev
	@setup/pin.sh $(ARGS)

# For packagers: no network, no guest program built. The system's Python, or that of PYTHON=. What
# is given reaches the script by the environment, and no shell reads it.
install: ## install below PREFIX (/usr/local), in the folder DESTDIR
	@setup/install.sh

clean: ## remove what set-up and runs made, except results/
	rm -rf .venv .bootstrap.lock build *.egg-info .pytest_cache .mypy_cache .ruff_cache
	rm -f harness/native/_native*.so harness/native/_native*.c
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 18
