# Flow Lab. `make run` starts it at http://localhost:8501; `make` lists what else there is.

PYTHON ?= python3
# Tests run in this many processes, one file each at a time; 0 runs them one after the other.
WORKERS ?= 2

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TORCH := $(shell grep '^torch==' requirements.txt)
CPU_INDEX := https://download.pytorch.org/whl/cpu
LOCKS := tools/locks

.PHONY: help install run test test-all nightly fuzz lint docs pictures lock licences audit benchmark
.PHONY: lessons benchmark-images benchmark-live benchmark-first-sight load-test clean
.DEFAULT_GOAL := help

help:
	@echo "make run      install what is missing, then start the lab at http://localhost:8501"
	@echo "make test     run the tests, in five to six minutes (WORKERS=0: in one process)"
	@echo "make test-all  run them with every case of each (25 minutes)"
	@echo "make nightly  run the tests that train for minutes"
	@echo "make fuzz     feed every entry with hostile input (N=100000: so many of each kind)"
	@echo "make lint     check the style and the types of the code"
	@echo "make docs     build the documentation, every warning an error"
	@echo "make install LOCKED=1  install nothing but files with the hashes in tools/locks/"
	@echo "make lock     pin every package with its hashes (UPGRADE=1: the newest that fit)"
	@echo "make licences list the licences that all packages declare"
	@echo "make audit    look the locked packages up among known vulnerabilities"
	@echo "make pictures train the shipped flows and draw their moving pictures anew (minutes)"
	@echo "make lessons  train every lesson and write the numbers that their texts say (minutes)"
	@echo "make benchmark measure the lab beside six other libraries (hours; --only in benchmarks/run.py)"
	@echo "make benchmark-images  Glow on digits beside normflows (25 minutes)"
	@echo "make benchmark-live  what watching a training costs (two minutes)"
	@echo "make benchmark-first-sight  how soon a fresh browser shows a model's picture (two minutes)"
	@echo "make load-test  a class of thirty on this machine (LOAD='--sessions 30 --minutes 10')"
	@echo "make clean    remove caches and built files; .venv and runs stay"
	@echo "Another Python than python3: make run PYTHON=python3.12"

# LOCKED=1: only files with the hashes in tools/locks/; see the docs' How to, Operate.
LOCKED ?=
install: $(if $(LOCKED),$(STAMP)-locked,$(STAMP))

define new_venv
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Flow Lab needs Python 3.11 or newer: make $(MAKECMDGOALS) PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv $(VENV)
endef

# The stamp is newer than the requirements once they are installed, so a second run skips this.
$(STAMP): requirements.txt
	$(new_venv)
	@# PyPI's PyTorch for Linux brings gigabytes of CUDA. Without an NVIDIA driver the CPU build is
	@# enough; where its index cannot be reached, the next step takes PyPI's.
	@if [ "$$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null && $(BIN)/python -c \
		'import urllib.request as r; r.urlopen("$(CPU_INDEX)/torch/", timeout=5)' 2>/dev/null; then \
		echo "No NVIDIA driver here: installing PyTorch's CPU build"; \
		$(BIN)/python -m pip install --index-url $(CPU_INDEX) $(TORCH) || \
			echo "That did not work; going on with PyPI's build"; \
	fi
	@# What the packages need in turn has the locked versions, where they can be had here.
	$(BIN)/python -m pip install -r requirements.txt -c $(LOCKS)/versions.txt || \
		{ echo "Not all locked versions can be had here: taking others that fit"; \
		$(BIN)/python -m pip install -r requirements.txt; }
	@touch $@

$(STAMP)-locked: requirements.txt $(wildcard $(LOCKS)/*.txt)
	$(new_venv)
	@if [ "$$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null; then \
		set -x; $(BIN)/python -m pip install --require-hashes --no-deps --index-url $(CPU_INDEX) \
			-r $(LOCKS)/torch-cpu.txt && \
		$(BIN)/python -m pip install --require-hashes -r $(LOCKS)/all.txt; \
	else \
		set -x; $(BIN)/python -m pip install --require-hashes -r $(LOCKS)/torch.txt -r $(LOCKS)/all.txt; \
	fi
	@touch $(STAMP) $@

# glibc then returns large blocks to the system: a server that takes in pictures would grow.
run: export MALLOC_MMAP_THRESHOLD_ = 65536
run: export MALLOC_ARENA_MAX = 2
run: $(STAMP)
	$(BIN)/python -m streamlit run app.py

# One thread for each process: several that all take every core are slower.
test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "not thorough"

test-all: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

# What trains for minutes, and is not in make test.
nightly: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m nightly

# Hostile input for every entry, N of each kind; KIND=csv for one kind.
N ?= 1000
fuzz: $(STAMP)
	OMP_NUM_THREADS=1 N=$(N) $(BIN)/python -m pytest -n $(WORKERS) -rP -W ignore --capture=sys \
		tests/fuzz/hostile.py $(addprefix -k ,$(KIND))

lint: $(STAMP)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy

# Tools for the locks have an environment of their own.
TOOLS := .locks-venv
UPGRADE ?=
$(TOOLS)/.installed: $(LOCKS)/tools.txt
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip install -r $(LOCKS)/tools.txt
	@touch $@

# First the versions, then their hashes; --no-config keeps a machine's own mirror out of the files.
COMPILE := $(TOOLS)/bin/uv --no-config --quiet pip compile --universal --python-version 3.11 \
	--no-annotate --custom-compile-command "make lock"
PYPI := --default-index https://pypi.org/simple
HASHES := --no-deps --generate-hashes -
# PyTorch, and what PyPI's build for Linux needs on an NVIDIA card.
CUDA := '^(torch|triton|nvidia-[a-z0-9-]+|cuda-[a-z0-9-]+)=='
lock: $(TOOLS)/.installed
	$(COMPILE) $(PYPI) requirements.txt -o $(LOCKS)/versions.txt $(if $(UPGRADE),--upgrade)
	$(COMPILE) $(PYPI) pyproject.toml -c $(LOCKS)/versions.txt -o $(LOCKS)/app.txt
	grep -vE $(CUDA) $(LOCKS)/app.txt | $(COMPILE) $(PYPI) $(HASHES) -o $(LOCKS)/app.txt
	grep -vE $(CUDA) $(LOCKS)/versions.txt | $(COMPILE) $(PYPI) $(HASHES) -o $(LOCKS)/all.txt
	grep -E $(CUDA) $(LOCKS)/versions.txt | $(COMPILE) $(PYPI) $(HASHES) -o $(LOCKS)/torch.txt
	echo "$(TORCH)+cpu" | \
		$(COMPILE) --default-index $(CPU_INDEX) $(HASHES) -o $(LOCKS)/torch-cpu.txt || \
		{ grep -q '^$(TORCH)+cpu ' $(LOCKS)/torch-cpu.txt && echo "torch-cpu.txt stays as it is"; }

licences: $(TOOLS)/.installed
	$(TOOLS)/bin/python $(LOCKS)/licences.py

# --strict: a package that cannot be looked up is an error, as it is without the network.
audit: $(TOOLS)/.installed
	$(TOOLS)/bin/pip-audit --strict --disable-pip --require-hashes --progress-spinner off \
		-r $(LOCKS)/all.txt -r $(LOCKS)/torch.txt

# Peers and their versions have an environment of their own.
BENCH := .bench-venv
$(BENCH)/.installed: requirements.txt benchmarks/requirements.txt
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install -r requirements.txt -r benchmarks/requirements.txt
	@touch $@

benchmark: $(BENCH)/.installed
	$(BENCH)/bin/python benchmarks/run.py

benchmark-images: $(BENCH)/.installed
	$(BENCH)/bin/python benchmarks/images.py

benchmark-live: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/live.py

benchmark-first-sight: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/first_sight.py

# One thread for each process, as for tests; the visitors are in this one.
load-test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/load.py $(LOAD)

docs: $(STAMP)
	$(MAKE) -C docs html SPHINXBUILD=../$(BIN)/sphinx-build SPHINXOPTS=-W
	@# The lab serves the folder static, and Help leads there.
	rm -rf static/docs && cp -R docs/build/html static/docs

pictures: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python tools/pictures.py

# The numbers in the lessons' texts; ONLY="mixing base" for some of them.
ONLY ?=
lessons: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python tools/lessons.py $(ONLY)

clean:
	rm -rf docs/build static/docs docs/source/generated build *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
