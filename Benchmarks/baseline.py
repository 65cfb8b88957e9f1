#!/usr/bin/env python3
"""Compares MQTT edge gateways (store and forward to an outside broker over TLS-PSK) on loopback.

Starts an outside mosquitto (plain for the meter, TLS-PSK, TLS with a certificate) and every system under test (SUT)
beside each other, and drives the SUTs one after the other with mqttload, alternating within each repetition, so that
the ratio between two of them comes from the same minutes on the same machine. README.md tells how to read the rows.

SCENARIOS (--scenario, repeatable; default: matrix)
  matrix   QoS x connections x payload size, as fast as it goes with --outstanding open
  paced    --rate messages a second, 50 connections, 256 bytes: latency without queueing
  sealed   sealed v1 payloads, 50 connections, QoS 1. A SUT with a session_topic gets nodes that fetch its session IDs
           ("live"); the others get payloads sealed ahead, --session fixed|chain
  drain    outside broker down, --backlog messages stored, broker up: time to drain, losses
  crash    as drain, but the SUT is killed (SIGKILL) while the broker is down, and started again
  restart  as crash with SIGTERM
  kill     death under load: 5,000 messages a second, the broker stalls after 2 s (SIGSTOP), the SUT is killed a second
           later and started again, the broker goes on; publishers reconnect and send again what was not acknowledged
  million  outside broker down for --million messages, then up beside live traffic: RSS over time, drain rate beside the live
           rate, how long the first live message takes after the link is back
  written  --rate messages a second for 10 s: bytes that go to the disk for each
  conns    RSS idle, with 1,000 and with 10,000 idle connections
  idle     RSS and wake-ups a second over 10 s, uplink connected, no node

 the SUT as a broker, without an outside one (suts/*-broker.json):
  fanin       1,000 publishers, one subscriber, QoS x size, with 20 messages under way and with 1,000
  fanout      one publisher, 1,000 subscribers, QoS x size, with 1 message under way and with 20
  idle-plain  RSS a connection: 1,000 and 10,000 that do nothing
  idle-tls    the same with TLS-PSK, 1.2 and 1.3, beside what OpenSSL alone needs
  subs        one publisher, one subscriber; alone, then beside 10,000 connections with 10 other subscriptions each
  storm       1,000 TLS-PSK nodes are cut off and come back at once; one more client looks for pauses

 CoAP nodes, beside libcoap's coap-server (suts/*coap*.json):
  coap           --posting nodes, Confirmable requests of 64 bytes as fast as the answers come; each kind of --security
  coap-paced     the first of them, --rate requests a second
  coap-memory    RSS for each of --coap-nodes peers, DTLS sessions, OSCORE contexts in use, observers
  coap-contexts  RSS for each of --coap-nodes devices, with an OSCORE context and without, of which nothing was heard

OUTPUT   one JSON row per scenario, case and SUT on stdout (medians of --reps runs; --raw adds the runs); progress on stderr
EXAMPLE  baseline.py --sut suts/mosquitto-bridge.json --sut suts/sealgate.json --scenario matrix --scenario drain --table
NEEDS    mosquitto, openssl, build/ (make); coap-server-openssl for CoAP; cryptography for sealed, paho-mqtt for the unsealer; Linux, Python 3.11
"""
import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from measure import cpu_snapshot, cpu_used, memory, reset_peak, wake_ups, wake_ups_since
from rows import note, print_table, progress, summary
from coap import COAP_SCENARIOS, SECURITIES
from crowd import BROKER_SCENARIOS
from load import meter, run_load, start_load, start_suts, stop_suts
from spool import SPOOL_SCENARIOS
from services import Service, fresh, load_sut, make_upstream, write_crowd

HERE = os.path.dirname(os.path.abspath(__file__))
SEALED_NODES, PLAIN_NODES = 50, 1000
SEALED_DATA_BYTES = 24


