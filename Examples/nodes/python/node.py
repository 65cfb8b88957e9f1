#!/usr/bin/env python3
"""A sealed node: takes one-time session IDs from a Sealgate gateway and publishes sealed readings at QoS 1.

    node.py --keys kitchen.toml --host 192.168.1.10 --count 5 --data "adc=%d"

It has as many readings on their way as the gateway has given it session IDs. A reading that is not acknowledged in
time is sent again, the same bytes, on a new connection; the gateway acknowledges those without forwarding them
twice. Exit status: 0 all readings acknowledged, 1 not within --timeout, 2 usage.
"""
import argparse
import sys
import time
from collections import deque
from typing import Optional

from broker import new_client
from sealing import KeyFileError, load_keys, seal

RESEND_LIMIT = 3


class Reading:
    """A reading on its way."""

    def __init__(self, number: int, data: bytes):
        self.number, self.data = number, data
        self.payload: Optional[bytes] = None  # sealed; sent again as it is
        self.tries = 0
        self.sent_at = 0.0


class Node:
    def __init__(self, options, device: str, keys):
        self.options, self.device, self.keys = options, device, keys
        self.session_topic = options.session_topic.replace("%d", device)
        self.topic = options.topic.replace("%d", device)
        self.waiting = deque(Reading(n, options.data.replace("%d", str(n)).encode())
                             for n in range(1, options.count + 1))
        self.in_flight: dict[int, Reading] = {}  # by packet identifier, of the present connection
        self.unanswered: deque[Reading] = deque()  # sealed, and sent on a connection that is gone
        self.session_ids: deque[str] = deque()
        self.used_ids: deque[str] = deque(maxlen=1000)
        self.client = None
        self.acknowledged = 0
        self.next_at = 0.0

    def connect(self):
        client = new_client(self.device)
        client.on_connect = lambda *_: client.subscribe(self.session_topic, 1)
        client.on_subscribe = lambda *_: self.send_again()
        client.on_message = lambda _client, _data, message: self.on_session_id(message.payload.decode())
        client.on_publish = lambda _client, _data, packet, *_: self.on_acknowledged(packet)
        client.connect(self.options.host, self.options.port, keepalive=60)
        self.client = client

    def on_session_id(self, session_id: str):
        """A retained ID comes again after every new connection, whether a payload has used it or not."""
        if session_id and session_id not in self.session_ids and session_id not in self.used_ids:
            self.session_ids.append(session_id)

    def send_again(self):
        while self.unanswered:
            self.publish(self.unanswered.popleft())

    def send_next(self):
        if any(reading.tries > 1 for reading in self.in_flight.values()):
            return  # nothing new overtakes what is being sent again
        while self.waiting and self.session_ids and time.monotonic() >= self.next_at:
            reading, session_id = self.waiting.popleft(), self.session_ids.popleft()
            self.used_ids.append(session_id)
            reading.payload = seal(self.keys, reading.data, session_id, raw=self.options.raw)
            self.next_at = time.monotonic() + self.options.interval
            self.publish(reading)

    def publish(self, reading: Reading):
        reading.tries += 1
        reading.sent_at = time.monotonic()
        self.in_flight[self.client.publish(self.topic, reading.payload, qos=1).mid] = reading

    def on_acknowledged(self, packet: int):
        reading = self.in_flight.pop(packet, None)
        if reading:
            self.acknowledged += 1
            print(f"acknowledged {self.acknowledged}/{self.options.count} {reading.data.decode()}", flush=True)

    def lost(self):
        """The connection is gone: session IDs too, and what is unacknowledged goes on the next one."""
        self.client = None
        self.session_ids.clear()
        for reading in sorted(self.in_flight.values(), key=lambda r: r.number, reverse=True):
            if reading.tries < RESEND_LIMIT:
                self.unanswered.appendleft(reading)
            else:  # a gateway that was restarted has forgotten the ID it is sealed with: seal it anew
                reading.payload, reading.tries = None, 0
                self.waiting.appendleft(reading)
                self.used_ids.clear()
        self.in_flight.clear()

    def overdue(self) -> bool:
        oldest = min((r.sent_at for r in self.in_flight.values()), default=time.monotonic())
        return time.monotonic() - oldest > self.options.ack_timeout

    def run(self) -> bool:
        """True when every reading was acknowledged before the timeout."""
        deadline = time.monotonic() + self.options.timeout
        while self.acknowledged < self.options.count:
            if time.monotonic() > deadline:
                return False
            try:
                if self.client is None:
                    self.connect()
                if self.client.loop(0.05) != 0 or self.overdue():
                    raise ConnectionError("closed, or no acknowledgement")
                self.send_next()
            except OSError as problem:
                print(f"connection lost: {problem}", file=sys.stderr)
                self.lost()
                time.sleep(self.options.retry)
        self.client.disconnect()
        return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", required=True, metavar="FILE", help="key file with a [[device]] table")
    parser.add_argument("--id", help="the device; may be left out where the file holds one")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("--topic", default="nodes/%d/data", help="%%d is the device id (%(default)s)")
    parser.add_argument("--session-topic", default="nodes/%d/sessionID", help="(%(default)s)")
    parser.add_argument("--data", default="reading=%d", help="a reading; %%d is its number, from 1 (%(default)s)")
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--raw", action="store_true", help="raw bytes instead of hex digits")
    parser.add_argument("--interval", type=float, default=0, metavar="S", help="seconds between readings")
    parser.add_argument("--ack-timeout", type=float, default=10, metavar="S")
    parser.add_argument("--retry", type=float, default=1, metavar="S", help="seconds before a new connection")
    parser.add_argument("--timeout", type=float, default=30, metavar="S", help="for all of it")
    options = parser.parse_args()
    try:
        device, keys = load_keys(options.keys, options.id)
    except (KeyFileError, OSError, ValueError) as problem:
        parser.error(str(problem))
    node = Node(options, device, keys)
    if node.run():
        return 0
    print(f"{node.acknowledged} of {options.count} acknowledged when the time was up", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
