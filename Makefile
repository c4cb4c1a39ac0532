# Every habit of the project is one command. `make demo` and `make test` work from a bare clone:
# they install system packages (where root or sudo is there), a virtual environment and the rest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# a file of tests stays together, so that its fixtures are made once
PARALLEL := -n auto --dist loadfile
export COLDATOMS_TEST_DATA
# a worker for each core: threads of theirs would wait for each other, and burn time while they do
test slow: export OMP_NUM_THREADS := 1

.PHONY: help demo test slow lint bench accuracy sweeps screenshots weights docs install clean

help:
	@echo "make demo         the main job on the bundled sample"
	@echo "make test         the tests, without the slow group"
	@echo "make slow         the slow group of tests"
	@echo "make lint         style, types, layering, manifest"
	@echo "make bench        how fast the computations are"
	@echo "make accuracy     the full accuracy tables, recorded in docs/"
	@echo "make sweeps       lattice estimators and photon counts beside the figures of their papers, drawn in docs/gallery"
	@echo "make screenshots  the guide's pictures of the window, in docs/images"
	@echo "make weights      the weights of the cloud network, trained on simulated frames (hours without a GPU; goes on when stopped)"
	@echo "make docs         the documentation, in docs/_build/html"

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml tools/system_packages.sh
	sh tools/system_packages.sh
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable . --group dev
	# kernels are compiled now, not when someone waits for them
	$(BIN)/python -m napari_coldatoms.clouds.compiled
	$(BIN)/python -m napari_coldatoms.lattice.compiled
	$(BIN)/python -m napari_coldatoms.photons.compiled
	touch $@

$(VENV)/.docs: $(VENV)/.installed
	$(BIN)/uv pip install --quiet --python $(BIN)/python --group docs
	touch $@

demo: install
	sh tools/with_display.sh $(BIN)/napari-coldatoms demo --output demo-output

test: install
	$(BIN)/python -m pytest $(PARALLEL)

slow: install
	$(BIN)/python -m pytest -m slow $(PARALLEL)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/npe2 validate src/napari_coldatoms/napari.yaml

bench: install
	$(BIN)/python -m benchmarks

accuracy: install
	$(BIN)/python -m benchmarks.accuracy

sweeps: $(VENV)/.docs
	$(BIN)/python -m benchmarks.sweeps histograms
	$(BIN)/python -m benchmarks.sweeps snr
	$(BIN)/python -m benchmarks.sweeps runtime
	$(BIN)/python -m benchmarks.sweeps robustness
	$(BIN)/python -m benchmarks.sweeps regularisation
	$(BIN)/python -m benchmarks.sweeps photon_histograms
	$(BIN)/python -m benchmarks.sweeps photon_errors
	$(BIN)/python -m benchmarks.sweeps photon_proportions
	$(BIN)/python -m benchmarks.sweeps photon_intervals
	$(BIN)/python -m benchmarks.sweeps photon_overlap
	$(BIN)/python -m benchmarks.sweeps own_detector

screenshots: install
	sh tools/with_display.sh $(BIN)/python docs/screenshots.py

weights: install
	$(BIN)/python -m napari_coldatoms.clouds.train_shipped

docs: $(VENV)/.docs
	sh tools/with_display.sh $(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

clean:
	rm -rf $(VENV) build dist demo-output docs/_build
