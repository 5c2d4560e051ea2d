# Osmia: every task of this repository. `make` alone lists them.
#
# setup, test, check and demo work from a fresh clone: each calls what it needs first. What is up to date is known
# by stamps in .venv/stamps, which are older than nothing they were made from.

PYTHON ?= python3
VENV := .venv
export NO_MKDOCS_2_WARNING := 1
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps
NAME ?=
ARGS ?=

# Packages of Debian 12 by the program or file that shows that they are there.
APT := clang:/usr/bin/clang llvm:/usr/bin/llvm-strip clang-format:/usr/bin/clang-format \
	bpftool:/usr/sbin/bpftool libbpf-dev:/usr/include/bpf/libbpf.h libelf-dev:/usr/include/libelf.h zlib1g-dev:/usr/include/zlib.h \
	gcc:/usr/bin/gcc libc6-dev:/usr/include/stdio.h \
	libssl-dev:/usr/include/openssl/ssl.h libnghttp2-dev:/usr/include/nghttp2/nghttp2.h nghttp2-client:/usr/bin/h2load \
	iproute2:/usr/sbin/ip nftables:/usr/sbin/nft conntrack:/usr/sbin/conntrack \
	postgresql:/usr/lib/postgresql pgbouncer:/usr/sbin/pgbouncer nginx-light:/usr/sbin/nginx \
	wrk:/usr/bin/wrk apache2-utils:/usr/bin/ab curl:/usr/bin/curl kubernetes-client:/usr/bin/kubectl chromium:/usr/bin/chromium \
	qemu-system-x86:/usr/bin/qemu-system-x86_64 busybox-static:/bin/busybox
# Headers and venv of Debian's own Python; another Python brings its own.
ifeq ($(shell command -v $(PYTHON)),/usr/bin/python3)
APT += python3-dev:/usr/include/python3.11/Python.h python3-venv:/usr/share/doc/python3-venv
endif
MISSING := $(foreach pair,$(APT),$(if $(wildcard $(lastword $(subst :, ,$(pair)))),,$(firstword $(subst :, ,$(pair)))))

