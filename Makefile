# Every target explains itself: `make help`.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

TOOLS := $(CURDIR)/.tools
GOLANGCI_LINT_VERSION := v2.15.0
BUF_VERSION := v1.75.0
PROTOC_GEN_GO_VERSION := v1.36.12
# As scripts/genapi/requirements.txt pins it.
BOTOCORE := $(TOOLS)/botocore-1.44.5-py3-none-any.whl

# Go needs no C compiler anywhere but for the race detector.
export CGO_ENABLED ?= 0

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Watch recommendations change as a visitor clicks (generated data, nothing to set up)
	@# Not optimised: on two cores the first build takes 85 s instead of 143 s, and the story a second longer.
	go run -gcflags='all=-N -l' -ldflags='-s -w' ./services/penchant demo $(DEMO_FLAGS)

.PHONY: run
run: ## Run everything in one process on http://127.0.0.1:8080
	go run ./services/penchant all

.PHONY: build
build: ## Build bin/penchant
	go build -o bin/penchant ./services/penchant

.PHONY: test
test: ## Run the tests
	go test ./...

.PHONY: test-race
test-race: ## Run the tests with the race detector (needs a C compiler)
	CGO_ENABLED=1 go test -race ./...

.PHONY: test-integration
test-integration: ## Run everything against real Kafka, Redis and S3 servers, and break them
	@# The first time this is all compilation: with less garbage collection in the compiler, a tenth less of it.
	GOGC=300 $(MAKE) --no-print-directory -j build .venv/ready $(servers)
	scripts/test-integration.sh

# The servers of the integration tests, installed into the user's cache, and Redis with apt.
servers := $(addprefix install-,kafka redis minio)
.PHONY: $(servers)
$(servers): install-%:
	scripts/servers/$*.sh install

.PHONY: soak
soak: build ## Run 300,000 events through two replicas of everything, with a fault every few seconds
	PENCHANT_TEST_REAL=1 PENCHANT_TEST_LONG=1 PENCHANT_TEST_BINARY=$(CURDIR)/bin/penchant \
		go test -count=1 -timeout 30m -v -run TestSoak ./services/penchant/faults

# The Python tools of the integration tests; the product itself needs none.
.venv/ready: scripts/integration/requirements.txt
	python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

.PHONY: fuzz
fuzz: ## Fuzz every parser for a minute each (FUZZTIME=10m for longer)
	scripts/fuzz.sh $${FUZZTIME:-1m}

.PHONY: bench
bench: ## Run the benchmarks behind docs/benchmarks.md
	scripts/bench.sh

.PHONY: bench-quality
bench-quality: bench/results/venv/ready ## Train every recipe on all research data (QUALITY_FLAGS="-sets ml-1m")
	go run ./bench/quality $(QUALITY_FLAGS)

bench/results/venv/ready: bench/quality/requirements.txt
	python3 -m venv bench/results/venv
	bench/results/venv/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

.PHONY: lint
lint: $(TOOLS)/golangci-lint ## Run the linters
	$(TOOLS)/golangci-lint run ./...

.PHONY: generate
generate: $(TOOLS)/buf $(TOOLS)/protoc-gen-go $(BOTOCORE) ## Generate code: records of proto/, AWS's APIs, kernels of pkg/simd
	cd proto && PATH="$(TOOLS):$$PATH" buf lint && PATH="$(TOOLS):$$PATH" buf generate
	go run ./scripts/genapi -models $(BOTOCORE)
	go generate ./pkg/simd

.PHONY: check-generated
check-generated: generate ## Fail if generated code is not what its source gives
	git diff --exit-code -- proto pkg/awsapi pkg/simd

$(TOOLS)/golangci-lint: Makefile
	GOBIN=$(TOOLS) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	@touch $@

$(TOOLS)/buf: Makefile
	GOBIN=$(TOOLS) go install github.com/bufbuild/buf/cmd/buf@$(BUF_VERSION)
	@touch $@

$(TOOLS)/protoc-gen-go: Makefile
	GOBIN=$(TOOLS) go install google.golang.org/protobuf/cmd/protoc-gen-go@$(PROTOC_GEN_GO_VERSION)
	@touch $@

# The models of AWS's APIs. pip refuses any other file than the one whose checksum is pinned.
$(BOTOCORE): scripts/genapi/requirements.txt
	python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes --dest $(TOOLS) -r $<
	@touch $@
