# Everything is built by Swift's package manager; this names the usual ways to call it.

SWIFT         ?= swift
RELEASE_FLAGS ?= -c release --static-swift-stdlib
# A target that imports what it does not depend on is an error.
CHECK_IMPORTS  = --explicit-target-dependency-import-check error
BENCH         ?= quick
FUZZ_SECONDS  ?= 60
MOMENTS       ?= 200
SEED          ?=
PREFIX        ?= /usr/local
DESTDIR       ?=

# Debian keeps mosquitto where users without root do not look.
export PATH := $(PATH):/usr/sbin

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: ## build the gateway and watch sealed messages cross it
	@scripts/setup.sh
	$(SWIFT) build $(RELEASE_FLAGS) --product sealgate
	.build/release/sealgate demo

build: ## release build: .build/release/sealgate
	@scripts/setup.sh
	$(SWIFT) build $(RELEASE_FLAGS) --product sealgate

test: ## all tests, with real Mosquitto, Lua and Python peers (installs what is missing)
	@scripts/setup.sh
	@scripts/setup-tests.sh
	FUZZ_SECONDS=$(FUZZ_SECONDS) scripts/fuzz.sh
	PYTHONDONTWRITEBYTECODE=1 .venv/bin/python -m unittest discover -s Examples/nodes/python
	$(SWIFT) build --build-tests $(CHECK_IMPORTS)
	scripts/test.sh

fuzz: ## feed the decoders what no peer should send, for FUZZ_SECONDS (60)
	@scripts/setup.sh
	FUZZ_SECONDS=$(FUZZ_SECONDS) scripts/fuzz.sh

crash: ## kill the gateway at MOMENTS (200) random moments under load, and count what is lost: SEED=… for one run again
	@scripts/setup.sh
	@scripts/setup-tests.sh
	scripts/crash-matrix.sh $(MOMENTS) $(SEED)

faults: ## let each call to the disk of a run fail, one run after the other
	@scripts/setup.sh
	@scripts/setup-tests.sh
	scripts/disk-faults.sh

lint: ## layout and syntax; changes nothing
	@scripts/lint.sh

bench: ## measure, with Mosquitto beside: BENCH=quick (some minutes), full, uplink or broker
	@scripts/setup.sh
	@scripts/setup-tests.sh
	$(SWIFT) build $(RELEASE_FLAGS) --product sealgate
	$(MAKE) --no-print-directory -C Benchmarks
	scripts/bench.sh $(BENCH)

install: ## to PREFIX (/usr/local), with a systemd unit; after make build, as root
	install -s -D -m 755 .build/release/sealgate $(DESTDIR)$(PREFIX)/bin/sealgate
	install -D -m 644 packaging/sealgate.sysusers $(DESTDIR)/usr/lib/sysusers.d/sealgate.conf
	install -d $(DESTDIR)/usr/lib/systemd/system $(DESTDIR)/etc/sealgate
	sed 's|@PREFIX@|$(PREFIX)|' packaging/sealgate.service > $(DESTDIR)/usr/lib/systemd/system/sealgate.service
	test -e $(DESTDIR)/etc/sealgate/gateway.conf || \
	  sed -e 's|^\( *state *= *\)"[^"]*"|\1"/var/lib/sealgate"|' -e 's|"state/|"/var/lib/sealgate/|' gateway.conf > $(DESTDIR)/etc/sealgate/gateway.conf
	@echo 'Next: systemd-sysusers; edit /etc/sealgate/gateway.conf; systemctl enable --now sealgate'

clean: ## remove what was built
	rm -rf .build .venv Fuzz/.build Fuzz/finds
	$(MAKE) --no-print-directory -C Benchmarks clean

.PHONY: help demo build test fuzz crash faults lint bench install clean
.DEFAULT_GOAL := help
