# What a developer runs. `make test` needs Go and nothing else.

# Every Go module of this repository. The guests are built by the tests of the
# core, for another platform, and have no tests of their own.
MODULES := . $(patsubst %/go.mod,%,$(filter-out ./go.mod ./testdata/%,$(shell find . -name go.mod -not -path '*/node_modules/*' | sort)))

# Each module is built with its own requirements, as an importer's build does;
# go.work is for editors.
export GOWORK := off

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.12.2
FUZZTIME ?= 5s
GOTEST ?= go test

.PHONY: test check race fuzz lint golangci cross bench guests quickstart

## test: every test of every module; prints how many ran, and each that was skipped.
## The engine is tested again as it is on platforms without mappings and thread clocks.
test:
	@set -e; for m in $(MODULES); do echo "== $$m"; (cd $$m && GOTEST="$(GOTEST)" sh $(CURDIR)/.ci/gotest -shuffle=on ./...); done
	@echo "== internal/engine (sandcheck_portable)"; GOTEST="$(GOTEST)" sh .ci/gotest -tags sandcheck_portable -shuffle=on ./internal/engine

## check: all that CI checks
check: lint test race fuzz cross

## race: with the race detector, -short: what is left out or made smaller says so.
## internal/wasmbin and internal/wasmgen turn bytes into bytes, without a goroutine.
race:
	@set -e; for m in $(MODULES); do echo "== $$m (race)"; (cd $$m && GOTEST="$(GOTEST)" sh $(CURDIR)/.ci/gotest -race -short $$(go list ./... | grep -v '/internal/wasm')); done

## fuzz: each fuzz target for FUZZTIME
fuzz:
	@sh .ci/fuzz $(FUZZTIME) $(MODULES)

## lint: formatting, vet, staticcheck
lint:
	@out=$$(git ls-files '*.go' | grep -v /node_modules/ | xargs gofmt -l); if [ -n "$$out" ]; then echo "gofmt would change:"; echo "$$out"; exit 1; fi
	@set -e; for m in $(MODULES); do echo "== $$m (vet, staticcheck)"; (cd $$m && go vet ./... && go run $(STATICCHECK) ./...); done

## golangci: the larger lint set of .golangci.yml
golangci:
	@set -e; for m in $(MODULES); do echo "== $$m (golangci-lint)"; (cd $$m && go run $(GOLANGCI) run --config $(CURDIR)/.golangci.yml ./...); done

## cross: build for the platforms that README names
cross:
	@set -e; for m in $(MODULES); do for p in linux/amd64 linux/arm64 linux/arm/6 windows/amd64 darwin/arm64; do \
		os=$${p%%/*}; rest=$${p#*/}; arch=$${rest%%/*}; arm=$${rest#$$arch}; \
		echo "== $$m $$p"; (cd $$m && CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch GOARM=$${arm#/} go build ./...); done; done

## bench: all benchmarks
bench:
	go test -run '^$$' -bench . -benchmem ./...

## guests: rebuild the committed guests of testdata (needs the toolchains that testdata/guests/README.md names)
guests:
	bash testdata/guests/build.sh

## quickstart: the first thing to look at
quickstart:
	go run ./examples/quickstart