def run_once(up, sut, args):
    pids, up_pids = sut.pids(), up.pids()
    before, up_before = cpu_snapshot(pids), cpu_snapshot(up_pids)
    r = run_load("--port", sut.port, *args)
    time.sleep(0.1)
    total, user, system = cpu_used(before, cpu_snapshot(pids))
    up_total = cpu_used(up_before, cpu_snapshot(up_pids))[0]
    n = max(r["delivered"], 1)
    r.update(cpu_us=total * 1e6 / n, user_us=user * 1e6 / n, sys_us=system * 1e6 / n,
             upstream_cpu_us=up_total * 1e6 / n)
    return r


# ---------------------------------------------------------------- scenarios

def compare(a, up, suts, scenario, case, args_of):
    """Alternates between the SUTs; one row each."""
    start_suts(a, up, suts)
    try:
        idle = {s.name: memory(s.pids(), "VmRSS") for s in suts}
        runs = {s.name: [] for s in suts}
        for rep in range(-1, a.reps):                    # -1: warm-up, not counted
            for s in suts:
                if rep == 0:
                    reset_peak(s.pids())
                r = run_once(up, s, args_of(s))
                progress(scenario, case, s, rep, r)
                if rep >= 0:
                    runs[s.name].append(r)
        peak = {s.name: memory(s.pids(), "VmHWM") for s in suts}
    finally:
        stop_suts(up, suts)
    for s in suts:
        yield summary(s, scenario, case, runs[s.name], idle[s.name], peak[s.name], a.raw)


def matrix(a, up, suts):
    for qos in a.qos or [0, 1]:
        for size in a.size or [32, 256, 4096]:
            for conns in a.conns:
                a.values["QOS"] = str(qos)
                n = a.messages if size < 4000 else a.messages // 3
                args = ["--qos", qos, "--size", size, "--conns", conns, "--messages", n, "--outstanding", a.outstanding,
                        "--window", a.window]
                yield from compare(a, up, fresh(a, suts), "matrix", f"qos{qos} {size}B {conns}c",
                                   lambda s, args=args: [*args, "--topic", s.spec["topic"], *meter(a, s.spec["filter"])])


def paced(a, up, suts):
    for qos in a.qos or [0, 1]:
        a.values["QOS"] = str(qos)
        args = ["--qos", qos, "--size", 256, "--conns", 50, "--rate", a.rate, "--messages", a.rate * 5]
        yield from compare(a, up, fresh(a, suts), "paced", f"qos{qos} 256B 50c {a.rate}/s",
                           lambda s, args=args: [*args, "--topic", s.spec["topic"], *meter(a, s.spec["filter"])])


def seal_script(a, *args):
    subprocess.run([a.values["PYTHON"], os.path.join(HERE, "seal.py"), *map(str, args)], check=True)


def sealed_args(a, sut, lines):
    args = ["--conns", SEALED_NODES, "--qos", 1, "--window", a.window, "--outstanding", a.outstanding,
            "--topic", sut.spec["sealed_topic"], *meter(a, sut.spec["sealed_filter"])]
    if "session_topic" not in sut.spec:
        return [*args, "--payload-file", lines]
    return [*args, "--seal", a.values["DEVICES"], "--id", sut.spec["sealed_id"], "--session-qos", a.session_qos,
            "--session-topic", sut.spec["session_topic"], "--size", SEALED_DATA_BYTES, "--messages", a.sealed_messages]


