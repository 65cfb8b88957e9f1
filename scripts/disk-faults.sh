#!/usr/bin/env bash
# Lets each write, sync, open and truncation of a run of the gateway fail, one run after the other, and counts what is lost. Some of
# them are drawn for `make test`. SEALGATE_BINARY names another gateway than the debug build.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin

swift build --build-tests
SEALGATE_FAULT_CALLS=all scripts/test.sh --filter DiskFaultTests
