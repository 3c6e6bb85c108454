# Every target sets up what it needs first; what CI runs is `make check` and `make test`.
SHELL := /bin/sh
BIN := .venv/bin
PYTEST_ARGS ?=
BENCH_ARGS ?=
# what `make clean` leaves alone is the environment: `make distclean` takes that too
CLUTTER := .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.* htmlcov build dist

.DEFAULT_GOAL := help
.PHONY: help demo test check format bench bench-http3 handshakes workers floods memory soak tls-scan clean distclean runtime dev

help: ## this list
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /|/' | awk -F'|' '{printf "  make %-10s %s\n", $$1, $$2}'

demo: runtime ## the edge with a demo widget behind it, on https://localhost:8443 (flags: DEMO_ARGS="--help")
	@exec $(BIN)/edgeproxy demo $(DEMO_ARGS)

test: ## every test, with coverage and its floors (a part: PYTEST_ARGS="tests/unit/http")
	@sh scripts/setup.sh dev curl nghttp h2load openssl chromium unshare nsenter
	@sh scripts/test.sh $(PYTEST_ARGS)

check: dev ## lint, format, types, layers, the mirror of the unit tests, requirements, sizes
	@sh scripts/check.sh

format: dev ## put the code into the house's format
	@$(BIN)/ruff check -q --fix . && $(BIN)/ruff format -q .

bench: ## CPU per request beside nginx's proxy_cache, in one run (flags: BENCH_ARGS="--help")
	@sh scripts/setup.sh runtime nginx h2load taskset
	@$(BIN)/python -m bench.compare $(BENCH_ARGS)

bench-http3: ## CPU per request over HTTP/3 beside stock aioquic and nginx (flags: BENCH_ARGS="--help")
	@sh scripts/setup.sh runtime nghttp taskset
	@$(BIN)/python -m bench.http3 $(BENCH_ARGS)

handshakes: ## CPU per TLS handshake beside nginx, in one run (flags: BENCH_ARGS="--help")
	@sh scripts/setup.sh runtime nginx taskset
	@$(BIN)/python -m bench.handshakes $(BENCH_ARGS)

workers: ## CPU per request of two workers beside one, in one run (flags: BENCH_ARGS="--help")
	@sh scripts/setup.sh runtime nghttp h2load taskset
	@$(BIN)/python -m bench.workers $(BENCH_ARGS)

floods: ## floods against a worker, and what a good client beside them waits (flags: BENCH_ARGS="--help")
	@sh scripts/setup.sh runtime nghttp taskset
	@$(BIN)/python -m bench.floods $(BENCH_ARGS)

memory: ## what stored objects cost in memory, and where churn ends; some 15 minutes (flags: BENCH_ARGS="--help")
	@sh scripts/setup.sh runtime h2load
	@$(BIN)/python -m bench.memory $(BENCH_ARGS)

soak: ## the long runs: nothing lost, memory flat, under renewals, reloads, kills and broken disks
	@sh scripts/setup.sh dev curl h2load unshare nsenter
	@EDGEPROXY_LOAD_REQUESTS=200000 $(BIN)/python -m pytest -s tests/protocol/test_load.py
	@EDGEPROXY_H3_DOWNLOADS=200 $(BIN)/python -m pytest -s tests/protocol/test_http3.py -k survive_moves
	@EDGEPROXY_LANE_EXAMPLES=50 $(BIN)/python -m pytest tests/properties/test_quic_lanes.py
	@$(BIN)/python -m tests.support.rotation $(ROTATION_ARGS)
	@EDGEPROXY_EVERY_FAULT=1 $(BIN)/python -m pytest tests/hostile/test_disk_faults.py
	@$(BIN)/python -m tests.support.chaos $(CHAOS_ARGS)
	@$(BIN)/python -m tests.support.mixed $(MIXED_ARGS)
	@$(BIN)/python -m tests.support.warm $(WARM_ARGS)

tls-scan: ## testssl.sh and sslscan at a running PoP; fails on findings of MEDIUM or above (some minutes)
	@sh scripts/setup.sh dev openssl testssl sslscan
	@$(BIN)/python -m tests.support.tls_scan

clean: ## remove what tools and the demo left, but not the environment
	@rm -rf $(CLUTTER) var bench/results/local
	@find edgeproxy tests bench scripts -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## remove the environment as well
	@rm -rf .venv *.egg-info

runtime:
	@sh scripts/setup.sh runtime

dev:
	@sh scripts/setup.sh dev
