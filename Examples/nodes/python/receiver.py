#!/usr/bin/env python3
"""The receiver's side, twice.

Opens one sealed payload offline; PAYLOAD may be - for standard input (its bytes, for the raw form):

    receiver.py open --keys kitchen.toml --session-id 9a0f4d4f7f3b2c9780175e3ff9918f21 PAYLOAD

Subscribes to the outside broker and prints what the gateway forwards, one line "TOPIC DATA" a message:

    receiver.py listen --host broker.example.org --port 8883 --ca ca.crt --topic 'sites/#' --count 5

Exit status: 0, 1 (does not open; fewer messages than --count within --timeout), 2 usage.
"""
import argparse
import sys
import time

from broker import new_client
from sealing import KeyFileError, load_keys, open_sealed


def open_one(options) -> int:
    payload = sys.stdin.buffer.read() if options.payload == "-" else options.payload.encode()
    try:
        _, keys = load_keys(options.keys, options.id)
    except (KeyFileError, OSError, ValueError) as problem:
        print(problem, file=sys.stderr)
        return 2
    opened = open_sealed(keys, payload, options.session_id)
    if opened is None:
        print("does not open with these keys and this session ID", file=sys.stderr)
        return 1
    print(f"node_id {opened.node_id.decode(errors='backslashreplace')}")
    print(f"iv {opened.iv.hex()}")
    print(f"data {opened.data.decode(errors='backslashreplace')}")
    return 0


def listen(options) -> int:
    received = 0

    def on_message(_client, _data, message):
        nonlocal received
        received += 1
        print(message.topic, message.payload.decode(errors="backslashreplace"), flush=True)

    client = new_client(options.client_id)
    if options.user:
        client.username_pw_set(options.user, options.password)
    if options.ca:
        client.tls_set(ca_certs=options.ca)
    client.on_connect = lambda *_: client.subscribe(options.topic, 1)
    client.on_subscribe = lambda *_: print("listening", file=sys.stderr, flush=True)
    client.on_message = on_message
    deadline = time.monotonic() + options.timeout if options.timeout else float("inf")
    try:
        client.connect(options.host, options.port, keepalive=60)
        while not options.count or received < options.count:
            if time.monotonic() > deadline or client.loop(0.1) != 0:
                break
    except OSError as problem:
        print(problem, file=sys.stderr)
    client.disconnect()
    return 0 if options.count and received >= options.count else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)

    offline = commands.add_parser("open")
    offline.add_argument("--keys", required=True, metavar="FILE")
    offline.add_argument("--id", help="the device; may be left out where the file holds one")
    offline.add_argument("--session-id", required=True, help="may be empty")
    offline.add_argument("payload", metavar="PAYLOAD")
    offline.set_defaults(run=open_one)

    online = commands.add_parser("listen")
    online.add_argument("--host", default="127.0.0.1")
    online.add_argument("--port", type=int, default=1883)
    online.add_argument("--topic", default="#")
    online.add_argument("--client-id", default="receiver")
    online.add_argument("--user")
    online.add_argument("--password")
    online.add_argument("--ca", metavar="FILE", help="TLS; the broker's certificate must be signed by this CA")
    online.add_argument("--count", type=int, default=0, help="end after so many messages")
    online.add_argument("--timeout", type=float, default=0, metavar="S", help="end after so many seconds")
    online.set_defaults(run=listen)

    options = parser.parse_args()
    return options.run(options)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(0)
