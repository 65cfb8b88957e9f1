#!/usr/bin/env bash
# Kills the gateway at random moments under 2,000 messages a second while its upstream comes and goes, and counts what is lost:
# crash-matrix.sh [MOMENTS] [SEED]
# The same seed has the same moments and incidents. SEALGATE_BINARY names another gateway than the debug build.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin

export SEALGATE_CRASH_MOMENTS=${1:-200}
export SEALGATE_CRASH_SEED=${2:-$((RANDOM * 32768 + RANDOM + 1))}
echo "$SEALGATE_CRASH_MOMENTS moments, seed $SEALGATE_CRASH_SEED"
swift build --build-tests
scripts/test.sh --filter CrashMatrixTests
