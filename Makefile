# What a person runs. CMake does the work: see CMakePresets.json.
PREFIX ?= /usr/local
FUZZ_SECONDS ?= 600
JOBS ?= $(shell nproc)
BENCH ?=
TESTS ?=

.PHONY: release test test-gpu aarch64 bench bench-all lint format fuzz install clean help simulation

release: ## build build/release/prony (what plain `make` does)
	@scripts/bootstrap build
	@scripts/build release $(JOBS)

test: ## build with sanitizers and run every test; TESTS=PATTERN for some of them
	@scripts/bootstrap test
	@scripts/build test $(JOBS)
	ctest --test-dir build/test --output-on-failure -j2 $(if $(TESTS),-R '$(TESTS)')

test-gpu: ## run the tests that need an NVIDIA GPU, without sanitizers
	@scripts/bootstrap test
	@scripts/build gpu $(JOBS)
	ctest --test-dir build/gpu --output-on-failure -L gpu -V

aarch64: ## test the kernels for 64-bit Arm, under emulation
	@scripts/test-aarch64

bench: ## fetch a real model and compare the engines that run here; BENCH='OPTIONS' for prony bench
	@scripts/bootstrap bench
	@scripts/build release $(JOBS)
	@scripts/bench $(BENCH)

bench-all: ## the same with all engines that can be installed here: minutes of compiling, gigabytes of disk
	@scripts/bootstrap bench-all
	@scripts/build release $(JOBS)
	@scripts/bench --all $(BENCH)

lint: ## check the layout of the code, and look for mistakes
	@scripts/bootstrap lint
	@scripts/build test 0
	@scripts/lint

format: ## lay out all code as lint wants it
	@scripts/bootstrap lint
	@scripts/lint format

fuzz: ## run every fuzzer for FUZZ_SECONDS (600); FUZZERS='gguf protocol' for some of them
	@scripts/bootstrap fuzz
	@scripts/build fuzz $(JOBS)
	@scripts/fuzz $(FUZZ_SECONDS) $(FUZZERS)

simulation: ## measure how far verdicts can be trusted, and write the table of docs/method.md
	@scripts/bootstrap test
	@scripts/build test $(JOBS)
	build/test/tests/test_simulation --write

install: ## install into PREFIX (/usr/local); honours DESTDIR
	@test -x build/release/prony || { echo "Error: nothing to install yet. Run: make" >&2; exit 1; }
	cmake --install build/release --prefix "$(PREFIX)"

clean: ## remove the build folder
	rm -rf build

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\): ## /\1|/p' $(firstword $(MAKEFILE_LIST)) | \
		while IFS='|' read -r target text; do printf '  make %-10s %s\n' "$$target" "$$text"; done
