#!/usr/bin/env bash
# The documented selection of measurements, with Mosquitto beside: bench.sh quick|full|uplink|broker|coap
# Rows as JSON in Benchmarks/build/results.jsonl, tables on stdout.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin

selection=${1:-quick}
results=Benchmarks/build/results.jsonl
tables=Benchmarks/build/tables.md
gateway=(--sut Benchmarks/suts/sealgate.json)
bridge=(--sut Benchmarks/suts/mosquitto-bridge.json)
ways=(--sut Benchmarks/suts/sealgate.json --sut Benchmarks/suts/sealgate-end-to-end.json)
newest=(--sut Benchmarks/suts/sealgate-newest-first.json)
unsealer=(--sut Benchmarks/suts/mosquitto-unsealer.json)
brokers=(--sut Benchmarks/suts/sealgate-broker.json --sut Benchmarks/suts/mosquitto-broker.json)
clients=(--scenario fanin --scenario fanout --scenario idle-plain --scenario idle-tls --scenario subs --scenario storm)
coaps=(--sut Benchmarks/suts/libcoap.json --sut Benchmarks/suts/sealgate-coap.json
    --sut Benchmarks/suts/sealgate-coap-uplink.json --sut Benchmarks/suts/sealgate-coap-end-to-end.json)
load=(--scenario drain --scenario crash --scenario restart --scenario kill --scenario conns --scenario idle)

: > "$results"
: > "$tables"

output=$(mktemp)
trap 'rm -f "$output"' EXIT

run() {
    .venv/bin/python Benchmarks/baseline.py --table "$@" > "$output"
    grep '^{' "$output" >> "$results"
    grep -v '^{' "$output" >> "$tables"
}

case $selection in
quick)
    run "${gateway[@]}" "${bridge[@]}" --scenario matrix --qos 0,1 --size 256 --conns 50 --messages 30000 --reps 3
    run "${gateway[@]}" "${bridge[@]}" "${unsealer[@]}" --scenario sealed --sealed-messages 10000 --reps 2
    run "${gateway[@]}" "${bridge[@]}" --scenario paced --qos 1 --rate 1000 --reps 1
    run "${gateway[@]}" "${bridge[@]}" "${load[@]}" --backlog 20000 --drain-idle 8
    ;;
uplink)
    run "${ways[@]}" "${bridge[@]}" --scenario matrix --qos 1 --size 256 --conns 50 --messages 60000 --reps 3
    run "${ways[@]}" "${bridge[@]}" --scenario paced --qos 1 --rate 1000 --reps 3
    run "${ways[@]}" "${bridge[@]}" --scenario written --rate 1000
    run "${ways[@]}" "${bridge[@]}" --scenario drain --scenario crash --scenario restart --scenario kill --drain-idle 70
    run "${gateway[@]}" "${newest[@]}" "${bridge[@]}" --scenario million --drain-idle 130
    ;;
full)
    run "${gateway[@]}" "${bridge[@]}" --scenario matrix --reps 5
    run "${gateway[@]}" "${bridge[@]}" "${unsealer[@]}" --scenario sealed --session fixed,chain --reps 5
    run "${gateway[@]}" "${bridge[@]}" --scenario paced --rate 1000 --reps 3
    run "${gateway[@]}" "${bridge[@]}" "${load[@]}" --drain-idle 70
    run "${brokers[@]}" "${clients[@]}" --reps 5
    run "${brokers[@]}" --protocol 5 --scenario fanin --scenario fanout --reps 3
    ;;
broker)
    run "${brokers[@]}" "${clients[@]}" --reps 3
    ;;
coap)
    run "${coaps[@]}" --scenario coap --reps 3
    run "${coaps[@]}" --scenario coap-paced --rate 1000 --reps 3
    run "${coaps[@]}" --scenario coap-memory --coap-nodes 1000
    run "${coaps[@]}" --scenario coap-contexts --coap-nodes 10000
    ;;
*)
    echo "bench.sh: quick, full, uplink, broker or coap, not $selection" >&2
    exit 2
    ;;
esac

cat "$tables"