BPF_SOURCES := $(shell find bpf -type f 2>/dev/null)
NATIVE_SOURCES := $(wildcard src/osmia/agent/kernel/*.[ch])
CORE_SOURCES := $(wildcard src/osmia/load/client/core/*.p[yx][xdi])
UI_SOURCES := $(shell find ui -path ui/node_modules -prune -o -type f -print 2>/dev/null)
C_SOURCES := $(filter-out bpf/vmlinux.h,$(filter %.c %.h,$(BPF_SOURCES))) \
	$(filter-out %/_bpf.c,$(NATIVE_SOURCES))

.DEFAULT_GOAL := help
.PHONY: help setup clickhouse helm demo test test-machine test-rest test-timed test-ui test-kernels check check-python check-c check-ui check-docs bench docs lock clean

help: ## list these tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMPS)/package $(STAMPS)/ui ## make .venv with everything built: packages, BPF objects, binding, web UI

demo: setup ## a small Kubernetes with sample apps on this machine, watched live in the browser (root)
	@$(BIN)/osmia demo $(ARGS)

# Tests that capture, build namespaces or start whole agents share the machine and go one after another; the others run
# beside them; those whose subject is time itself have the machine to themselves in the end. With ARGS there is one run,
# of what they name.
MACHINE_TESTS := $(addprefix tests/,agent canary cases demo deploy lab truth)
TIMED_TESTS := tests/load/command/test_truth.py

test: setup clickhouse helm ## all tests that this machine can run, Python and UI (ARGS= goes to one pytest)
ifneq ($(strip $(ARGS)),)
	$(BIN)/pytest $(ARGS)
else
	@$(MAKE) --no-print-directory --keep-going -j2 test-machine test-rest test-ui; ended=$$?; \
		$(MAKE) --no-print-directory test-timed && exit $$ended
endif

test-machine:
	$(BIN)/pytest $(MACHINE_TESTS)

test-rest:
	$(BIN)/pytest $(addprefix --ignore=,$(MACHINE_TESTS) $(TIMED_TESTS)) -p no:cacheprovider

test-timed:
	$(BIN)/pytest $(TIMED_TESTS)

test-ui:
	cd ui && npm --silent test

test-kernels: setup ## the BPF programs and the agent on Linux 5.10, 6.1, 6.12 in qemu and on this host (root)
	@$(BIN)/python -m tests.kernels.matrix $(ARGS)

check: setup ## linters, types, import contracts, C format, UI types and lint, docs
	@$(MAKE) --no-print-directory --keep-going check-python check-c check-ui check-docs

check-python:
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy tests bench .ci hatch_build.py
	$(BIN)/lint-imports --no-logo

check-c:
	clang-format --style=file:bpf/.clang-format --dry-run -Werror $(C_SOURCES)

check-ui:
	cd ui && npx --no-install tsc --noEmit
	cd ui && npm run --silent lint

check-docs:
	$(BIN)/mkdocs build --strict --quiet --site-dir build/site

bench: setup ## all benchmarks, or NAME=group.bench for one; writes bench/results.json
	@$(BIN)/python -m bench $(NAME)

docs: setup ## write the generated reference pages, build the documentation into site/
	$(BIN)/python .ci/reference.py
	$(BIN)/python .ci/manifest.py
	$(BIN)/mkdocs build --strict

lock: $(STAMPS)/venv ## resolve pyproject.toml anew into requirements.lock
	$(BIN)/python .ci/lock.py $(ARGS)

clean: ## remove everything built, the virtual environment too
	rm -rf $(VENV) build dist site .output .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	rm -rf ui/node_modules ui/dist src/osmia/web bench/results.json
	rm -f src/osmia/load/client/core/*.so src/osmia/agent/kernel/*.so src/osmia/agent/kernel/*.bpf.o src/osmia/agent/kernel/_bpf.c
	find src tests bench -name __pycache__ -prune -exec rm -rf {} +

# ---- what setup is made of ------------------------------------------------------------------------------------------

ifneq ($(strip $(MISSING)),)
.PHONY: packages
endif
packages:
ifneq ($(strip $(MISSING)),)
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		set -x; apt-get update -qq; \
		DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends $(MISSING) >/dev/null; \
	else \
		echo "osmia: not root, so these Debian packages stay missing and what needs them is left out: $(MISSING)" >&2; \
	fi
endif

$(STAMPS)/venv: | packages
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "osmia: needs Python 3.11 or newer (PYTHON=...)")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	mkdir -p $(STAMPS) && touch $@

$(STAMPS)/requirements: requirements.lock | $(STAMPS)/venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	touch $@

# A real ClickHouse server for the tests of the cluster store: ClickHouse's own library (Apache-2.0), about 20 s once. Where
# it cannot be had, those tests are skipped and say so.
CLICKHOUSE := @chdb/lib-linux-x64-gnu@26.7.3-stable.1
export OSMIA_TEST_CLICKHOUSE_LIB ?= $(CURDIR)/$(VENV)/clickhouse/node_modules/@chdb/lib-linux-x64-gnu/libchdb.so

clickhouse: | $(STAMPS)/venv
	@test -e $(OSMIA_TEST_CLICKHOUSE_LIB) || \
		npm install --silent --no-audit --no-fund --no-save --prefix $(VENV)/clickhouse $(CLICKHOUSE) || \
		echo "osmia: no ClickHouse server for the tests; those that need it are skipped" >&2

# The real helm, for the tests of the chart. Where it cannot be built they are skipped and say so, but not in CI.
export OSMIA_TEST_HELM ?= $(CURDIR)/$(VENV)/helm/helm

helm: | $(STAMPS)/venv
	@test -x $(OSMIA_TEST_HELM) || { echo "osmia: building helm for the tests of the chart (about 90 s, once)" >&2; \
		PYTHON=$(BIN)/python .ci/helm $(VENV)/helm >/dev/null; } || \
		echo "osmia: no helm for the tests; those that need it are skipped" >&2

# The editable install runs hatch_build.py, which compiles the BPF objects, the binding and the core.
$(STAMPS)/package: pyproject.toml hatch_build.py $(BPF_SOURCES) $(NATIVE_SOURCES) $(CORE_SOURCES) $(STAMPS)/requirements $(STAMPS)/ui
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	touch $@

$(STAMPS)/modules: ui/package-lock.json | $(STAMPS)/venv
	@node -e 'process.exit(+process.versions.node.split(".")[0] < 20 ? 1 : 0)' || \
		{ echo "osmia: the web UI needs Node 20 or newer to build" >&2; exit 1; }
	cd ui && npm ci --silent --no-audit --no-fund
	touch $@

$(STAMPS)/ui: $(UI_SOURCES) $(STAMPS)/modules
	cd ui && npm run --silent build -- --logLevel warn
	touch $@
