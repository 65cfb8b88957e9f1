"""Scenarios with CoAP nodes (coapcrowd), beside libcoap's coap-server."""
import hashlib
import json
import os
import subprocess
import time

from load import meter, start_load, start_suts, stop_suts, wait_ready
from measure import bytes_written, cpu_snapshot, cpu_used, memory
from rows import median, note
from services import PSK_HEX, fresh, write_private

COAP_CROWD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "build", "coapcrowd")
IN_CLEAR, CCM_8, GCM, OSCORE = "plain", "DTLS CCM_8", "DTLS GCM", "OSCORE"
SUITES = {CCM_8: "PSK-AES128-CCM8", GCM: "PSK-AES128-GCM-SHA256"}
OSCORE_RECIPIENT_ID = "00"      # the server's


class CoapCrowd:
    """A coapcrowd whose nodes are open; each run() is one run of it."""

    def __init__(self, sut, security, nodes, first=0, observes=False, options=()):
        spec = sut.spec["coap"]
        args = ["--port", sut.fill(spec["dtls_port"] if security in SUITES else spec["port"]), "--method", spec["method"],
                "--nodes", nodes, "--first", first, "--path", spec["path"], *options]
        if observes:
            args += ["--observe", "--port", sut.fill(spec["observe_port"]), "--path", spec["observe_path"]]
        if security in SUITES:
            args += ["--psk", spec["psk"], "--suites", SUITES[security]]
        if security == OSCORE:
            args += ["--oscore", sut.values["OSCORE_CONTEXTS"]]
        self.sut = sut
        self.process = subprocess.Popen([COAP_CROWD, *map(str, args)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        said = self.process.stderr.readline()
        if not said.startswith('{"event":"ready"'):
            raise RuntimeError(f"{sut.name}: {' '.join(self.process.args)}: {said.strip()}, see {sut.dir}")
        self.ready = json.loads(said)

    def run(self):
        """The result, with the server's CPU time for each answered request, forwarding included."""
        pids = self.sut.pids()
        before, written = cpu_snapshot(pids), bytes_written(pids)
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.sut.name}: {self.process.stderr.read().strip()}, see {self.sut.dir}")
        wait_idle(pids)
        total, user, system = cpu_used(before, cpu_snapshot(pids))
        r = json.loads(line)
        n = max(r["answered"], 1)
        r.update(cpu_us=total * 1e6 / n, user_us=user * 1e6 / n, sys_us=system * 1e6 / n,
                 crowd_cpu_us=r["self_cpu_s"] * 1e6 / n, bytes_per_message=(bytes_written(pids) - written) / n)
        return r

    def close(self):
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()
        self.process.stderr.close()


def wait_idle(pids, step=0.2, patience=20):
    """Until what was acknowledged is forwarded as well: the processes do nothing more to speak of."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        before = cpu_snapshot(pids)
        time.sleep(step)
        if cpu_used(before, cpu_snapshot(pids))[0] < 0.02 * step:
            return


def derived(label, characters):
    return hashlib.sha256(label.encode()).hexdigest()[:characters]


def write_devices(a, nodes, oscore):
    """The devices node-0 to node-(nodes - 1), and their OSCORE contexts as coapcrowd reads them."""
    devices, contexts = [], []
    for i in range(nodes):
        secret, salt, sender = derived(f"secret {i}", 32), derived(f"salt {i}", 16), f"{i:08x}"
        devices.append(f'[[device]]\nid = "node-{i}"\nprofile = "bench"\npsk = "hex:{PSK_HEX}"\n')
        if oscore:
            devices.append(f'oscore_secret = "hex:{secret}"\noscore_salt = "hex:{salt}"\noscore_sender_id = "hex:{sender}"\n'
                           f'oscore_recipient_id = "hex:{OSCORE_RECIPIENT_ID}"\n')
            contexts.append(f"{secret} {salt} {sender} {OSCORE_RECIPIENT_ID} -\n")
    write_private(a.values["COAP_DEVICES"], "".join(devices))
    write_private(a.values["OSCORE_CONTEXTS"], "".join(contexts))


# ------------------------------------------------------------------------ requests

def counted(a, sut, crowd):
    """A run whose messages are counted behind the gateway as well."""
    if "filter" not in sut.spec:
        return crowd.run()
    reader = start_load(*meter(a, sut.spec["filter"]), "--sub-qos", 1, "--expect", a.requests, "--idle", 5)
    wait_ready(reader)
    r = crowd.run()
    got = json.loads(reader.communicate(timeout=330)[0])
    r.update(lost=r["answered"] - got["delivered"], duplicates=got["duplicates"])
    return r


def requests(a, up, suts, scenario, nodes, options, text):
    """The systems take turns, their nodes stay open; one row for each and each kind of protection."""
    text = f"POST 64B {nodes} nodes{text}"
    for security in a.security or SECURITIES:
        a.values["QOS"] = "1"
        write_devices(a, nodes, security == OSCORE)
        able = fresh(a, [s for s in suts if security in s.spec["coap"]["security"]])
        crowds = []
        try:
            up.start()
            for s in able:
                s.start()
            for s in able:
                crowds.append(CoapCrowd(s, security, nodes, options=options))
            runs = {s.name: [] for s in able}
            checked = {}
            for rep in range(-1, a.reps):                # -1: warm-up, not measured, but counted outside
                for crowd in crowds:
                    r = crowd.run() if rep >= 0 else counted(a, crowd.sut, crowd)
                    note(f"{scenario} {security} {text} {crowd.sut.name} {rep}: {r['cpu_us']:.2f} us, {r['rate']}/s, "
                         f"{r['failures']} failures {r['failure']}, lost {r.get('lost', '-')}")
                    if rep >= 0:
                        runs[crowd.sut.name].append(r)
                    else:
                        checked[crowd.sut.name] = r
        finally:
            for crowd in crowds:
                crowd.close()
            stop_suts(up, able)
        for s in able:
            yield request_row(a, s, scenario, f"{security} {text}", runs[s.name], checked[s.name])


def request_row(a, sut, scenario, case, runs, checked):
    row = {"scenario": scenario, "case": case, "sut": sut.name}
    for key, digits in (("cpu_us", 2), ("user_us", 2), ("sys_us", 2), ("rate", 0), ("crowd_cpu_us", 2), ("bytes_per_message", 0)):
        row[key] = median([r[key] for r in runs], digits)
    row["cpu_us_range"] = [round(pick(r["cpu_us"] for r in runs), 2) for pick in (min, max)]
    row["lat_ms"] = {q: median([r["lat_ms"][q] for r in runs if "lat_ms" in r], 3) for q in ("p50", "p99", "p99.9")}
    for key in ("sent", "answered", "failures", "retransmissions", "unverified", "strays"):
        row[key] = sum(r[key] for r in [*runs, checked])
    row.update({key: checked[key] for key in ("lost", "duplicates") if key in checked})
    row["reps"] = len(runs)
    if a.raw:
        row["runs"] = runs
    return row


def coap(a, up, suts):
    for nodes in a.posting:
        yield from requests(a, up, suts, "coap", nodes, ["--requests", a.requests], "")


def coap_paced(a, up, suts):
    a = type(a)(**{**vars(a), "requests": a.rate * 5})
    yield from requests(a, up, suts, "coap-paced", a.posting[0], ["--requests", a.requests, "--rate", a.rate], f" {a.rate}/s")


# -------------------------------------------------------------------------- memory

def kept(a, sut, scenario, case, security, observes=False):
    """Nodes that are open and silent. One's share is that of those behind the first tenth: what is there once is not counted."""
    tenth = a.coap_nodes // 10
    sut.start()
    crowds = []
    try:
        time.sleep(1)
        row = {"scenario": scenario, "case": f"{a.coap_nodes} {case}", "sut": sut.name, "rss_idle_kb": memory(sut.pids(), "VmRSS")}
        for name, nodes, first in (("rss_tenth_kb", tenth, 0), ("rss_all_kb", a.coap_nodes - tenth, tenth)):
            before = cpu_snapshot(sut.pids())
            crowds.append(CoapCrowd(sut, security, nodes, first, observes, ["--burst", 20]))
            time.sleep(2)
            row[name] = memory(sut.pids(), "VmRSS")
            row["open_cpu_us"] = round(cpu_used(before, cpu_snapshot(sut.pids()))[0] * 1e6 / nodes, 1)
        row["kb_each"] = round((row["rss_all_kb"] - row["rss_tenth_kb"]) / (a.coap_nodes - tenth), 2)
    finally:
        for crowd in crowds:
            crowd.close()
        sut.stop()
    note(f"{scenario} {row['case']} {sut.name}: {row['kb_each']} KB each")
    return row


def coap_memory(a, up, suts):
    """A peer that posted once; with a DTLS session; with an OSCORE context in use; with an observation."""
    cases = [("plain peers", IN_CLEAR, False), ("DTLS sessions", CCM_8, False), ("OSCORE contexts used", OSCORE, False),
             ("plain observers", IN_CLEAR, True)]
    for case, security, observes in cases:
        write_devices(a, a.coap_nodes, security == OSCORE)
        for s in fresh(a, suts):
            if security in s.spec["coap"]["security"] and (not observes or "observe_path" in s.spec["coap"]):
                yield kept(a, s, "coap-memory", case, security, observes)


def coap_contexts(a, up, suts):
    """What a device costs that is only known: with an OSCORE context of its own, and without."""
    tenth = a.coap_nodes // 10
    for case, with_oscore in (("devices", False), ("devices with an OSCORE context, unused", True)):
        for sut in suts:
            if OSCORE not in sut.spec["coap"]["security"]:
                continue
            rss = []
            for nodes in (tenth, a.coap_nodes):
                write_devices(a, nodes, with_oscore)
                s = fresh(a, [sut])[0]
                s.start()
                time.sleep(2)
                rss.append(memory(s.pids(), "VmRSS"))
                s.stop()
            each = round((rss[1] - rss[0]) / (a.coap_nodes - tenth), 2)
            note(f"coap-contexts {a.coap_nodes} {case} {sut.name}: {each} KB each")
            yield {"scenario": "coap-contexts", "case": f"{a.coap_nodes} {case}", "sut": sut.name, "rss_tenth_kb": rss[0],
                   "rss_all_kb": rss[1], "kb_each": each}


COAP_SCENARIOS = {"coap": coap, "coap-paced": coap_paced, "coap-memory": coap_memory, "coap-contexts": coap_contexts}
SECURITIES = [IN_CLEAR, CCM_8, GCM, OSCORE]
