# `make` alone lists the targets. Every target installs first what is missing (tools/deps.sh).

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# A fresh machine may have the version of rust-toolchain.toml under another name.
ifndef RUSTUP_TOOLCHAIN
RUSTUP_TOOLCHAIN := $(shell tools/toolchain.sh)
endif
export RUSTUP_TOOLCHAIN

# CI must not pass with a Cargo.lock that is not committed; while developing, cargo may update it.
LOCKED := $(if $(CI),--locked)

FUZZ_SECONDS ?= 600

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# Where `make run` keeps its data.
DATA ?= $(CURDIR)/millrace-data

.PHONY: run
run: deps ## Run one broker on localhost:9092, its data in ./millrace-data (DATA=...)
	@echo "data: $(DATA)"
	cargo run --release -p millrace-broker --bin millrace -- server config/kraft/server.properties \
		--override listeners=PLAINTEXT://localhost:9092 --override advertised.listeners=PLAINTEXT://localhost:9092 \
		--override millrace.metrics.listener=localhost:9644 --override log.dirs=$(DATA)

# Where `make cluster` keeps its data: not inside that of `make run`, whose broker takes no directory with other files.
CLUSTER_DATA ?= $(CURDIR)/millrace-cluster

.PHONY: cluster
cluster: build ## Run three brokers on localhost:19092, 19192 and 19292, their data in ./millrace-cluster (CLUSTER_DATA=...)
	@DATA="$(CLUSTER_DATA)" exec tools/cluster.sh

.PHONY: demo
demo: deps ## Run the engine's demonstration
	cargo run --release -p millrace-broker --bin millrace -- demo

.PHONY: test
test: deps ## Check format, lints and dependencies, then run the tests
	cargo fmt --all -- --check
	tools/deny.sh
	cargo clippy $(LOCKED) --workspace --all-targets -- -D warnings
	cargo test $(LOCKED) --workspace
	$(MAKE) --no-print-directory e2e image-test

# What real clients are run, and Apache Kafka beside; every one of them: make e2e CLIENTS=all (see e2e/clients/run.sh)
CLIENTS ?= java,librdkafka,kcat,kafka-python,aiokafka

.PHONY: e2e
e2e: build ## Run real clients against a broker, and against Apache Kafka (needs java, mvn, python3 with venv)
	tools/e2e.sh $(CLIENTS)

.PHONY: clients
clients: build ## Run every client against a broker and against Apache Kafka, and write the table of docs/clients.md (40 minutes)
	e2e/clients/matrix.sh

# How long the load lasts; the peak before it and the end come on top.
SOAK_SECONDS ?= 3600

.PHONY: soak
soak: build ## Load a broker with real clients for SOAK_SECONDS (3600): is memory flat, nothing lost, every warning explained?
	e2e/soak/run.sh $(SOAK_SECONDS)

# What is hurt, and for how long; options of e2e/chaos/run.sh come on top: make chaos CHAOS='--nodes 5 --seed 7'
CHAOS_SECONDS ?= 300

.PHONY: chaos
chaos: build ## Kill, cut off and fill the nodes of a cluster for CHAOS_SECONDS (300) while real clients work: is anything lost, doubled, reordered?
	e2e/chaos/run.sh millrace --seconds $(CHAOS_SECONDS) $(CHAOS)

.PHONY: image
image: build ## Build the image millrace:local (needs Docker)
	tools/image-root.sh
	docker build --tag millrace:local .

.PHONY: image-test
image-test: build ## Run the image as a cluster would, with Docker or, for root, without
	e2e/image/test.sh

.PHONY: test-full
test-full: test ## The same, then the long ones: many more seeds, and every fuzz target for FUZZ_SECONDS (600)
	MILLRACE_TEST_FULL=1 cargo test $(LOCKED) --release --workspace
	FUZZ_SECONDS=$(FUZZ_SECONDS) tools/fuzz.sh

.PHONY: build
build: deps ## Build the programs, optimised, into target/release
	cargo build $(LOCKED) --release --bins

.PHONY: bench
bench: deps ## Run the benchmarks
	cargo bench $(LOCKED) -p millrace-broker

.PHONY: bench-kafka
bench-kafka: build ## Run the benchmark beside Apache Kafka (ROUNDS=5; see bench/kafka/run.sh); needs java and mvn
	bench/kafka/run.sh

.PHONY: deps
deps: ## Install what a build needs and this machine lacks
	@tools/deps.sh

.PHONY: clean
clean: ## Remove what was built; RocksDB and the tools stay in the cache
	cargo clean
	@echo "kept: $$(tools/cache-dir.sh)"
