# The tasks of this repository; `make` alone lists them.

.DEFAULT_GOAL := help
# Go and npm use all CPUs by themselves; parallel steps would only mix their output.
.NOTPARALLEL:

FUZZTIME ?= 10m
CHECK_FUZZTIME ?= 5s

# The race detector needs a C compiler; Go turns cgo off if it finds none.
RACE = $(if $(filter 1,$(shell go env CGO_ENABLED)),-race)
# -count=1: Go's cache does not notice a changed binary or Node package that a test starts.
TEST = go test $(RACE) -count=1 -timeout 20m ./...
BENCH = go test -run '^$$' -bench . -benchmem -timeout 20m
LINT = bin/tools/golangci-lint

# Sizes of a deployment in AWS; see infra/settings.
SIZES = dev small large
# The CDK command runs the program in cdk.json. CONTEXT passes settings, as in
# make deploy CONTEXT="-c size=large -c alarmEmail=ops@example.com".
CDK = CDK_DISABLE_VERSION_CHECK=1 node_modules/.bin/cdk
CONTEXT ?=

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "%-7s  %s\n", $$1, $$2 }' Makefile

.PHONY: setup
setup: prerequisites node_modules/.package-lock.json ## Check the prerequisites and install the Node packages

# The functions have no version: unchanged functions are not built or deployed again.
BUILD = CGO_ENABLED=0 go build -trimpath -buildvcs=false -tags lambda.norpc
.PHONY: build
build: prerequisites ## Build bin/footfall and every function as bin/<function>/bootstrap
	$(BUILD) -o bin/build/ ./functions/...
	$(BUILD) -ldflags "$$(scripts/version.sh)" -o bin/build/ ./cmd/footfall
	@ln -f bin/build/footfall bin/footfall
	@for fn in $(notdir $(patsubst %/main.go,%,$(wildcard functions/*/main.go))); do \
		mkdir -p bin/$$fn && ln -f bin/build/$$fn bin/$$fn/bootstrap || exit; \
	done

.PHONY: run
run: setup build ## Run the whole pipeline on this machine with a simulated town
	bin/footfall simulate

.PHONY: test
test: setup build ## Run all tests, with the race detector if there is a C compiler
	@$(if $(RACE),,echo "No C compiler (or CGO_ENABLED=0): testing without the race detector.")
	$(TEST)

.PHONY: check
check: check-race check-format check-tidy lint test check-faults check-run check-checker check-bench check-fuzz nag check-infra ## Run everything that CI runs

.PHONY: bench
bench: setup build ## Run every benchmark
	$(BENCH) ./...

.PHONY: fuzz
fuzz: setup build ## Run every fuzz target for FUZZTIME [10m]
	scripts/fuzz.sh $(FUZZTIME)

.PHONY: soak
soak: setup build ## Test the counts at length: 1,000,000 seeds, drawn cases, 50 killed processes
	$(call summary,$(FAULTS) -run TestSimulation -timeout 6h -seeds 111112)
	$(call PROPERTIES,1000000,200000)
	$(SOAK) -timeout 60m -sightings 1000000 -devices 20000 -kills 50 -pollers 10 -planted 240

CHECKER ?= --seed 1000 --histories 20 --town 72h
.PHONY: recount
recount: setup build ## Recount long towns and histories in Python [CHECKER="--seed 7 --histories 20"]
	scripts/checker.sh $(CHECKER)

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
nag: synth ## Check the templates with cdk-nag, and list the suppressions with reasons
	@scripts/nag.sh $(SIZES:%=bin/cdk.out/%)

.PHONY: diff
diff: setup ## Show the changes that a deployment would make in AWS [CONTEXT="-c size=small"]
	$(CDK) diff $(CONTEXT)

.PHONY: deploy
deploy: setup ## Deploy to AWS with the settings of cdk.json [CONTEXT="-c size=small"]
	$(CDK) deploy --all $(CONTEXT)

.PHONY: destroy
destroy: setup ## Delete the deployment in AWS; tables, buckets, keys and secret stay
	@echo "This deletes the functions, the alarms and the deployment's own Kafka cluster with all records in its topics."
	@echo "Tables, buckets, the pseudonym keys and the encryption keys stay: docs/deploy.md describes how to use them again."
	$(CDK) destroy --all $(CONTEXT)

.PHONY: clean
clean: ## Remove the outputs of the other targets: bin and node_modules
	rm -rf bin node_modules

# Parts of the targets above.

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

# A simulated day and, if the recordings are beside the repository, an office whose
# people wrote down when they came and left.
TRACES = ../shared/traces
.PHONY: check-run
check-run: setup build
	bin/footfall simulate
	@if [ -e $(TRACES)/office.csv.gz ]; then \
		bin/footfall replay --truth $(TRACES)/office-visits.csv $(TRACES)/office.csv.gz; \
	else echo "No recordings in $(TRACES): none is replayed."; fi

# The visits and counts of a second implementation, see lab/checker/README.md. Two
# minutes on two CPUs; make recount takes seeds of your own.
.PHONY: check-checker
check-checker: setup build
	FOOTFALL_TRACES=$${FOOTFALL_TRACES:-$(TRACES)} scripts/checker.sh

# Without the race detector, with which only a hundredth of the seeds would fit.
# The number of seeds is for each of ten modes. The tag is franz-go's own, for tests
# with simulated time.
FAULTS = go test -count=1 -v ./shared/simtest
# Numbers of drawn cases for presence, and for detect with unusual rules. With a seed
# the cases are the same each time; make soak draws others.
PROPERTIES = go test -count=1 -timeout 2h ./shared/presence -rapid.checks $(1) $(3) && \
	go test -count=1 -timeout 2h ./shared/detect -run WhateverTheRules -rapid.checks $(2) $(3)
SOAK = go test -count=1 -v -run TestSoak ./local/soak
# The output of a test without the lines about its subtests.
summary = bash -o pipefail -c '$(1) | grep --line-buffered -v "^ *=== "'
.PHONY: check-faults
check-faults: prerequisites
	$(call summary,$(FAULTS) -timeout 20m)
	$(call PROPERTIES,100000,20000,-rapid.seed 1)
	go test -tags synctests -count=1 ./local/faults

.PHONY: check-bench
check-bench: setup build
	$(BENCH) -benchtime 1x ./...

.PHONY: check-fuzz
check-fuzz: setup build
	scripts/fuzz.sh $(CHECK_FUZZTIME)

# The program that cdk.json runs, and the functions for Lambda. The binaries contain
# neither the place nor the time of their build, so unchanged code is not deployed.
LAMBDA = GOOS=linux GOARCH=arm64 CGO_ENABLED=0 go build -trimpath -buildvcs=false -tags lambda.norpc -ldflags "-s -w -buildid="
.PHONY: app
app: prerequisites
	go -C infra build -o ../bin/infra .
	@mkdir -p bin/build/arm64
	$(LAMBDA) -o bin/build/arm64/ ./functions/...
	@for fn in $(notdir $(patsubst %/main.go,%,$(wildcard functions/*/main.go))); do \
		mkdir -p bin/lambda/$$fn && ln -f bin/build/arm64/$$fn bin/lambda/$$fn/bootstrap || exit; \
	done

# The stacks are a module of their own, since its packages take minutes to build.
.PHONY: check-infra
check-infra: app check-reproducible bin/tools/built
	cd infra && ../$(LINT) run --config ../.golangci.yml
	@echo "bin/tools/deadcode -test ./... (infra)"
	@dead=$$(cd infra && ../bin/tools/deadcode -test ./...) && if [ -n "$$dead" ]; then echo "$$dead"; exit 1; fi
	go -C infra test -count=1 -timeout 20m ./...

# A copy of the code in another folder must build identical functions.
.PHONY: check-reproducible
check-reproducible: app
	@scripts/reproducible.sh '$(LAMBDA)'

# npm writes this file last. The only native package ships its binaries, so no
# package script has to run.
node_modules/.package-lock.json: package.json package-lock.json
	npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

# The linters are pinned in a module of their own. Building them takes minutes, once.
bin/tools/built: tools/go.mod tools/go.sum
	go -C tools build -o ../bin/tools/ tool
	@touch $@
