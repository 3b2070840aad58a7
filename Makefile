# Everything a developer or a build machine runs. `make` alone lists it.
# PYTHON is the interpreter that makes the environment (CPython 3.11 or newer), VENV the folder it goes to.
PYTHON ?= python3
VENV ?= .venv

BIN := $(VENV)/bin
# Always with the constraints: an unpinned torch pulls gigabytes.
INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check --no-input -c constraints.txt
# Two stamps: what the package itself needs, and what its development needs. The second covers the first.
LIGHT := $(VENV)/.installed
DEV := $(VENV)/.installed-dev
INSTALLED := $(or $(wildcard $(DEV)),$(LIGHT))
# The systems that ours are compared with cannot live in one environment: one for each list of pinned packages.
PEERS ?= $(patsubst benchmarks/peers/%.txt,%,$(wildcard benchmarks/peers/*.txt))
PEER_FOLDER := build/peers
PEER_PIP := install -qq --disable-pip-version-check --no-input

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test check format bench peers mini docs

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

demo: $(INSTALLED) ## retrieve and rerank real text, offline; DEMO_ARGS="--query ..." passes options on
	@$(BIN)/bge demo $(DEMO_ARGS)

test: $(DEV) ## run the tests in two processes; TEST_ARGS="tests/pool -x" passes options on
	@$(BIN)/python -m pytest --no-header --tb=short --numprocesses 2 --dist worksteal $(TEST_ARGS)

check: $(DEV) ## lint, format, types, import floors, docs in step
	@$(BIN)/ruff check --quiet --output-format concise .
	@$(BIN)/ruff format --check --quiet . || { echo "formatting differs: run 'make format'" >&2; exit 1; }
	@$(BIN)/mypy
	@$(BIN)/python tools/check_floors.py
	@$(BIN)/python tools/check_docs.py

format: $(DEV) ## format the code and mend what ruff can mend
	@$(BIN)/ruff check --quiet --fix . || true
	@$(BIN)/ruff format .

docs: $(DEV) ## rewrite the generated parts of the documents
	@$(BIN)/python tools/check_docs.py --write

# Real texts and tokenizers, where the optional data folder is there.
BENCH_DATA = $(addprefix --texts ,$(wildcard ../shared/data/retrieval/scifact)) \
	$(addprefix --tokenizers ,$(wildcard ../shared/data/tokenizers))

bench: $(DEV) $(if $(BENCH),,peers) ## measure speed beside other packages; BENCH=search measures the index, BENCH=quality query plans
ifdef BENCH
	@$(BIN)/python -m benchmarks.$(BENCH) $(BENCH_ARGS)
else
	@$(BIN)/bge bench --peers $(PEER_FOLDER) $(BENCH_DATA) --out build/bench.json $(BENCH_ARGS)
	@$(BIN)/python -m benchmarks.document build/bench.json
endif

peers: $(PEERS:%=$(PEER_FOLDER)/%/.installed) ## make the environments of the systems that are compared; PEERS="st onnx" makes some

mini: $(DEV) ## rebuild the packaged checkpoint
	@$(BIN)/python tools/build_mini.py

# What torch itself needs depends on the platform; everything else is listed, so that nothing pulls in another torch.
# An environment that cannot be made is left out: the benchmark then says which systems it did not measure, and why.
$(PEER_FOLDER)/%/.installed: benchmarks/peers/%.txt
	@echo "installing $< into $(@D) ..." >&2
	@$(PYTHON) -m venv --clear $(@D) \
	  && $(@D)/bin/python -m pip $(PEER_PIP) $$(grep '^torch==' $<) \
	  && $(@D)/bin/python -m pip $(PEER_PIP) --no-deps -r $< \
	  && touch $@ || { echo "$(@D) could not be made; going on without it" >&2; rm -rf $(@D); }

$(LIGHT): pyproject.toml constraints.txt
	$(call install,.)

$(DEV): pyproject.toml constraints.txt
	$(call install,.[dev])

# Makes the environment where there is none that works, installs $(1) into it and leaves the stamp $@.
define install
@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
@echo "installing $(1) into $(VENV) ..." >&2
@$(INSTALL) -e '$(1)'
@touch $@
endef
