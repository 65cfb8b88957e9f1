"""Scenarios about the spool: a backlog that memory could not hold, and what a message costs the disk."""
import json
import signal
import threading
import time

from load import meter, run_load, start_load, start_suts, stop_suts, wait_ready
from measure import bytes_written, cpu_snapshot, cpu_used, memory
from rows import progress
from services import fresh

LIVE_NODE, LIVE_RATE = 999, 50


class MemoryWatch(threading.Thread):
    """Looks at the RSS of some processes every half second."""

    def __init__(self, pids):
        super().__init__(daemon=True)
        self.pids, self.kilobytes, self.over = pids, [], threading.Event()
        self.start()

    def run(self):
        while not self.over.wait(0.5):
            self.kilobytes.append(memory(self.pids, "VmRSS"))

    def stop(self):
        self.over.set()
        self.join()

    def series(self, points=12):
        """From beginning to end, as many as fit into a row."""
        step = max(1, len(self.kilobytes) // points)
        return self.kilobytes[::step]


def million(a, up, suts):
    """The outside broker is away for --million messages; then the backlog drains beside live traffic."""
    a.values["QOS"] = "1"
    for s in fresh(a, suts):
        backlog = s.spec["topic"].replace("node-%d", "+")
        topic = s.spec["topic"].replace("%d", str(LIVE_NODE)).rsplit("/", 1)[0] + "/live"
        start_suts(a, up, [s])
        pids = s.pids()
        live = run_load("--port", s.port, "--topic", s.spec["topic"], "--conns", 50, "--size", 256, "--qos", 1,
                        "--messages", a.messages, "--outstanding", a.outstanding, "--window", a.window,
                        *meter(a, s.spec["filter"]))
        run_load("--persist", *meter(a, backlog), "--expect", 1, "--sub-qos", 1, "--idle", 0.2)
        rss_idle = memory(pids, "VmRSS")
        up.stop()
        watch = MemoryWatch(pids)
        fill = run_load("--port", s.port, "--topic", s.spec["topic"], "--conns", 50, "--size", 256, "--qos", 1,
                        "--messages", a.million, "--window", a.window, "--timeout", 3000, timeout=3060)
        filled = len(watch.kilobytes)
        reader = start_load(*meter(a, backlog), "--sub-qos", 1, "--persist", "--reconnect",
                            "--expect", a.million, "--idle", a.drain_idle, "--timeout", 3000)
        up.start()
        ready = wait_ready(reader)
        before = cpu_snapshot(pids)
        # Messages of now beside those of yesterday: how long does the first one take once the link is back?
        fresh_ones = start_load("--port", s.port, "--topic", topic, "--id", f"node-{LIVE_NODE}", "--conns", 1, "--size", 64,
                                "--qos", 1, "--rate", LIVE_RATE, "--timeout", 3000, "--messages", LIVE_RATE * 3000, "--idle", a.drain_idle,
                                "--sub", "127.0.0.1", a.base_port, topic, "--sub-id", "meter-live")
        fresh_ready = wait_ready(fresh_ones)
        got = json.loads(reader.communicate(timeout=3060)[0])
        drain_cpu = cpu_used(before, cpu_snapshot(pids))[0]
        fresh_ones.send_signal(signal.SIGTERM)
        newest = json.loads(fresh_ones.communicate(timeout=3060)[0])
        watch.stop()
        stop_suts(up, [s])
        n, span = max(got["delivered"], 1), got.get("last_s", 0) - got.get("first_s", 0)
        back = ready + got.get("first_s", 0)
        drain_rate = round(n / span) if span > 0 else None
        yield {"scenario": "million", "case": f"{a.million} x 256B", "sut": s.name,
               "acked": fill["acked"], "ack_rate": fill["ack_rate"], "delivered": got["delivered"],
               "lost": fill["acked"] - got["delivered"], "duplicates": got["duplicates"],
               "live_rate": live["e2e_rate"], "drain_rate": drain_rate, "drain_s": round(span, 1),
               "drain_cpu_us": round(drain_cpu * 1e6 / n, 2),
               "first_live_s": round(fresh_ready + newest.get("first_s", 0) - back, 3),
               "live_lat_ms": newest.get("lat_ms"), "live_lost": newest["lost"],
               "rss_idle_kb": rss_idle, "rss_full_kb": max(watch.kilobytes[:filled], default=None),
               "rss_peak_kb": max(watch.kilobytes, default=None), "rss_series_kb": watch.series()}


def written(a, up, suts):
    """Bytes that go to the disk for each message while the link is well."""
    a.values["QOS"] = "1"
    args = ["--qos", 1, "--size", 256, "--conns", 50, "--rate", a.rate, "--messages", a.rate * 10]
    for s in fresh(a, suts):
        start_suts(a, up, [s])
        everything = [*args, "--topic", s.spec["topic"], *meter(a, s.spec["filter"])]
        run_load("--port", s.port, *everything)
        time.sleep(2)                                   # what is written late belongs to the messages before
        pids = s.pids()
        before, cpu = bytes_written(pids), cpu_snapshot(pids)
        r = run_load("--port", s.port, *everything)
        time.sleep(2)
        count, used = bytes_written(pids) - before, cpu_used(cpu, cpu_snapshot(pids))[0]
        stop_suts(up, [s])
        n = max(r["delivered"], 1)
        r["cpu_us"] = used * 1e6 / n
        progress("written", f"{a.rate}/s", s, 0, r)
        yield {"scenario": "written", "case": f"qos1 256B 50c {a.rate}/s", "sut": s.name,
               "bytes_per_message": round(count / n, 1), "cpu_us": round(r["cpu_us"], 2),
               "lat_ms": r.get("lat_ms"), "ack_ms": r.get("ack_ms"), "acked": r["acked"], "lost": r["lost"]}


SPOOL_SCENARIOS = {"million": million, "written": written}
