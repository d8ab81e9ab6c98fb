# `make help` lists the targets. Each sets up .venv on first use: Python 3.11, make and a package index are enough.
PYTHON ?= python3.11
BIN := .venv/bin
STAMP := .venv/.installed
WORKERS ?= 2
LINES ?= 1000

.PHONY: help setup train test quick fuzz mutants bench lint format type docs lock clean

help:  ## show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(STAMP)  ## make .venv with the locked versions

# uv, itself locked, installs the rest: in parallel, with hashes checked and bytecode compiled, since importing torch and
# Lightning from source takes twice as long.
$(STAMP): requirements.lock requirements-uv.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.lock
	$(BIN)/uv pip install --python $(BIN)/python --require-hashes --compile-bytecode -r requirements.lock
	$(BIN)/uv pip install --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

train: $(STAMP)  ## train; ARGS="loss=wgan_gp seed=1" are overrides
	$(BIN)/python -m gan_lightning $(ARGS)

test: $(STAMP)  ## run the tests; ARGS="-k resume" are pytest's
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

quick: $(STAMP)  ## run the tests that take half a minute
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) -m "not slow" $(ARGS)

fuzz: $(STAMP)  ## try LINES=1000 random command lines of each kind
	FUZZ=$(LINES) OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) tests/commands/test_fuzz.py $(ARGS)

mutants: $(STAMP)  ## run the tests of losses/ against mutants of them
	$(BIN)/python tests/mutants.py $(ARGS)

bench: $(STAMP)  ## print what an iteration costs; ARGS="--root DIR" is where MNIST lies
	$(BIN)/python benchmarks/iteration_cost.py $(ARGS)

lint: $(STAMP)  ## check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(STAMP)  ## mend style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

type: $(STAMP)  ## check types
	$(BIN)/mypy

# The variable silences what Material for MkDocs prints about MkDocs 2, which is kept out by pyproject.toml.
docs: $(STAMP)  ## build the documentation into build/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet

lock: $(STAMP)  ## renew the locked versions
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --upgrade --quiet \
		--generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links -o requirements.lock
	echo "uv" | $(BIN)/uv pip compile - --universal --python-version 3.11 --upgrade --quiet \
		--generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links -o requirements-uv.lock

clean:  ## remove .venv and caches, and no run
	rm -rf .venv .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist
