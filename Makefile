# make train, make test: the environment is made and installed on the first call.
# Options for the program behind a target go into ARGS:  make train ARGS="--scenario DC-50 --seed 1"
# Options for pip go into PIP_ARGS; on Linux plain torch brings CUDA, the CPU build comes with
#   make test PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"
PYTHON ?= python3
ARGS ?=
PIP_ARGS ?=
BIN := .venv/bin

# TensorRT's published Python bindings, without its libraries: tests compare the code's names with them.
BINDINGS := tensorrt_bindings==8.6.1 tensorrt_cu12_bindings==10.3.0 tensorrt_cu12_bindings==10.16.1.11 \
	tensorrt_cu13_bindings==11.4.0.106

.PHONY: train test slow lint format types bench docs site bindings clean
.NOTPARALLEL:

train: .venv/.train
	$(BIN)/python train_agent.py $(ARGS)

# One thread a worker: with more, torch's pools fight for the cores. -m in ARGS replaces the default "not slow".
test: .venv/.test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 $(ARGS)

slow: .venv/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m slow $(ARGS)

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: .venv/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: .venv/.dev
	$(BIN)/pyright

bench: .venv/.train
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/run.py $(ARGS)

docs: .venv/.test
	$(BIN)/python docs/make_pages.py $(ARGS)
	$(BIN)/python docs/make_results.py $(ARGS)

# The site, into build/site; -W makes every warning an error.
site: .venv/.docs
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -W --keep-going --quiet -b html docs build/site $(ARGS)

bindings: .venv/tensorrt-bindings

.venv/tensorrt-bindings: Makefile | $(BIN)/python
	rm -rf $@ $@.new
	for package in $(BINDINGS); do \
		$(BIN)/python -m pip download --quiet --no-deps --dest $@.new/wheels $$package || exit 1; \
		$(BIN)/python -m zipfile -e $@.new/wheels/$${package%%==*}-$${package##*==}-*.whl $@.new/$${package##*==} || exit 1; \
	done
	rm -rf $@.new/wheels
	mv $@.new $@

clean:
	rm -rf .venv build dist *.egg-info

# .venv/.train, .venv/.test, .venv/.dev: stamps of the extras that are installed and up to date.
.venv/.%: setup.cfg pyproject.toml constraints.txt | $(BIN)/python
	@echo "putting splitgym[$*] and what it needs, torch above all, into .venv: 1 to 2 GB, some minutes"
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) -c constraints.txt -e '.[$*]'
	@touch $@

$(BIN)/python:
	$(PYTHON) -m venv .venv
