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

# Sizes of a deployment in AWS; see infra/settings.
SIZES = dev small large
# The CDK's command: cdk.json says what it runs. CONTEXT passes settings on, as
# in make deploy CONTEXT="-c size=large -c alarmEmail=ops@example.com".
CDK = CDK_DISABLE_VERSION_CHECK=1 node_modules/.bin/cdk
CONTEXT ?=

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "%-7s  %s\n", $$1, $$2 }' Makefile

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
check: check-race check-format check-tidy lint test check-faults check-run check-bench check-fuzz nag check-infra ## Run all that CI runs

.PHONY: bench
bench: setup build ## Run every benchmark
	$(BENCH) ./...

.PHONY: fuzz
fuzz: setup build ## Run every fuzz target for FUZZTIME [10m]
	scripts/fuzz.sh $(FUZZTIME)

.PHONY: soak
soak: setup build ## Prove the counts at length: 1,000,000 seeds, drawn cases, 50 kills of processes
	$(call tell,$(FAULTS) -run TestSimulation -timeout 6h -seeds 111112)
	$(call PROPERTIES,1000000,200000)
	$(SOAK) -timeout 60m -sightings 1000000 -devices 20000 -kills 50 -pollers 10 -planted 240

.PHONY: lint
lint: check-lint check-dead ## Check the code and its imports (.golangci.yml), and find dead code

.PHONY: fmt
fmt: prerequisites bin/tools/built ## Format the code
	$(LINT) fmt

.PHONY: synth
synth: setup app ## Write the CloudFormation templates to bin/cdk.out, offline
	@for size in $(SIZES); do \
		echo "cdk synth -c size=$$size"; \
		$(CDK) synth --app bin/infra -c size=$$size -o bin/cdk.out/$$size --quiet --strict --no-lookups || exit; \
	done

.PHONY: nag
nag: synth ## Check the templates with cdk-nag, and list what is suppressed and why
	@scripts/nag.sh $(SIZES:%=bin/cdk.out/%)

.PHONY: diff
diff: setup ## Show what a deployment would change in AWS [CONTEXT="-c size=small"]
	$(CDK) diff $(CONTEXT)

.PHONY: deploy
deploy: setup ## Deploy to AWS what cdk.json says [CONTEXT="-c size=small"]
	$(CDK) deploy --all $(CONTEXT)

.PHONY: destroy
destroy: setup ## Take the deployment down in AWS; tables, buckets, keys and secret stay
	@echo "This ends the functions, the alarms and a Kafka cluster of the deployment's own, with all that its topics hold."
	@echo "Tables, buckets, the pseudonyms' keys and the keys that encrypt them stay: docs/deploy.md says how to take them up again."
	$(CDK) destroy --all $(CONTEXT)

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
	go -C infra mod tidy -diff

# A simulated day and, where there are recordings beside the repository, that of
# an office whose people wrote down when they came and went.
TRACES = ../shared/traces
.PHONY: check-run
check-run: setup build
	bin/footfall simulate
	@if [ -e $(TRACES)/office.csv.gz ]; then \
		bin/footfall replay --truth $(TRACES)/office-visits.csv $(TRACES)/office.csv.gz; \
	else echo "No recordings in $(TRACES): none is replayed."; fi

# Without the race detector, which leaves time for a hundredth of the seeds only.
# The seeds are for each of ten modes. The tag is franz-go's own, for tests whose
# time is simulated.
FAULTS = go test -count=1 -v ./shared/simtest
# Of presence, and of detect with odd rules: so many drawn cases of each. With a
# seed they are the same each time; make soak draws others.
PROPERTIES = go test -count=1 -timeout 2h ./shared/presence -rapid.checks $(1) $(3) && \
	go test -count=1 -timeout 2h ./shared/detect -run WhateverTheRules -rapid.checks $(2) $(3)
SOAK = go test -count=1 -v -run TestSoak ./local/soak
# What a test says, without the lines on which of its parts run.
tell = bash -o pipefail -c '$(1) | grep --line-buffered -v "^ *=== "'
.PHONY: check-faults
check-faults: prerequisites
	$(call tell,$(FAULTS) -timeout 20m)
	$(call PROPERTIES,100000,20000,-rapid.seed 1)
	go test -tags synctests -count=1 ./local/faults

.PHONY: check-bench
check-bench: setup build
	$(BENCH) -benchtime 1x ./...

.PHONY: check-fuzz
check-fuzz: setup build
	scripts/fuzz.sh $(CHECK_FUZZTIME)

# What cdk.json runs: the program of the stacks, and the functions as Lambda
# wants them. Nothing in them says where or when they were built, so that code
# that did not change is not deployed.
LAMBDA = GOOS=linux GOARCH=arm64 CGO_ENABLED=0 go build -trimpath -buildvcs=false -tags lambda.norpc -ldflags "-s -w -buildid="
.PHONY: app
app: prerequisites
	go -C infra build -o ../bin/infra .
	@mkdir -p bin/build/arm64
	$(LAMBDA) -o bin/build/arm64/ ./functions/...
	@for fn in $(notdir $(patsubst %/main.go,%,$(wildcard functions/*/main.go))); do \
		mkdir -p bin/lambda/$$fn && ln -f bin/build/arm64/$$fn bin/lambda/$$fn/bootstrap || exit; \
	done

# The stacks are a module of their own, whose packages take minutes to build.
.PHONY: check-infra
check-infra: app check-reproducible bin/tools/built
	cd infra && ../$(LINT) run --config ../.golangci.yml
	@echo "bin/tools/deadcode -test ./... (infra)"
	@dead=$$(cd infra && ../bin/tools/deadcode -test ./...) && if [ -n "$$dead" ]; then echo "$$dead"; exit 1; fi
	go -C infra test -count=1 -timeout 20m ./...

# A copy of the code, elsewhere, gives the functions that are to be deployed.
.PHONY: check-reproducible
check-reproducible: app
	@scripts/reproducible.sh '$(LAMBDA)'

# npm writes this file last. The one native package brings its binaries along, so
# no script of a package has to run.
node_modules/.package-lock.json: package.json package-lock.json
	npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

# The linters are pinned apart from the product. Building them takes minutes, once.
bin/tools/built: tools/go.mod tools/go.sum
	go -C tools build -o ../bin/tools/ tool
	@touch $@
