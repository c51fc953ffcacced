# Every target makes what it needs, the virtual environment first. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SEED ?= 1
# a Go that is new enough first on PATH: tests build the launcher
GO = . cluster/lib/go.sh; need_go;
# kubectl and helm of the cluster before any other
TOOLS = PATH="$$(cluster/build-onenode):$$(cluster/tools helm):$$PATH"

.PHONY: help demo demo-down test test-unit test-component test-launcher test-browser test-pixelmed test-viewer test-e2e test-containerd2 test-kueue check chaos bench scale cluster cluster-down images generate lock clean clean-cache
.DEFAULT_GOAL := help

help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

$(BIN)/.installed: requirements/dev.lock pyproject.toml
	@echo "== virtual environment ($(VENV))"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: set PYTHON=/path/to/python3.11" >&2; exit 1; }
	@cluster/python-venv $(PYTHON) $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -e .
	@touch $@

## demo: a CT study goes in by C-STORE, the SR arrives in a PACS, the run is shown (SEED=2 plants other spheres)
demo: $(BIN)/.installed cluster
	@$(TOOLS) KUBECONFIG=build/kubeconfig $(BIN)/python -m examples.demo.demo --seed $(SEED)

## demo-down: ends the demo's cluster
demo-down: cluster-down

## test: all checks and tests, as CI runs them; leaves nothing behind
test: $(BIN)/.installed
	@tests/all

## test-unit: pure tests, seconds
test-unit: $(BIN)/.installed
	@$(BIN)/pytest -n 2 tests/unit

## test-component: one room against the real thing (Orthanc, API server)
test-component: $(BIN)/.installed
	@cluster/prepare component
	@$(GO) $(BIN)/pytest -n 4 --dist loadfile --no-loadscope-reorder tests/component

## test-launcher: the launcher's own tests
test-launcher: $(BIN)/.installed
	@$(GO) cd launcher && CGO_ENABLED=0 go vet ./... && CGO_ENABLED=0 go test ./...

## test-browser: pages in a real Chromium; needs Debian's chromium and fonts-dejavu-core
test-browser: $(BIN)/.installed
	@command -v chromium >/dev/null || { echo "Debian's chromium is needed: apt-get install chromium fonts-dejavu-core" >&2; exit 1; }
	@$(BIN)/pytest -m browser tests/component

## test-pixelmed: PixelMed's validator on reports of the corpus; minutes; needs Debian's default-jdk-headless and libpixelmed-java
test-pixelmed: $(BIN)/.installed
	@$(BIN)/pytest -m pixelmed tests/component

## test-e2e: the chart in a cluster of its own, in namespaces of its own
test-e2e: $(BIN)/.installed
	@cluster/prepare e2e
	@$(GO) GANTRY_PREPARED=yes cluster/sandbox $(BIN)/pytest -n 2 tests/e2e

## test-containerd2: the same on containerd 2, with image volumes; not part of `make test`
test-containerd2: $(BIN)/.installed
	@cluster/prepare e2e
	@cluster/tools containerd >/dev/null
	@$(GO) GANTRY_CONTAINERD=2 GANTRY_PREPARED=yes cluster/sandbox $(BIN)/pytest -n 2 tests/e2e

## test-viewer: the corpus' reports in OHIF and a real browser; minutes, 250 MB, not part of `make test`
test-viewer: $(BIN)/.installed
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/viewer.lock
	@GANTRY_OHIF="$$(tests/viewer/prepare)" && export GANTRY_OHIF && $(BIN)/pytest -q tests/viewer

## check: types, lint, layers, generated files
check: $(BIN)/.installed
	@$(BIN)/ruff check operator tests examples cluster
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports

## test-kueue: queues of a real Kueue in a cluster of its own; minutes, and 4 more once to build Kueue; not part of `make test`
test-kueue: $(BIN)/.installed
	@cluster/prepare e2e
	@CLUSTER=onenode cluster/images kueue
	@$(GO) GANTRY_PREPARED=yes cluster/sandbox bash -c 'cluster/kueue && $(BIN)/pytest -q tests/kueue'

