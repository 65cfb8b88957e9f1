#!/usr/bin/env python3
"""A sealed node that takes commands from a Sealgate gateway, and answers each on its result topic.

    actor.py --keys kitchen.toml --host 192.168.1.10 --command nodes/%d/cmd/light --count 1

It publishes a session ID of its own for each command topic; the gateway seals the next command under it. The ID is used
up by the first command that opens, so the same bytes a second time, or those of a forger, open nothing. The answer is a
reading like any other: sealed under a session ID of the gateway's. Exit status: 0 all commands came, 1 not within
--timeout, 2 usage.
"""
import argparse
import secrets
import sys
import time
from collections import deque

from broker import new_client
from sealing import KeyFileError, load_keys, open_sealed, seal


class Actor:
    def __init__(self, options, device: str, keys):
        self.options, self.device, self.keys = options, device, keys
        self.session_topic = options.session_topic.replace("%d", device)
        self.result_topic = options.result_topic.replace("%d", device)
        self.commands = [topic.replace("%d", device) for topic in options.command]
        self.command_ids: dict[str, str] = {}  # by command topic: for its next command, and for that alone
        self.results: deque[bytes] = deque()
        self.gateway_ids: deque[str] = deque()
        self.used_ids: deque[str] = deque(maxlen=100)
        self.in_flight: set[int] = set()
        self.executed = 0
        self.client = None

    def connect(self):
        client = new_client(self.device)
        client.on_connect = lambda *_: self.on_connect(client)
        client.on_message = lambda _client, _data, message: self.on_message(message.topic, message.payload)
        client.on_publish = lambda _client, _data, packet, *_: self.in_flight.discard(packet)
        client.connect(self.options.host, self.options.port, keepalive=60)
        self.client = client

    def on_connect(self, client):
        client.subscribe([(topic, 1) for topic in [self.session_topic, *self.commands]])
        for topic in self.commands:
            self.issue(topic)

    def issue(self, topic: str):
        """A new session ID for the next command. Without RETAIN, for this program forgets it when it ends."""
        self.command_ids[topic] = secrets.token_urlsafe(16)
        self.client.publish(topic + "/sessionID", self.command_ids[topic], qos=1)

    def on_message(self, topic: str, payload: bytes):
        if topic == self.session_topic:
            session_id = payload.decode()
            known = [*self.used_ids, *self.gateway_ids, *self.command_ids.values()]
            # One of its own: sealed under it, an answer could be played back to it as a command.
            if session_id and session_id not in known:
                self.gateway_ids.append(session_id)
        elif topic in self.command_ids:
            self.on_command(topic, payload)
        self.send_results()

    def on_command(self, topic: str, payload: bytes):
        opened = open_sealed(self.keys, payload, self.command_ids[topic])
        if opened is None:
            print(f"refused {topic}: replayed, or not from the gateway", flush=True)
            return
        self.issue(topic)  # first, so that nothing opens under the old one any more
        print(f"command {topic} {opened.data.decode(errors='replace')}", flush=True)
        self.executed += 1
        self.results.append(b"done: " + opened.data)

    def send_results(self):
        while self.results and self.gateway_ids:
            session_id = self.gateway_ids.popleft()
            self.used_ids.append(session_id)
            payload = seal(self.keys, self.results.popleft(), session_id)
            self.in_flight.add(self.client.publish(self.result_topic, payload, qos=1).mid)

    def run(self) -> bool:
        """True when all commands came, and their answers are acknowledged, before the timeout."""
        deadline = time.monotonic() + self.options.timeout
        while self.executed < self.options.count or self.results or self.in_flight:
            if time.monotonic() > deadline:
                return False
            try:
                if self.client is None:
                    self.connect()
                if self.client.loop(0.05) != 0:
                    raise ConnectionError("closed")
            except OSError as problem:
                print(f"connection lost: {problem}", file=sys.stderr)
                self.client = None
                self.gateway_ids.clear()
                self.in_flight.clear()
                time.sleep(self.options.retry)
        self.client.disconnect()
        return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", required=True, metavar="FILE", help="key file with a [[device]] table")
    parser.add_argument("--id", help="the device; may be left out where the file holds one")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("--command", action="append", metavar="TOPIC", help="repeatable (nodes/%%d/cmd/light)")
    parser.add_argument("--result-topic", default="nodes/%d/result", help="(%(default)s)")
    parser.add_argument("--session-topic", default="nodes/%d/sessionID", help="(%(default)s)")
    parser.add_argument("--count", type=int, default=1, help="commands to wait for")
    parser.add_argument("--retry", type=float, default=1, metavar="S", help="seconds before a new connection")
    parser.add_argument("--timeout", type=float, default=30, metavar="S", help="for all of it")
    options = parser.parse_args()
    options.command = options.command or ["nodes/%d/cmd/light"]
    try:
        device, keys = load_keys(options.keys, options.id)
    except (KeyFileError, OSError, ValueError) as problem:
        parser.error(str(problem))
    return 0 if Actor(options, device, keys).run() else 1


if __name__ == "__main__":
    sys.exit(main())