def sealed(a, up, suts):
    """Session IDs go on from message to message, so that every run needs a fresh SUT."""
    a.values["QOS"] = "1"
    seal_script(a, "devices", a.values["KEYS"], "--nodes", SEALED_NODES, "--id", "node-%d")
    cases = [("live", [s for s in suts if "session_topic" in s.spec])]
    cases += [(session, [s for s in suts if "session_topic" not in s.spec]) for session in a.session]
    lines = {session: os.path.join(a.root, f"{session}.lines") for session in a.session}
    for session, path in lines.items():
        seal_script(a, "lines", path, "--nodes", SEALED_NODES, "--count", a.sealed_messages, "--session", session,
                    "--data-bytes", SEALED_DATA_BYTES)
    rows = {}
    for rep in range(a.reps):
        for session, able in cases:
            a.values["SESSION"] = session
            for s in fresh(a, [s for s in able if "sealed_topic" in s.spec]):
                start_suts(a, up, [s])
                try:
                    idle = memory(s.pids(), "VmRSS")
                    r = run_once(up, s, sealed_args(a, s, lines.get(session)))
                    progress("sealed", session, s, rep, r)
                    _, runs, memories = rows.setdefault((s.name, session), (s, [], []))
                    runs.append(r)
                    memories.append((idle, memory(s.pids(), "VmHWM")))
                finally:
                    stop_suts(up, [s])
    for (_, session), (s, runs, memories) in rows.items():
        yield summary(s, "sealed", f"{session} {SEALED_NODES}c", runs, *[max(m) for m in zip(*memories)], a.raw)


def backlog(a, up, suts, scenario, kill_with):
    """drain, crash and restart: one SUT at a time, outside broker down while messages come in."""
    a.values["QOS"] = "1"
    for s in fresh(a, suts):
        start_suts(a, up, [s])
        run_load("--persist", *meter(a, s.spec["filter"]), "--expect", 1, "--sub-qos", 1, "--idle", 0.2)
        up.stop()
        time.sleep(1)
        pids = s.pids()
        rss_idle, before = memory(pids, "VmRSS"), cpu_snapshot(pids)
        fill = run_load("--port", s.port, "--topic", s.spec["topic"], "--conns", 50, "--size", 256, "--qos", 1,
                    "--messages", a.backlog, "--window", a.window)
        time.sleep(0.5)
        fill_cpu = cpu_used(before, cpu_snapshot(pids))[0]
        rss_full = memory(pids, "VmRSS")
        disk = subprocess.run(["du", "-sk", s.dir], capture_output=True, text=True, check=False).stdout.split()[0]
        restart_s = None
        if kill_with:
            time.sleep(a.settle)
            s.stop(kill_with)
            begin = time.monotonic()
            s.start(patience=90)
            restart_s = time.monotonic() - begin
        pids = s.pids()
        before = cpu_snapshot(pids)
        reader = start_load(*meter(a, s.spec["filter"]), "--sub-qos", 1, "--persist", "--reconnect",
                            "--expect", a.backlog, "--idle", a.drain_idle)
        up.start()
        got = json.loads(reader.communicate(timeout=330)[0])
        drain_cpu = cpu_used(before, cpu_snapshot(pids))[0]
        rss_peak = memory(pids, "VmHWM")
        stop_suts(up, [s])
        n, span = max(got["delivered"], 1), got.get("last_s", 0) - got.get("first_s", 0)
        yield {"scenario": scenario, "sut": s.name,
               "case": f"{a.backlog} x 256B" + (f" settle {a.settle:g} s" if kill_with else ""),
               "acked": fill["acked"], "ack_rate": fill["ack_rate"],
               "fill_cpu_us": round(fill_cpu * 1e6 / max(fill["acked"], 1), 2),
               "drain_cpu_us": round(drain_cpu * 1e6 / n, 2), "drain_s": round(span, 3),
               "drain_rate": round(n / span) if span > 0 else None, "first_s": got.get("first_s"),
               "delivered": got["delivered"], "lost": fill["acked"] - got["delivered"],
               "duplicates": got["duplicates"], "restart_s": restart_s and round(restart_s, 2),
               "rss_idle_kb": rss_idle, "rss_full_kb": rss_full, "rss_peak_kb": rss_peak, "disk_full_kb": int(disk)}


