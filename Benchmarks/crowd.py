"""Scenarios with the SUT as a broker: all clients are mqttcrowd's, there is no outside broker."""
import json
import os
import subprocess
import time

from measure import cpu_snapshot, cpu_used, memory, reset_peak
from rows import note, progress, summary
from services import fresh

CROWD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "build", "mqttcrowd")
MANY, SOURCE_ADDRESSES = 1000, 16


class Crowd:
    """A mqttcrowd with its clients connected to a SUT; each run() is one run of it."""

    def __init__(self, a, sut, *args):
        command = sut.command([CROWD, "--port", "@PORT@", "--protocol", a.protocol, "--addresses", SOURCE_ADDRESSES, *args])
        self.sut = sut
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        said = []
        while not (said and said[-1].startswith('{"event":"ready"')):
            said.append(self.process.stderr.readline())
            if not said[-1]:
                raise RuntimeError(f"{sut.name}: {' '.join(self.process.args)}: {''.join(said).strip()}")
        self.ready = json.loads(said[-1])

    def run(self):
        """The result, with CPU time for each delivered message."""
        pids = self.sut.pids()
        before = cpu_snapshot(pids)
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.sut.name}: {self.process.stderr.read().strip()}, see {self.sut.dir}")
        time.sleep(0.1)
        total, user, system = cpu_used(before, cpu_snapshot(pids))
        r = json.loads(line)
        n = max(r.get("delivered", 0), 1)
        r.update(cpu_us=total * 1e6 / n, user_us=user * 1e6 / n, sys_us=system * 1e6 / n)
        return r

    def close(self):
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()
        self.process.stderr.close()


def compare(a, suts, scenario, case, *args):
    """Alternates between the SUTs, whose clients stay connected; one row each."""
    suts = fresh(a, suts)
    crowds = []
    try:
        idle = {}
        for s in suts:
            s.start()
            idle[s.name] = memory(s.pids(), "VmRSS")
            crowds.append(Crowd(a, s, *args))
        runs = {s.name: [] for s in suts}
        for rep in range(-1, a.reps):                    # -1: warm-up, not counted
            for crowd in crowds:
                if rep == 0:
                    reset_peak(crowd.sut.pids())
                r = crowd.run()
                progress(scenario, case, crowd.sut, rep, r)
                if rep >= 0:
                    runs[crowd.sut.name].append(r)
        peak = {s.name: memory(s.pids(), "VmHWM") for s in suts}
    finally:
        for crowd in crowds:
            crowd.close()
        for s in suts:
            s.stop()
    for s in suts:
        row = summary(s, scenario, case, runs[s.name], idle[s.name], peak[s.name], a.raw)
        row["granted_qos"] = min(r["granted_qos"] for r in runs[s.name])
        yield row


def version(a):
    return " 5.0" if a.protocol == 5 else ""


def fanin(a, up, suts):
    for qos in a.qos or [0, 1, 2]:
        for size in a.size or [256]:
            for under_way in (20, 1000):
                case = f"qos{qos} {size}B {MANY} to 1, {under_way} under way{version(a)}"
                yield from compare(a, suts, "fanin", case, "--publishers", MANY, "--subscribers", 1, "--qos", qos, "--size",
                                   size, "--messages", a.messages, "--outstanding", under_way)


