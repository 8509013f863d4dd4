# Everything lives in .venv; the first target that needs it makes it.
PYTHON ?= python3
# On a machine with a GPU: make CONSTRAINTS= ...
CONSTRAINTS ?= constraints-cpu.txt
# Where pip finds the CPU build of torch if the package index has none, e.g. https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
PIP_FLAGS := -q --disable-pip-version-check $(if $(CONSTRAINTS),-c $(CONSTRAINTS)) $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
BIN := .venv/bin
READY := .venv/.ready
# Percent of lines and branches.
LEAST_COVERAGE := 93

.PHONY: demo test test-slow lint docs bench clean

demo: $(READY)
	$(BIN)/python -m benchmarks.demo

# make test COVERAGE=1 also measures which lines the tests run.
test: $(READY)
	$(BIN)/python -m pytest -m "not slow" \
	  $(if $(COVERAGE),--cov --cov-report=term:skip-covered --cov-report=xml --cov-fail-under=$(LEAST_COVERAGE))

test-slow: $(READY)
	$(BIN)/python -m pytest -m slow

# The notices that are switched off are about future releases of mkdocs.
docs: $(READY)
	NO_MKDOCS_2_WARNING=1 DISABLE_MKDOCS_2_WARNING=true $(BIN)/mkdocs build

lint: $(READY)
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

bench: $(READY)
	$(BIN)/python -m benchmarks.speed

$(READY): pyproject.toml constraints-cpu.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install $(PIP_FLAGS) -e ".[dev]"
	@touch $@

clean:
	rm -rf .venv build site *.egg-info demo-out coverage.xml .coverage