def kill(a, up, suts):
    a.values["QOS"] = "1"
    for s in fresh(a, suts):
        start_suts(a, up, [s])
        p = start_load("--port", s.port, "--topic", s.spec["topic"], "--conns", 50, "--size", 256, "--rate", 5000,
                       "--messages", 30000, "--reconnect", "--persist", "--idle", a.drain_idle, *meter(a, s.spec["filter"]))
        p.stderr.readline()
        time.sleep(2)
        broker = up.procs[0]
        broker.send_signal(signal.SIGSTOP)
        time.sleep(1)
        s.stop(signal.SIGKILL)
        s.start(patience=90)
        broker.send_signal(signal.SIGCONT)
        r = json.loads(p.communicate(timeout=330)[0])
        stop_suts(up, [s])
        yield {"scenario": "kill", "case": "5000/s, 1 s stall, SIGKILL", "sut": s.name,
               **{k: r[k] for k in ("sent", "acked", "delivered", "lost", "lost_unacked", "duplicates",
                                    "out_of_order", "last_s")}}


def conns(a, up, suts):
    a.values["QOS"] = "1"
    for s in fresh(a, suts):
        start_suts(a, up, [s])
        pids = s.pids()
        row = {"scenario": "conns", "case": "idle connections", "sut": s.name, "rss_idle_kb": memory(pids, "VmRSS")}
        for n in (1000, 10000):
            before = cpu_snapshot(pids)
            p = start_load("--port", s.port, "--conns", n, "--hold", 6)
            p.stderr.readline()
            time.sleep(1)
            rss, cpu = memory(pids, "VmRSS"), cpu_used(before, cpu_snapshot(pids))[0]
            p.communicate()
            row[f"rss_{n}_kb"] = None if p.returncode else rss
            row[f"connect_cpu_us_{n}"] = round(cpu * 1e6 / n, 1)
            time.sleep(1)
        stop_suts(up, [s])
        yield row


def idle(a, up, suts, seconds=10):
    a.values["QOS"] = "1"
    for s in fresh(a, suts):
        start_suts(a, up, [s])
        time.sleep(8)                                  # threads of the start are gone by then
        pids = s.pids()
        woke, cpu = wake_ups(pids), cpu_snapshot(pids)
        time.sleep(seconds)
        woke, used = wake_ups_since(woke, wake_ups(pids)), cpu_used(cpu, cpu_snapshot(pids))[0]
        rss = memory(pids, "VmRSS")
        stop_suts(up, [s])
        yield {"scenario": "idle", "case": f"{seconds} s", "sut": s.name, "rss_idle_kb": rss,
               "wakeups_per_s": round(woke / seconds, 1), "cpu_ms_per_s": round(used * 1e3 / seconds, 3)}


SCENARIOS = {
    "matrix": matrix, "paced": paced, "sealed": sealed, "conns": conns, "idle": idle, "kill": kill,
    "drain": lambda *x: backlog(*x, "drain", None),
    "crash": lambda *x: backlog(*x, "crash", signal.SIGKILL),
    "restart": lambda *x: backlog(*x, "restart", signal.SIGTERM),
    **SPOOL_SCENARIOS, **BROKER_SCENARIOS, **COAP_SCENARIOS,
}


# ---------------------------------------------------------------- main

def numbers(text):
    return [int(x) for x in text.split(",")]


