"""Runs named scenarios against a broker, some at a time, and prints one line for each: PASS name, or FAIL name: why.

    python paho_client.py --port 1883 [--jobs 8] [--only TEXT] [--list]

Everything waits for what should come, up to a deadline (--timeout), never for luck. Each scenario has client ids and
topics of its own, so that they can run side by side. Exit 0 if all passed, 1 if not.
"""
import argparse
import concurrent.futures
import os
import sys
import threading
import time
import traceback

SCENARIOS = []


class Failed(Exception):
    """The broker did not do what the scenario says."""


def check(condition, what):
    if not condition:
        raise Failed(what)


def equal(got, expected, what):
    if got != expected:
        raise Failed(f"{what}: got {got!r}, not {expected!r}")


def scenario(name, *versions, needs=None):
    """Registers a function. With versions (3, 4, 5 as in the CONNECT packet) it becomes one scenario for each.

    needs: the option without which it can't be run (and is not listed).
    """
    names = {3: "3.1", 4: "3.1.1", 5: "5.0"}

    def register(function):
        for version in versions or (None,):
            full = f"{names[version]}: {name}" if version else name
            SCENARIOS.append((full, function, version, needs))
        return function

    return register


class Inbox:
    """What came, in order; waits for what is to come."""

    def __init__(self, timeout):
        self.timeout = timeout
        self.items = []
        self.taken = 0
        self.changed = threading.Condition()

    def put(self, item):
        with self.changed:
            self.items.append(item)
            self.changed.notify_all()

    def get(self, what="message", timeout=None):
        """The next item."""
        limit = timeout or self.timeout
        with self.changed:
            if not self.changed.wait_for(lambda: len(self.items) > self.taken, limit):
                raise Failed(f"no {what} within {limit} s; before it: {self.items[-3:]!r}")
            self.taken += 1
            return self.items[self.taken - 1]

    def wait(self, count, what="messages"):
        """Until so many are there (taken or not)."""
        with self.changed:
            if not self.changed.wait_for(lambda: len(self.items) >= count, self.timeout):
                raise Failed(f"{len(self.items)} of {count} {what} within {self.timeout} s")

    def waiting(self):
        with self.changed:
            return len(self.items) - self.taken


class Context:
    """What one run of a scenario works with: where the broker is, and names that no other run has."""

    def __init__(self, options, number, version):
        self.options = options
        self.version = version or 4
        self.timeout = options.timeout
        self.unique = f"{options.tag}{os.getpid() % 4096:03x}{number:02x}"
        self.cleanup = []

    def topic(self, rest):
        return f"{self.options.prefix}{self.unique}/{rest}"

    def id(self, name):
        """At most 23 characters of 0-9 a-z, which every server has to take [MQTT-3.1.3-5]."""
        return (self.unique + name)[:23]

    def until(self, moment, margin=0.0):
        """Passes time that has to pass: up to a moment of time.monotonic()."""
        time.sleep(max(0, moment + margin - time.monotonic()))

    def close(self):
        for function in reversed(self.cleanup):
            try:
                function()
            except Exception:  # What is broken was told of already.
                pass


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("--user")
    parser.add_argument("--password")
    parser.add_argument("--ca", help="TLS: file of the authority that signed the broker's certificate")
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("--psk", help="TLS-PSK key in hex (mosquitto's clients only)")
    parser.add_argument("--psk-identity")
    parser.add_argument("--transport", choices=["tcp", "websockets"], default="tcp")
    parser.add_argument("--path", default="/mqtt", help="of the WebSocket")
    parser.add_argument("--prefix", default="t/", help="topics are below it")
    parser.add_argument("--tag", default="s", help="client ids begin with it")
    parser.add_argument("--denied", help="a topic that may be neither published to nor subscribed to")
    parser.add_argument("--max-keep-alive", type=int, help="seconds to which the broker holds a client that wants more")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds for each thing that is waited for")
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--only", help="scenarios whose name has this in it")
    parser.add_argument("--list", action="store_true")
    return parser


def run_one(options, number, name, function, version):
    context = Context(options, number, version)
    started = time.monotonic()
    try:
        function(context)
        line = f"PASS {name}"
    except Failed as error:
        line = f"FAIL {name}: {error}"
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        line = f"FAIL {name}: {type(error).__name__}: {error} ({os.path.basename(where.filename)}:{where.lineno})"
        if options.only:
            traceback.print_exc()
    finally:
        context.close()
    sys.stdout.write(" ".join(line.splitlines()) + "\n")  # in one piece, from any thread
    sys.stdout.flush()
    if options.only:
        print(f"# {time.monotonic() - started:.2f} s", file=sys.stderr)
    return line.startswith("PASS")


def main(description, parser=None):
    options = (parser or arguments(description)).parse_args()
    chosen = [
        (number, name, function, version)
        for number, (name, function, version, needs) in enumerate(SCENARIOS)
        if (needs is None or getattr(options, needs) is not None) and (options.only is None or options.only in name)
    ]
    if options.list:
        print("\n".join(name for _, name, _, _ in chosen))
        return 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        results = list(pool.map(lambda one: run_one(options, *one), chosen))
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed", file=sys.stderr)
    return 0 if results and all(results) else 1
