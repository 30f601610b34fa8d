# Two commands: `make demo` runs the whole pipeline on built-in corpora, `make test` all checks.
# Needs python3 >= 3.11 with venv, and make. Another torch build: `make demo TORCH_INDEX=https://...`
PYTHON ?= python3
TORCH_INDEX ?=
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip --disable-pip-version-check -q install --no-compile -c constraints.txt
TORCH := $(shell sed -n 's/^torch==/torch==/p' constraints.txt)

# tests write to memory where it is a file system with 4 GB free: what they force to disk would take longer there
MEMORY := $(shell df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 && $$4 > 4000000 {print "/dev/shm"}')

# modules are compiled when they are first imported, which most never are; where nothing may be kept of that, every
# one of the many short processes of a pipeline would compile them again
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test soak lint clean

demo: $(VENV)/.installed
	$(BIN)/gendata run

test: lint
	$(if $(MEMORY),TMPDIR=$(MEMORY)) $(BIN)/python -m pytest -m "not soak" -n 2 --dist loadfile --no-loadscope-reorder

# the long versions of the durability and fuzz tests
soak: $(VENV)/.tested
	$(BIN)/python -m pytest -m soak
	HYPOTHESIS_PROFILE=soak $(BIN)/python -m pytest -m "not soak" tests/test_items.py tests/ingest tests/tag

lint: $(VENV)/.tested
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# pip first: the one that comes with Python 3.11 takes twice as long. Then torch, alone: a looser pin, or another index,
# would pull gigabytes of CUDA. torchvision, a reader that exports are tested with, goes outside site-packages: one built
# for another torch breaks transformers, which imports it where it finds it
$(VENV)/.installed: EXTRAS := demo
$(VENV)/.tested: EXTRAS := demo,dev
$(VENV)/.installed $(VENV)/.tested: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) pip
	$(INSTALL) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(TORCH)
	$(INSTALL) -e ".[$(EXTRAS)]"
	$(if $(findstring dev,$(EXTRAS)),$(INSTALL) --no-deps --upgrade --target $(VENV)/readers torchvision)
	touch $(VENV)/.installed $@

clean:
	rm -rf $(VENV) artifacts .gendata