def options():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--sut", action="append", required=True, help="a SUT file, see README.md; repeatable")
    ap.add_argument("--scenario", action="append", choices=list(SCENARIOS))
    ap.add_argument("--define", action="append", default=[], metavar="NAME=VALUE", help="for @NAME@ in SUT files")
    ap.add_argument("--mosquitto", default="mosquitto", help="program of the outside broker, and @MOSQUITTO@")
    ap.add_argument("--base-port", type=int, default=28800)
    ap.add_argument("--reps", type=int, default=3)
    ap.add_argument("--messages", type=int, default=60000)
    ap.add_argument("--sealed-messages", type=int, default=20000)
    ap.add_argument("--backlog", type=int, default=100000)
    ap.add_argument("--million", type=int, default=1000000)
    ap.add_argument("--drain-idle", type=float, default=20,
                    help="give up when nothing arrives for so many seconds; longer than any reconnect delay")
    ap.add_argument("--settle", type=float, default=0, help="crash, restart: seconds from last ack to kill")
    ap.add_argument("--outstanding", type=int, default=1000)
    ap.add_argument("--window", type=int, default=20)
    ap.add_argument("--rate", type=int, default=2000)
    ap.add_argument("--qos", type=numbers, help="matrix, paced: 0,1; fanin, fanout: 0,1,2; subs: 0,1")
    ap.add_argument("--size", type=numbers, help="matrix: 32,256,4096; as a broker: 256")
    ap.add_argument("--conns", type=numbers, default=[1, 50, 1000])
    ap.add_argument("--session", type=lambda t: t.split(","), default=["fixed"], help="fixed, chain or both")
    ap.add_argument("--session-qos", type=int, choices=[0, 1], default=0, help="live: of the nodes' subscriptions")
    ap.add_argument("--protocol", type=int, choices=[4, 5], default=4, help="as a broker: MQTT 3.1.1 or 5.0")
    ap.add_argument("--nodes", type=int, default=10000, help="as a broker: most connections")
    ap.add_argument("--security", action="append", choices=SECURITIES, help="CoAP, repeatable; all of them")
    ap.add_argument("--requests", type=int, default=100000, help="CoAP: of a run")
    ap.add_argument("--posting", type=numbers, default=[50, 1000], help="CoAP: nodes that post")
    ap.add_argument("--coap-nodes", type=int, default=1000, help="CoAP: nodes that only sit there")
    ap.add_argument("--raw", action="store_true")
    ap.add_argument("--table", action="store_true", help="Markdown tables at the end")
    ap.add_argument("--keep", action="store_true", help="keep the work directory")
    return ap.parse_args()


def main():
    a = options()
    a.root = tempfile.mkdtemp(prefix="sealgate-bench-")
    os.chmod(a.root, 0o755)
    a.values = {"BENCH": HERE, "PYTHON": sys.executable, "QOS": "1", "SESSION": "fixed", "CRYPTO": "cryptography",
                "GATEWAY": os.path.join(HERE, "../.build/release/sealgate"), "MOSQUITTO": a.mosquitto,
                "UP_PLAIN": str(a.base_port), "UP_PSK": str(a.base_port + 1), "UP_TLS": str(a.base_port + 2),
                "CA": os.path.join(a.root, "upstream", "ca.crt"),
                "KEYS": os.path.join(a.root, "keys.toml"), "DEVICES": os.path.join(a.root, "devices.toml"),
                "PSKS": os.path.join(a.root, "psks"), "CROWD": os.path.join(a.root, "crowd.toml"),
                "COAP_DEVICES": os.path.join(a.root, "coap.toml"), "OSCORE_CONTEXTS": os.path.join(a.root, "contexts")}
    a.values.update(d.split("=", 1) for d in a.define)
    a.next_port = a.base_port + 9 + os.getpid() % 150      # not the ports of the run before
    rows = []
    try:
        up = make_upstream(a)
        suts = [load_sut(a, os.path.abspath(path), i) for i, path in enumerate(a.sut)]
        write_crowd(a, a.nodes)
        if any("@DEVICES@" in part for s in suts for command in s.prepare for part in command):
            seal_script(a, "devices", a.values["DEVICES"], "--nodes", SEALED_NODES, "--plain", PLAIN_NODES)
        for scenario in a.scenario or ["matrix"]:
            through = SCENARIOS.keys() - BROKER_SCENARIOS.keys() - COAP_SCENARIOS.keys()
            able = [s for s in suts if scenario in s.spec.get("scenarios", through)]
            for row in SCENARIOS[scenario](a, up, able):
                rows.append(row)
                print(json.dumps(row), flush=True)
    finally:
        for s in list(Service.running):
            s.stop()
        if a.keep:
            note(f"kept {a.root}")
        else:
            shutil.rmtree(a.root, ignore_errors=True)
    if a.table:
        print_table(rows)


if __name__ == "__main__":
    main()
