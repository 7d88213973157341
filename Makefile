# Two commands matter: `make demo` and `make test`. Both set up .venv first and need nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check
TORCH := $(shell sed -n 's/^torch==/torch==/p' constraints.txt)

# The demo runs the engines that ship in engines/quickstart. Where they were taken out it builds its own: from a developer's
# ../shared/weights, or from the official weights, which it downloads.
QUICKSTART := $(wildcard engines/quickstart/detect.json)
SHARED := ../shared/weights
DEMO_WEIGHTS := $(if $(wildcard $(SHARED)/yolov5nu.pt),\
	--pose $(SHARED)/tinypose_256x192.onnx --weights-dir $(SHARED),--pose hrnet_w32 --trust-weights)

.PHONY: demo quickstart test lint clean

demo: $(if $(QUICKSTART),$(VENV)/.base,demo/engines/detect.json)
	$(BIN)/python run_live.py --demo

demo/engines/detect.json: $(VENV)/.build
	@echo "Building the demo's engines with: $(strip $(DEMO_WEIGHTS))"
	$(BIN)/python build_engines.py --backend onnx --detector yolov5nu $(DEMO_WEIGHTS) --out demo/engines

# makes engines/quickstart anew from the committed weights in calibration/runs and engines/weights
quickstart: $(VENV)/.build
	$(BIN)/python build_engines.py --backend onnx --detector quickstart --pose quickstart --out engines/quickstart

test: lint
	$(BIN)/python -m pytest

lint: $(VENV)/.all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.base: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) -c constraints.txt -e .
	touch $@

# torch goes first and alone, so that its CPU build is taken where there is one
$(VENV)/.build: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) $(TORCH)
	$(PIP) -c constraints.txt -e '.[build]'
	touch $@ $(VENV)/.base

$(VENV)/.all: $(VENV)/.build
	$(PIP) -c constraints.txt -e '.[build,test,dev]'
	touch $@

clean:
	rm -rf $(VENV) demo