def fanout(a, up, suts):
    for qos in a.qos or [0, 1, 2]:
        for size in a.size or [256]:
            for under_way in (1, 20):
                case = f"qos{qos} {size}B 1 to {MANY}, {under_way} under way{version(a)}"
                yield from compare(a, suts, "fanout", case, "--publishers", 1, "--subscribers", MANY, "--qos", qos,
                                   "--size", size, "--messages", max(a.messages * 2 // MANY, 1), "--outstanding", under_way)


def openssl_alone(tls):
    out = subprocess.run([CROWD, "--tls-floor", "1000", "--tls", tls], capture_output=True, text=True, check=True)
    return json.loads(out.stdout)["openssl_kb"]


def idle_connections(a, suts, scenario, case, *args):
    """A connection's share is that of those between the first tenth and all: what is there once is not counted."""
    for s in fresh(a, suts):
        s.start()
        try:
            time.sleep(1)
            row = {"scenario": scenario, "case": case, "sut": s.name, "rss_idle_kb": memory(s.pids(), "VmRSS")}
            for n in (a.nodes // 10, a.nodes):
                before = cpu_snapshot(s.pids())
                crowd = Crowd(a, s, "--crowd", n, *args)
                time.sleep(2)
                row[f"rss_{n}_kb"] = memory(s.pids(), "VmRSS")
                row[f"connect_cpu_us_{n}"] = round(cpu_used(before, cpu_snapshot(s.pids()))[0] * 1e6 / n, 1)
                crowd.close()
                time.sleep(1)
            grown = row[f"rss_{a.nodes}_kb"] - row[f"rss_{a.nodes // 10}_kb"]
            row["kb_a_connection"] = round(grown / (a.nodes - a.nodes // 10), 2)
        finally:
            s.stop()
        note(f"{scenario} {case} {s.name}: {row['kb_a_connection']} KB a connection")
        yield row


def idle_plain(a, up, suts):
    yield from idle_connections(a, suts, "idle-plain", f"{a.nodes}{version(a)}")


def idle_tls(a, up, suts):
    for tls in ("1.2", "1.3"):
        alone = openssl_alone(tls)
        for s in suts:
            for row in idle_connections(a, [s], "idle-tls", f"{a.nodes} TLS {tls}{version(a)}", "--tls-port", "@TLS_PORT@",
                                        "--tls", tls):
                yield dict(row, openssl_kb=alone)


def subs(a, up, suts, filters=10):
    """The others' subscriptions are in the same branch, and a thousand topics in turn leave no result to keep."""
    for qos in a.qos or [0, 1]:
        for beside in (0, a.nodes):
            case = f"qos{qos} 1 to 1, beside {beside} connections, {beside * filters} subscriptions{version(a)}"
            yield from compare(a, suts, "subs", case, "--publishers", 1, "--subscribers", 1, "--topics", 1000,
                               "--crowd", beside, "--filters", filters, "--crowd-filter", "s/%d/x", "--qos", qos,
                               "--size", (a.size or [256])[0], "--messages", a.messages, "--outstanding", 100)


def storm(a, up, suts):
    for tls in ("1.2", "1.3"):
        for s in fresh(a, suts):
            s.start()
            try:
                crowd = Crowd(a, s, "--storm", "--crowd", MANY, "--tls-port", "@TLS_PORT@", "--tls", tls)
                runs = []
                for rep in range(a.reps):
                    time.sleep(2)                        # calm, to compare with
                    runs.append(crowd.run())
                    note(f"storm TLS {tls} {s.name} {rep}: back after {runs[-1]['back_s']} s, "
                         f"longest pause {runs[-1]['storm']['ms']['max']} ms, {runs[-1]['failures']} failures")
                crowd.close()
            finally:
                s.stop()
            row = {"scenario": "storm", "case": f"{MANY} TLS {tls}{version(a)}", "sut": s.name,
                   "back_s": [pick(r["back_s"] for r in runs) for pick in (min, max)],
                   "pause_ms": max(r["storm"]["ms"]["max"] for r in runs),
                   "calm_ms": max(r["calm"]["ms"]["max"] for r in runs),
                   "late_ms": max(r["storm"]["late_ms"] for r in runs),
                   "failures": sum(r["failures"] for r in runs), "missing": sum(r["missing"] for r in runs),
                   "connect_cpu_us": round(sum(r["cpu_us"] for r in runs) / len(runs) / MANY, 1), "reps": len(runs)}
            if a.raw:
                row["runs"] = runs
            yield row


BROKER_SCENARIOS = {"fanin": fanin, "fanout": fanout, "idle-plain": idle_plain, "idle-tls": idle_tls, "subs": subs,
                    "storm": storm}