## bench: the figures beside their goals, build/bench.json
bench: $(BIN)/.installed
	@cluster/prepare e2e
	@rm -f build/bench.json
	@$(BIN)/python -m tests.bench.rooms
	@$(BIN)/python -m tests.bench.burned_in_text
	@$(BIN)/python -m tests.bench.routing
	@$(BIN)/python -m tests.bench.delivery
	@$(BIN)/python -m tests.bench.delivery_operator
	@$(BIN)/python -m tests.bench.notify
	@$(BIN)/python -m tests.bench.operator_core
	@$(BIN)/python -m tests.bench.hand_over
	@$(BIN)/python -m tests.bench.catching_up
	@$(GO) GANTRY_PREPARED=yes cluster/sandbox $(BIN)/python -m tests.bench.in_cluster
	@$(GO) GANTRY_PREPARED=yes cluster/sandbox $(BIN)/python -m tests.bench.attacks

## scale: Runs by the thousand on fake nodes, and how their cost grows, build/scale.json; RUNS=10000 takes all of them through to the end; PARTS="life,gpus"
scale: $(BIN)/.installed
	@cluster/prepare component
	@cluster/tools kwok >/dev/null
	@$(BIN)/python -m tests.scale --runs "$(or $(RUNS),1000)" $(if $(PARTS),--parts "$(PARTS)")

## chaos: every fault under a stream of studies, nothing lost and nothing twice; SEED=, FAULTS="orthanc,pacs", STUDIES=, LONG=yes, MUTANTS=yes, CLUSTER=yes
chaos: $(BIN)/.installed
	@cluster/prepare $(if $(CLUSTER),e2e,component)
	@$(GO) $(if $(CLUSTER),GANTRY_PREPARED=yes cluster/sandbox) $(BIN)/python -m tests.chaos $(if $(CLUSTER),--cluster) --seed $(SEED) --faults "$(FAULTS)" --studies "$(or $(STUDIES),0)" $(if $(LONG),--long) $(if $(MUTANTS),--mutants $(MUTANTS))
	@$(if $(and $(LONG),$(if $(FAULTS)$(CLUSTER)$(MUTANTS),,yes)),GANTRY_MANY=5000 $(BIN)/pytest -q tests/component/test_operator_bad_input.py -k many_runs)

## cluster: the demo's cluster with all images; leaves build/kubeconfig
cluster: $(BIN)/.installed
	@cluster/images
	@cluster/up

## cluster-down: ends it, leaves nothing behind
cluster-down: $(BIN)/.installed
	@cluster/down

## images: Gantry's images, the examples' and Orthanc's, into the local registry
images: $(BIN)/.installed
	@cluster/images

## generate: CRDs, the chart's CRDs, the findings schema, the reference and the list of DICOM elements
generate: $(BIN)/.installed
	@$(BIN)/python -m gantry.api.crdgen crds charts/gantry/templates/crds
	@$(BIN)/python -m gantry.api.docgen docs/reference
	@$(BIN)/python -m gantry.runtime.measuregen docs/reference/metrics.md
	@$(BIN)/python -m gantry.findings.schemagen docs/reference/findings.schema.json
	@$(BIN)/python -m gantry.report.elementsgen operator/gantry/routing/elements.tsv

## lock: requirements/*.lock from pyproject.toml (needs uv)
lock: $(BIN)/.installed
	for extra in operator worker dev; do uv pip compile -q --generate-hashes --no-emit-index-url --python-version 3.11 --universal --extra $$extra $$(test $$extra = operator && echo --extra tracing) pyproject.toml -o requirements/$$extra.lock; done
	uv pip compile -q --generate-hashes --no-emit-index-url --python-version 3.11 --universal --extra viewer -c requirements/dev.lock pyproject.toml -o requirements/viewer.lock
	cd tests/packages/sdk && for of in requirements.in "--no-deps pinned.in"; do uv pip compile -q --no-header --generate-hashes --no-emit-index-url --python-version 3.11 --universal $$of; done >requirements.txt

## clean: what the repository's own targets made; clean-cache: what was built for all checkouts
clean:
	@cluster/down 2>/dev/null || true
	rm -rf $(VENV) build

clean-cache:
	rm -rf "$${XDG_CACHE_HOME:-$$HOME/.cache}/gantry"
