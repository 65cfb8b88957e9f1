#!/usr/bin/env python3
"""Keys and sealed payloads for the measurements; all derived from names, so that a run can be repeated.

    seal.py devices FILE [--nodes 50 --id sealed-%d --profile sealed] [--plain 1000 --plain-id node-%d --plain-profile bench]
        A key file as `sealgate device import` reads it: v1 devices, and devices without keys.
    seal.py lines FILE --nodes 50 --count 20000 --data-bytes 24 --session fixed|chain
        Payloads sealed ahead of the run, for `mqttload --payload-file`. Line i belongs to node-(i % NODES), its data
        begins with "#%08x" of i. The keys are those that `devices --id node-%d` writes.
        fixed   one session ID for every message: no replay protection
        chain   message k of a node uses session_id(node, k): what a receiver announces that replaces the ID after every
                message, foreseeable here so that sealing can be done ahead
NEEDS   cryptography
"""
import argparse
import hashlib
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../Examples/nodes/python"))
from sealing import Keys, seal  # noqa: E402

FIXED_SESSION = "5e551014c0ffee00"


def session_id(mode, node, k):
    return FIXED_SESSION if mode == "fixed" else derived(f"bench {node} {k}")


def derived(label):
    """16 characters of hex."""
    return hashlib.sha256(label.encode()).hexdigest()[:16]


def node_keys(node):
    return Keys(node.encode(), *(derived(f"{field} {node}").encode() for field in Keys._fields[1:]))


def write_devices(a):
    with open(os.open(a.file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w", encoding="ascii") as f:
        for n in range(a.nodes):
            node = a.id.replace("%d", str(n))
            f.write(f'[[device]]\nid = "{node}"\nprofile = "{a.profile}"\nseal = "v1"\n')
            f.writelines(f'{field} = "{value.decode()}"\n' for field, value in node_keys(node)._asdict().items())
        for n in range(a.plain):
            node = a.plain_id.replace("%d", str(n))
            f.write(f'[[device]]\nid = "{node}"\nprofile = "{a.plain_profile}"\n')


def write_lines(a):
    with open(a.file, "wb") as f:
        for i in range(a.count):
            node = f"node-{i % a.nodes}"
            data = f"#{i:08x} adc={i % 1024}".ljust(a.data_bytes, ".")[:max(a.data_bytes, 9)]
            session = session_id(a.session, node, i // a.nodes)
            f.write(seal(node_keys(node), data.encode(), session, iv=derived(f"iv {i}").encode()) + b"\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    devices = commands.add_parser("devices")
    devices.add_argument("--id", default="sealed-%d")
    devices.add_argument("--profile", default="sealed")
    devices.add_argument("--plain", type=int, default=0)
    devices.add_argument("--plain-id", default="node-%d")
    devices.add_argument("--plain-profile", default="bench")
    devices.set_defaults(run=write_devices)
    lines = commands.add_parser("lines")
    lines.add_argument("--count", type=int, default=20000)
    lines.add_argument("--data-bytes", type=int, default=24)
    lines.add_argument("--session", choices=["fixed", "chain"], default="fixed")
    lines.set_defaults(run=write_lines)
    for command in (devices, lines):
        command.add_argument("file")
        command.add_argument("--nodes", type=int, default=50)
    a = parser.parse_args()
    a.run(a)


if __name__ == "__main__":
    main()
