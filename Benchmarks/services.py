"""The processes of a run: the outside broker, and the systems under test (SUTs)."""
import json
import os
import shutil
import signal
import socket
import subprocess
import time

from measure import tree

PSK_ID, PSK_HEX = "edge-1", "00112233445566778899aabbccddeeff"
PORTS = 200  # from base_port: the outside broker's first, then the SUTs'; their TLS listeners are PORTS higher

UPSTREAM_CONF = """
per_listener_settings true
persistence true
persistence_location @DIR@/
max_queued_messages 0
max_inflight_messages 1000
set_tcp_nodelay true
log_dest file @DIR@/upstream.txt
listener @UP_PLAIN@ 127.0.0.1
allow_anonymous true
listener @UP_PSK@ 127.0.0.1
allow_anonymous true
psk_hint bench
psk_file @DIR@/psk
listener @UP_TLS@ 127.0.0.1
allow_anonymous true
certfile @DIR@/up.crt
keyfile @DIR@/up.key
"""


def wait_port(port, seconds=15.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"nothing listens on port {port}")


def stop_process(process, sig=signal.SIGTERM):
    if process.poll() is not None:
        return
    process.send_signal(sig)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Service:
    """Some processes with configuration files in one directory. @NAME@ in files and commands is replaced."""

    running = set()

    def __init__(self, name, directory, spec, port, values):
        self.name, self.dir, self.port = name, directory, port
        self.processes, self.prepare = spec["processes"], spec.get("prepare", [])
        self.values = dict(values, DIR=directory, PORT=str(port))
        self.procs = []
        os.makedirs(directory, exist_ok=True)
        for file_name, lines in spec.get("files", {}).items():
            path = os.path.join(directory, file_name)
            with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="utf-8") as f:
                f.write("\n".join(self.fill(line) for line in lines) + "\n")

    def fill(self, text):
        for key, value in self.values.items():
            text = text.replace(f"@{key}@", value)
        return text

    def command(self, parts):
        return [self.fill(str(part)) for part in parts]

    def start(self, patience=0.0):
        """With patience, a process that ends at once is tried again for so many seconds."""
        for parts in self.prepare:
            done = subprocess.run(self.command(parts), cwd=self.dir, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"{self.name}: {' '.join(done.args)}: {done.stderr.strip()}")
        self.prepare = []  # once in the life of a directory
        self.procs = []
        Service.running.add(self)
        for process in self.processes:
            self.procs.append(self.start_process(process, patience))
            wait_port(self.port)
        time.sleep(0.3)
        for process, started in zip(self.processes, self.procs):
            if started.poll() is not None:
                raise RuntimeError(f"{self.name}: {process['name']} ended at once, see {self.dir}")

    def start_process(self, process, patience):
        give_up = time.monotonic() + patience
        while True:
            with open(os.path.join(self.dir, process["name"] + ".log"), "ab") as log:
                started = subprocess.Popen(self.command(process["cmd"]), cwd=self.dir, stdin=subprocess.DEVNULL,
                                           stdout=log, stderr=log)
            time.sleep(0.3)
            if started.poll() is None or time.monotonic() > give_up:
                return started
            time.sleep(0.7)

    def stop(self, sig=signal.SIGTERM):
        for process in reversed(self.procs):
            stop_process(process, sig)
        Service.running.discard(self)

    def pids(self):
        return [pid for process in self.procs for pid in tree(process.pid)]


def make_certificates(directory):
    def openssl(*args):
        subprocess.run(["openssl", *args], cwd=directory, check=True, capture_output=True)
    curve = ("ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", "-newkey", *curve, "-keyout", "ca.key", "-out", "ca.crt", "-days", "30", "-subj", "/CN=bench ca")
    openssl("req", "-newkey", *curve, "-keyout", "up.key", "-out", "up.csr", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
    openssl("x509", "-req", "-in", "up.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
            "-out", "up.crt", "-days", "30", "-copy_extensions", "copy")


def make_upstream(a):
    directory = os.path.join(a.root, "upstream")
    os.makedirs(directory)
    make_certificates(directory)
    conf = UPSTREAM_CONF.strip().splitlines()
    if os.geteuid() == 0:
        conf.insert(0, "user root")
    files = {"upstream.conf": conf, "psk": [f"{PSK_ID}-{i}:{PSK_HEX}" for i in range(20)]}
    processes = [{"name": "mosquitto", "cmd": [a.mosquitto, "-c", "@DIR@/upstream.conf"]}]
    return Service("upstream", directory, {"files": files, "processes": processes}, a.base_port, a.values)


def write_private(path, text):
    with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w", encoding="ascii") as f:
        f.write(text)


def write_crowd(a, nodes):
    """The nodes node-0 to node-(nodes - 1), all with one key: for Mosquitto and for the gateway."""
    with open(a.values["PSKS"], "w", encoding="ascii") as f:
        f.writelines(f"node-{i}:{PSK_HEX}\n" for i in range(nodes))
    write_private(a.values["CROWD"], "".join(f'[[device]]\nid = "node-{i}"\nprofile = "node"\npsk = "hex:{PSK_HEX}"\n'
                                             for i in range(nodes)))


def read_spec(path):
    """A SUT file; one that is `like` another has its lines put in behind the lines that `after` names."""
    with open(path, encoding="utf-8") as f:
        spec = json.load(f)
    if "like" not in spec:
        return spec
    base = read_spec(os.path.join(os.path.dirname(path), spec["like"]))
    for mark, lines in spec.get("after", {}).items():
        place = next(text for text in base["files"].values() if mark in text)
        place[place.index(mark) + 1:place.index(mark) + 1] = lines
    return {**base, **{key: value for key, value in spec.items() if key not in ("like", "after")}}


def load_sut(a, path, number):
    """A SUT with an empty directory. Every one gets a new port, and the one behind it: some programs do not set SO_REUSEADDR."""
    spec = read_spec(path)
    a.next_port = a.next_port + 2 if a.next_port < a.base_port + PORTS - 3 else a.base_port + 10
    values = dict(a.values, PSK_ID=f"{PSK_ID}-{number}", PSK_HEX=PSK_HEX, TLS_PORT=str(a.next_port + PORTS),
                  NEXT_PORT=str(a.next_port + 1))
    directory = os.path.join(a.root, f"sut{number}")
    shutil.rmtree(directory, ignore_errors=True)
    sut = Service(spec["name"], directory, spec, a.next_port, values)
    sut.spec, sut.path, sut.number = spec, path, number
    return sut


def fresh(a, suts):
    """The same SUTs with empty directories and the present values."""
    return [load_sut(a, s.path, s.number) for s in suts]
