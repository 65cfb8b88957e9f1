"""mqttload, the load generator and meter; and systems under test that forward to the outside broker."""
import json
import os
import subprocess
import time

LOAD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "build", "mqttload")


def run_load(*args, timeout=330):
    out = subprocess.run([LOAD, *map(str, args)], capture_output=True, text=True, timeout=timeout, check=False)
    if out.returncode == 2 or not out.stdout.strip():
        raise RuntimeError(f"mqttload {' '.join(map(str, args))}: {out.stderr.strip()}")
    return json.loads(out.stdout)


def start_load(*args):
    """Beside us; communicate() ends in the result, the first line of stderr says that all are connected."""
    return subprocess.Popen([LOAD, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_ready(process):
    """When the started mqttload was ready, by the monotonic clock."""
    line = process.stderr.readline()
    if not line:
        raise RuntimeError(f"{' '.join(process.args)}: no ready line")
    return time.monotonic()


def meter(a, mqtt_filter):
    return ["--sub", "127.0.0.1", a.base_port, mqtt_filter]


def wait_forwarding(a, sut):
    """Until a message gets through to the outside broker."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        r = run_load("--port", sut.port, "--topic", sut.spec["topic"], "--messages", 1, "--idle", 0.5,
                 *meter(a, sut.spec["filter"]))
        if r["delivered"]:
            time.sleep(0.3)
            return
    raise RuntimeError(f"{sut.name}: nothing reaches the outside broker, see {sut.dir}")


def start_suts(a, up, suts):
    up.start()
    for s in suts:
        s.start()
    for s in suts:
        wait_forwarding(a, s)


def stop_suts(up, suts):
    for s in suts:
        s.stop()
    up.stop()
