# GLTA. `make` shows what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help

# BLAS must not start threads beneath ours. Debian's OpenBLAS does not know recent AMD cores and must be told.
export OPENBLAS_NUM_THREADS = 1
ifneq (,$(shell grep -m1 -o avx512dq /proc/cpuinfo 2>/dev/null))
export OPENBLAS_CORETYPE ?= SKYLAKEX
endif

# Kernels want the vectors of this machine; arm64 has its own by default.
ifeq ($(shell uname -m),x86_64)
ARCH ?= native
SWIFT_FLAGS = -Xswiftc -Xcc -Xswiftc -march=$(ARCH)
endif

.PHONY: help setup build demo test smoke soak bench format lint clean

help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-8s %s\n", $$1, $$2}'

setup: ## Install the system packages that are missing
	@deploy/bootstrap

build: setup ## Build the tool and the services: .build/release/glta, glta-gateway, ...
	swift build -c release $(SWIFT_FLAGS)

demo: build ## Fetch a model and data, train, evaluate and recommend (about ten minutes)
	@deploy/demo

# One build serves tool and tests. The mesh's own tests count descriptors, memory and time: a process to themselves.
test: setup ## Run all tests
	swift build -c release --build-tests $(SWIFT_FLAGS)
	swift test -c release --skip-build $(SWIFT_FLAGS) --filter '^MeshTests\.'
	swift test -c release --skip-build $(SWIFT_FLAGS) --skip '^MeshTests\.'
	swift test --package-path Tests/Sanitized -c release --sanitize=address --disable-xctest
	@deploy/python-tests

smoke: setup ## Run the quick tests only (under two minutes once built)
	swift build -c release --build-tests $(SWIFT_FLAGS)
	swift test -c release --skip-build $(SWIFT_FLAGS) --skip 'SlowTests|MeshScenarios'

# How long workers are killed and added: make soak MINUTES=60
MINUTES ?= 10
soak: setup ## Kill and add workers under load for MINUTES, then decode ten million damaged messages
	swift build -c release --build-tests $(SWIFT_FLAGS)
	GLTA_SOAK_MINUTES=$(MINUTES) swift test -c release --skip-build $(SWIFT_FLAGS) --filter s24_soak
	GLTA_FUZZ_MESSAGES=10000000 swift test -c release --skip-build $(SWIFT_FLAGS) --filter MutationTests

bench: build ## Measure against peers: PyTorch, llama.cpp, protobuf, gRPC, pyzmq; says which of them are missing
	.build/release/glta model fetch minilm --out .demo/minilm
	python3 Tests/Peers/language_model.py
	python3 Tests/Peers/decoders.py --model "$$(.build/release/glta model fetch smollm2 --out .demo/smollm2)"
	python3 Tests/Peers/retrieval.py
	python3 Tests/Peers/mesh.py
	PYTHON=$$(deploy/python-environment) Tests/Peers/Mesh/run

format: ## Format all Swift sources
	swift format --in-place --recursive Sources Services Tests Package.swift

lint: ## Check the format of all Swift sources
	swift format lint --strict --recursive Sources Services Tests Package.swift

clean: ## Remove what was built; .demo stays
	rm -rf .build
