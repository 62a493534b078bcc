# nvshare: several containers on one GPU. `make` alone prints what can be done.
.DEFAULT_GOAL := help
SHELL := /bin/bash
CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
VENV := $(TARGET)/venv
HEADERS := $(TARGET)/cuda-headers
FLOOR := x86_64-unknown-linux-gnu
export CUDA_HEADERS := $(abspath $(HEADERS))

.PHONY: help
help: ## Print this
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(TARGET)/.setup ## Install what building and testing need (Debian packages, wheels from PyPI)

$(TARGET)/.setup: tests/setup.sh tests/setup-headers.sh
	tests/setup.sh "$(VENV)"
	tests/setup-headers.sh "$(HEADERS)"
	@touch $@

.PHONY: build
build: setup ## Build everything, for tests
	$(CARGO) build --workspace --all-targets --locked

.PHONY: release
release: setup ## Build everything as it ships, but for the glibc floor
	$(CARGO) build --workspace --release --locked

.PHONY: lib
lib: setup ## Build libnvshare.so on its glibc floor of 2.17
	PATH="$(abspath $(VENV))/bin:$$PATH" $(CARGO) zigbuild --release --locked -p nvshare-interposer --target $(FLOOR).2.17
	tests/check-floor.sh $(TARGET)/$(FLOOR)/release/libnvshare.so

.PHONY: test-containers
test-containers: build lib ## Containers started by real engines, as root (installs runc, crun, docker, podman)
	$(CARGO) build --release --locked -p nvshare-runtime-hook
	$(if $(filter 0,$(shell id -u)),,sudo) env NVSHARE_BIN=$(abspath $(TARGET))/release \
	  NVSHARE_WORLD=$(abspath $(TARGET))/debug \
	  NVSHARE_LIBRARY=$(abspath $(TARGET))/$(FLOOR)/release/libnvshare.so bash tests/containers/run.sh

.PHONY: demo
demo: release ## Two tenants on one GPU: demand paging beside bulk prefetch, in under a minute
	$(TARGET)/release/demo

.PHONY: test
test: build lib ## Run every test that needs no GPU
	$(CARGO) test --workspace --locked
	RUSTFLAGS="--cfg loom" $(CARGO) test -p nvshare-interposer --lib --locked --target-dir $(TARGET)/loom -- model
	$(MAKE) test-containers

.PHONY: bench
bench: release ## What the gate adds to a launch; the daemon with a thousand tenants
	$(CARGO) bench -p nvshare-tests --locked
	$(CARGO) test --release --locked -p nvshare-scheduler --test scale -- --ignored --nocapture

.PHONY: gpu-pack
gpu-pack: release lib ## Pack what the scripts in tests/gpu/ need into build/gpu/, for a GPU machine
	mkdir -p build/gpu
	cp $(TARGET)/$(FLOOR)/release/libnvshare.so $(addprefix $(TARGET)/release/,nvshare-scheduler nvsharectl load demo) build/gpu/
	strip build/gpu/*

.PHONY: lint
lint: setup ## Format, clippy and documentation, warnings denied
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items --locked

.PHONY: clean
clean: ## Remove what was built
	$(CARGO) clean
