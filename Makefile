# Every target works from a clean clone: it needs Python 3.11+, a C++ compiler and make; the rest goes into .venv.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
BIN := .venv/bin
MAKEFLAGS += --no-print-directory

.PHONY: help install rebuild demo lint test check bench bench-first-light bench-stack bench-core docs clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | sort | while IFS="$$(printf '\t')" read -r name text; do \
		printf '  make %-18s %s\n' "$$name" "$$text"; done

install:  ## compile llama.cpp for this CPU (once, about 4 minutes on 2 cores) and fill .venv
	@$(PYTHON) scripts/install.py

rebuild:  ## compile llama.cpp again, after a new compiler
	@$(PYTHON) scripts/install.py --rebuild

demo: install  ## generate with the small embedded model and compare with plain decoding
	@$(BIN)/slipstream demo

test: install  ## the fast tests
	@$(BIN)/python -m pytest -q -n 2

check: lint test  ## lint, format, types, room arrows and the fast tests

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: install  ## measure plain decoding against the stack on the built-in prompts (about 10 minutes), and store the runs
	@$(BIN)/slipstream bench first-light

# MODELS and EXACT are GGUF files; without MODELS the embedded model is measured.
bench-first-light: install  ## the README's figures on your data: make bench-first-light DATA=DIR MODELS="A.gguf B.gguf" EXACT="C.gguf"
	@test -n "$(DATA)" || { echo 'error: say where the data lies: make bench-first-light DATA=DIR' >&2; exit 2; }
	@$(BIN)/slipstream bench first-light --data "$(DATA)" $(foreach f,$(MODELS),-m "$(f)") $(foreach f,$(EXACT),--exact "$(f)")

# DRAFT is a smaller GGUF that drafts, QUANTIZATION (Q4_0, Q8_0 ...) that of the copy it drafts with.
bench-stack: install  ## every draft source against plain decoding: make bench-stack DATA=DIR MODELS="A.gguf B.gguf" DRAFT="small.gguf"
	@test -n "$(DATA)" || { echo 'error: say where the data lies: make bench-stack DATA=DIR' >&2; exit 2; }
	@$(BIN)/slipstream bench stack --data "$(DATA)" $(foreach f,$(MODELS),-m "$(f)") $(if $(DRAFT),--draft-model "$(DRAFT)") $(if $(QUANTIZATION),--draft-quantization $(QUANTIZATION))

# MODELS is a folder with Qwen2.5-Coder-0.5B-Instruct.Q4_K_M.gguf, which is tuned beside the embedded model.
bench-core: install  ## how far to trust all that: 30 comparisons with known outcome, fewer experts, tuning (about 45 minutes, JSON in build/)
	@mkdir -p build
	@SLIPSTREAM_RESULTS=$(CURDIR)/build $(if $(MODELS),SLIPSTREAM_TEST_MODELS="$(MODELS)") $(BIN)/python -m pytest -q -m real -s \
		tests/real/test_verdicts.py tests/real/test_experts.py tests/real/test_tune.py

docs: install  ## write docs/reference again from the code
	@$(BIN)/python scripts/reference.py

clean:  ## remove .venv, caches and build output; compiled wheels are kept (scripts/install.py says where)
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +
