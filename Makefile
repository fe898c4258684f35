# Everything done with this repository, by name; `make` alone lists the names.

.DEFAULT_GOAL := help
# Go and npm use all CPUs by themselves; steps side by side only mix their output.
.NOTPARALLEL:

FUZZTIME ?= 10m
CHECK_FUZZTIME ?= 5s

# The race detector needs a C compiler; Go turns cgo off where it finds none.
RACE = $(if $(filter 1,$(shell go env CGO_ENABLED)),-race)
# -count=1: Go does not see that a binary or a Node package a test starts changed.
TEST = go test $(RACE) -count=1 -timeout 20m ./...
BENCH = go test -run '^$$' -bench . -benchmem -timeout 20m
LINT = bin/tools/golangci-lint

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "%-6s  %s\n", $$1, $$2 }' Makefile

.PHONY: setup
setup: prerequisites node_modules/.package-lock.json ## Check what has to be installed, then fetch the Node packages

.PHONY: build
build: prerequisites ## Build bin/footfall and every function as bin/<function>/bootstrap
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -tags lambda.norpc -o bin/build/ ./functions/... ./cmd/footfall
	@ln -f bin/build/footfall bin/footfall
	@for fn in $(notdir $(patsubst %/main.go,%,$(wildcard functions/*/main.go))); do \
		mkdir -p bin/$$fn && ln -f bin/build/$$fn bin/$$fn/bootstrap || exit; \
	done

.PHONY: run
run: setup build ## Run the whole pipeline on this machine with simulated shops
	bin/footfall simulate

.PHONY: test
test: setup build ## Run all tests, with the race detector where there is a C compiler
	@$(if $(RACE),,echo "No C compiler (or CGO_ENABLED=0): testing without the race detector.")
	$(TEST)

.PHONY: check
check: check-race check-format check-tidy lint test check-run check-bench check-fuzz ## Run all that CI runs: format, tidy, lint, tests, a town, benchmarks and fuzz targets briefly

.PHONY: bench
bench: setup build ## Run every benchmark
	$(BENCH) ./...

.PHONY: fuzz
fuzz: setup build ## Run every fuzz target for FUZZTIME [10m]
	scripts/fuzz.sh $(FUZZTIME)

.PHONY: lint
lint: check-lint check-dead ## Check the code and which package may import which (.golangci.yml), and find dead code

.PHONY: fmt
fmt: prerequisites bin/tools/built ## Format the code
	$(LINT) fmt

.PHONY: clean
clean: ## Remove what the other targets made: bin and node_modules
	rm -rf bin node_modules

# The parts of the above.

.PHONY: prerequisites
prerequisites:
	@scripts/prerequisites.sh

.PHONY: check-race
check-race:
	@scripts/prerequisites.sh race

.PHONY: check-format
check-format: prerequisites bin/tools/built
	$(LINT) fmt --diff

.PHONY: check-lint
check-lint: prerequisites bin/tools/built
	$(LINT) run

.PHONY: check-dead
check-dead: prerequisites bin/tools/built
	@echo "bin/tools/deadcode -test ./..."
	@dead=$$(bin/tools/deadcode -test ./...) && if [ -n "$$dead" ]; then echo "$$dead"; exit 1; fi

.PHONY: check-tidy
check-tidy: prerequisites
	go mod tidy -diff
	go -C tools mod tidy -diff

# A simulated day and, where there are recordings beside the repository, that of
# an office whose people wrote down when they came and went.
TRACES = ../shared/traces
.PHONY: check-run
check-run: setup build
	bin/footfall simulate
	@if [ -e $(TRACES)/office.csv.gz ]; then \
		bin/footfall replay --truth $(TRACES)/office-visits.csv $(TRACES)/office.csv.gz; \
	else echo "No recordings in $(TRACES): none is replayed."; fi

.PHONY: check-bench
check-bench: setup build
	$(BENCH) -benchtime 1x ./...

.PHONY: check-fuzz
check-fuzz: setup build
	scripts/fuzz.sh $(CHECK_FUZZTIME)

# npm writes this file last. The one native package brings its binaries along, so
# no script of a package has to run.
node_modules/.package-lock.json: package.json package-lock.json
	npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

# The linters are pinned apart from the product. Building them takes minutes, once.
bin/tools/built: tools/go.mod tools/go.sum
	go -C tools build -o ../bin/tools/ tool
	@touch $@
