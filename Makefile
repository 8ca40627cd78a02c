# Needs Go (see go.mod), git and make; `make demo` needs nothing else.
# `make help` lists the targets.

GO        ?= go
VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo development)
# Per target, and how long they may take together.
FUZZTIME  ?= 5s
FUZZTOTAL ?= 1800
BENCH     ?= .
BENCHTIME ?= 1s
BENCHFLAGS ?=
LABDIR    ?= lab
LABFLAGS  ?=

# The version is given by name: reading it from git fails in a checkout of another user.
build_go = CGO_ENABLED=0 $(GO) build -buildvcs=false -trimpath -ldflags '-s -w -X main.version=$(VERSION)'
go_tool  = $(GO) tool -modfile=tools/go.mod

.PHONY: help build demo lab test race lint fmt fmt-check vet tidy-check generate generate-zones generate-check bench fuzz vuln deb test-deb clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "%-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/busybridge, static and without cgo
	$(build_go) -o bin/busybridge ./cmd/busybridge

demo: build ## two organizations see each other's free/busy, checked, then stopped
	bin/busybridge lab --once $(LABFLAGS)

lab: build ## the same world, left running; lab.json is in LABDIR (lab)
	bin/busybridge lab --dir $(LABDIR) $(LABFLAGS)

test: ## all tests; clients of others are installed when they can be
	scripts/test-deps.sh
	$(GO) test -timeout 20m ./...

race: ## the tests of internal/ under the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race -timeout 30m ./internal/...

lint: ## golangci-lint, built from tools/go.mod; the first time takes minutes
	$(go_tool) golangci-lint run ./...

fmt: ## format the Go files
	gofmt -w bench cmd internal clients scripts

fmt-check: ## fail when a Go file is not formatted
	@files=$$(gofmt -l bench cmd internal clients scripts); test -z "$$files" || { echo "not formatted, run make fmt:"; echo "$$files"; exit 1; }

vet: ## go vet
	$(GO) vet ./...

tidy-check: ## fail when go.mod or go.sum is not tidy
	$(GO) mod tidy -diff

generate: ## rewrite the generated files that need nothing but Go
	$(GO) generate ./internal/app/config
	$(GO) run -buildvcs=false scripts/third-party.go

generate-zones: ## rewrite the time zone table from the Unicode CLDR (needs npm)
	cd tools/cldr && npm ci --ignore-scripts --no-audit --no-fund
	NODE_MODULES=$(CURDIR)/tools/cldr/node_modules $(GO) generate ./internal/spec/wintz

generate-check: ## fail when a generated file is not what its input says
	scripts/generate-check.sh

bench: build ## all benchmarks (BENCH=regexp BENCHTIME=1s), then the table of all budgets (BENCHFLAGS; bench/README.md)
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -benchmem $$(grep -rl --include='*_test.go' '^func Benchmark' internal cmd | xargs -n1 dirname | sort -u | sed 's|^|./|')
	$(GO) run -buildvcs=false ./bench $(BENCHFLAGS)

fuzz: ## every fuzz target for FUZZTIME (5s)
	FUZZTIME=$(FUZZTIME) FUZZTOTAL=$(FUZZTOTAL) scripts/fuzz.sh

vuln: ## known vulnerabilities in what is linked; needs the network
	@echo "govulncheck asks the Go vulnerability database: this needs the network."
	$(go_tool) govulncheck ./...

deb: build ## build the Debian package in bin/ (needs dpkg-deb)
	packaging/deb.sh bin/busybridge '$(VERSION)' bin

test-deb: build ## build, install, try, remove and purge the Debian package here (needs root and Debian)
	packaging/test-deb.sh bin/busybridge

clean: ## remove what was built and installed here
	rm -rf bin lab clients/node/node_modules tools/cldr/node_modules
