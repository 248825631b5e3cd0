# Everything CI runs is `make test`; it works on a fresh machine with Go.

export CGO_ENABLED = 0
GOBIN       := $(shell go env GOPATH)/bin
LINT        := $(GOBIN)/golangci-lint
LINT_MODULE := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

FUZZTIME    := 20s

.PHONY: test postgres check lint unit build demo bench fuzz

test: postgres check lint unit

# PostgreSQL is a part of the product, so tests run on a real one. They start a
# throw-away cluster themselves; only the programs must be there.
postgres:
	@sh .ci/postgres

check:
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "gofmt would change:"; echo "$$unformatted"; exit 1; fi
	go vet ./...

# The linter is built once per machine, outside go.mod.
lint:
	@if [ ! -x $(LINT) ]; then echo "building the linter once (2-3 minutes)"; go install $(LINT_MODULE); fi
	$(LINT) run

unit:
	CI=true go test -timeout 15m ./...

build:
	go build -trimpath -ldflags "-s -w" -o bin/healthix-scim ./cmd/healthix-scim

demo:
	go run ./cmd/healthix-scim serve --demo

bench: build
	go run ./cmd/healthix-scim-bench -server bin/healthix-scim

# Each target for a while; CI gives them a few seconds each.
fuzz:
	go test -run=NONE -fuzz=FuzzParse -fuzztime=$(FUZZTIME) -fuzzminimizetime=1x ./scim/filter
	go test -run=NONE -fuzz=FuzzPath -fuzztime=$(FUZZTIME) -fuzzminimizetime=1x ./scim/filter
	go test -run=NONE -fuzz=FuzzPatch -fuzztime=$(FUZZTIME) -fuzzminimizetime=1x ./scim/patch
	go test -run=NONE -fuzz=FuzzDecode -fuzztime=$(FUZZTIME) -fuzzminimizetime=1x ./scim/schema
	go test -run=NONE -fuzz=FuzzNormalTitle -fuzztime=$(FUZZTIME) -fuzzminimizetime=1x ./policy
	go test -run=NONE -fuzz=FuzzPolicyDocument -fuzztime=$(FUZZTIME) -fuzzminimizetime=1x ./policy
	go test -run=NONE -fuzz=FuzzVerify -fuzztime=$(FUZZTIME) -fuzzminimizetime=1x ./audit
	go test -run=NONE -fuzz=FuzzParseCheckpoint -fuzztime=$(FUZZTIME) -fuzzminimizetime=1x ./audit
	go test -run=NONE -fuzz=FuzzParseHook -fuzztime=$(FUZZTIME) -fuzzminimizetime=1x ./connector/litmos
	go test -run=NONE -fuzz=FuzzInstant -fuzztime=$(FUZZTIME) -fuzzminimizetime=1x ./connector/litmos
	go test -run=NONE -fuzz=FuzzRecord -fuzztime=$(FUZZTIME) -fuzzminimizetime=1x ./connector/litmos
	go test -run=NONE -fuzz=FuzzCursor -fuzztime=$(FUZZTIME) -fuzzminimizetime=1x ./scim
	go test -run=NONE -fuzz=FuzzBulkOperations -fuzztime=$(FUZZTIME) -fuzzminimizetime=1x ./scim
	go test -run=NONE -fuzz=FuzzRaw -fuzztime=$(FUZZTIME) -fuzzminimizetime=1x ./scim/protocol
	go test -run=NONE -fuzz=FuzzMask -fuzztime=$(FUZZTIME) -fuzzminimizetime=1x ./api
	go test -run=NONE -fuzz=FuzzCheck -fuzztime=$(FUZZTIME) -fuzzminimizetime=1x ./api/auth
	go test -run=NONE -fuzz=FuzzReadGrant -fuzztime=$(FUZZTIME) -fuzzminimizetime=1x ./api/auth
