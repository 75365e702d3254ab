# Two commands do all the set-up: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := src tests benchmarks docs_hooks.py docs_check.py
# Two workers, to each of which go whole files, in the order that tests/conftest.py gives them.
WORKERS := -n 2 --dist loadgroup --no-loadscope-reorder
# What of the fault matrix a change has to pass, in a minute; `make faults FAULTS=--short` is all of the short form.
FAULTS ?= --short --share 0.05 --without torchrun --without Ray
# What a cell prints comes in one piece, also where a busy machine has taken it down in two.
COALESCED := --MarkdownExporter.preprocessors=nbconvert.preprocessors.CoalesceStreamsPreprocessor
# Of the networks that are exported, those that together have all kinds of layers; `EXPORTS=all` is every one of them.
EXPORTS ?=

.PHONY: demo test test-frameworks faults docs lint format clean

demo: $(VENV)/.installed  ## find the shallowest network for scikit-learn's handwritten digits
	$(BIN)/deepenough fit

test: $(VENV)/.installed-test  ## run the whole suite
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(WORKERS) $(PYTEST)

test-frameworks: $(VENV)/.installed-frameworks  ## export every kind of layer to every framework, and run it there (minutes)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(WORKERS) -m "frameworks $(if $(filter all,$(EXPORTS)),or exhaustive)" $(PYTEST)

faults: $(VENV)/.installed-test  ## a twentieth of the fault matrix's short form: kills, full disks, damaged files, hostile images
	$(BIN)/python benchmarks/faults $(FAULTS)

docs: $(VENV)/.installed-docs  ## run the notebooks, build the documentation into build/site, where every link has to lead somewhere, and look at its pages
	$(BIN)/python -m nbconvert --execute --to markdown docs/tutorials/*.ipynb $(COALESCED) --log-level WARN
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet
	$(BIN)/python docs_check.py build/site

lint: $(VENV)/.installed-test  ## linter, formatter and type checker
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy

format: $(VENV)/.installed-test
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; this is $$($(PYTHON) --version). Try: make PYTHON=python3.12 demo"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.installed-test: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test,reference]'
	touch $@

$(VENV)/.installed-frameworks: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test,reference,frameworks]'
	@# Keras 2, for the SavedModels that it writes: it asks for tensorflow, which tensorflow-cpu is under another name.
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps tf_keras
	touch $@

$(VENV)/.installed-docs: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@

clean:
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache .hypothesis
