#!/usr/bin/env bash
# Builds the fuzzer and runs its targets one after the other: fuzz.sh [TARGET...]
# FUZZ_SECONDS (60) is the time of all of them together. What is found lies in Fuzz/finds, and the script fails.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${FUZZ_SECONDS:-60}
corpus=Fuzz/.build/corpus
finds=Fuzz/finds
fuzz=Fuzz/.build/release/fuzz
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# A find is reported by libFuzzer; Swift's own report would come first, take seconds and read what the sanitizer forbids.
export SWIFT_BACKTRACE=enable=no

# What swift build prints is of interest only if it fails.
swift build --package-path Fuzz -c release --sanitize=address > "$log" 2>&1 || { cat "$log"; exit 1; }

mapfile -t targets < <("$fuzz" list)
[ $# -eq 0 ] || targets=("$@")
mkdir -p "$corpus" "$finds"
"$fuzz" seeds "$corpus" Tests/MQTTCodecTests/*Vectors*.swift Tests/MQTTCodecTests/Topic*.swift \
    Tests/CoAPCodecTests/*Vectors.swift \
    Tests/Support/Vectors/sealed.json

each=$((seconds / ${#targets[@]}))
[ "$each" -ge 1 ] || each=1
echo "fuzzing ${#targets[@]} targets, $each s each"
printf '%-12s %10s %8s %9s %8s %7s  %s\n' target executions per-sec coverage corpus finds tally

total=0
failed=0
for target in "${targets[@]}"; do
    status=0
    "$fuzz" "$target" -max_total_time="$each" -print_final_stats=1 -timeout=10 -rss_limit_mb=2048 -max_len=4096 \
        -artifact_prefix="$finds/$target-" "$corpus/$target" > "$log" 2>&1 || status=$?
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    speed=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")
    read -r coverage inputs < <(sed -n 's/.* cov: \([0-9]*\) .* corp: \([0-9]*\)\/.*/\1 \2/p' "$log" | tail -1) || true
    tally=$(sed -n 's/^tally: //p' "$log" | tail -1)
    count=0
    if [ "$status" -ne 0 ]; then
        count=1
        failed=1
    fi
    printf '%-12s %10s %8s %9s %8s %7s  %s\n' "$target" "${executions:-0}" "${speed:-0}" "${coverage:-0}" \
        "${inputs:-0}" "$count" "$tally"
    if [ "$status" -ne 0 ]; then
        grep -E 'Fatal error|Assertion failed|ERROR: |Test unit written' "$log" || tail -20 "$log"
        grep -m 8 -E '^ +#[0-9]+ .*/Sources/' "$log" || true
    fi
    total=$((total + ${executions:-0}))
done
echo "executions in all: $total"
exit "$failed"
