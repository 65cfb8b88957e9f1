#!/usr/bin/env python3
"""What one would write without a gateway like ours: a script beside Mosquitto that opens sealed payloads.

Takes sealed/<node>/data, checks the HMAC with the keys of <node> and that node's session ID, publishes
plain/<node>/data. With --session chain every message moves its node to the next session ID, announced retained on
sealed/<node>/session; fixed keeps one. What does not verify is counted and dropped.

    unsealer.py --keys FILE --port 1883 [--session fixed|chain] [--crypto cryptography|pycryptodome]
NEEDS   paho-mqtt, and cryptography or pycryptodome
"""
import argparse
import hashlib
import hmac
import json
import signal
import sys
import time
import tomllib

from seal import Keys, session_id  # sets the path of the next one
from broker import new_client


def decrypter(library):
    if library == "pycryptodome":
        from Crypto.Cipher import AES
        return lambda key, iv, text: AES.new(key, AES.MODE_CBC, iv).decrypt(text)
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    def decrypt(key, iv, text):
        aes = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
        return aes.update(text) + aes.finalize()
    return decrypt


class Unsealer:
    def __init__(self, key_file, mode, library):
        with open(key_file, "rb") as f:
            devices = tomllib.load(f)["device"]
        self.keys = {d["id"]: Keys(*(d[field].encode() for field in Keys._fields)) for d in devices}
        self.mode = mode
        self.decrypt = decrypter(library)
        self.messages = dict.fromkeys(self.keys, 0)
        self.session = {node: session_id(mode, node, 0).encode() for node in self.keys}

    def open(self, node, payload):
        """The data, or None when the payload does not verify."""
        keys = self.keys.get(node)
        if keys is None:
            return None
        try:
            enc_iv, enc_node, enc_data, mac = payload.split(b",")
            iv = self.decrypt(keys.iv_key, keys.static_iv, bytes.fromhex(enc_iv.decode()))
            node_id = self.decrypt(keys.data_key, iv, bytes.fromhex(enc_node.decode())).rstrip(b"\0")
            data = self.decrypt(keys.data_key, iv, bytes.fromhex(enc_data.decode())).rstrip(b"\0")
        except ValueError:
            return None
        expected = hmac.new(keys.passphrase, node_id + iv + data + self.session[node], hashlib.sha1).hexdigest()
        good = hmac.compare_digest(expected.encode(), mac) and node_id == keys.node_id
        return data if good else None

    def next_session(self, node):
        self.messages[node] += 1
        self.session[node] = session_id(self.mode, node, self.messages[node]).encode()
        return self.session[node]


def serve(a, unsealer):
    counts = {"opened": 0, "rejected": 0}

    def on_message(client, _userdata, message):
        node = message.topic.split("/")[1]
        data = unsealer.open(node, message.payload)
        if unsealer.mode == "chain" and node in unsealer.keys:
            client.publish(f"sealed/{node}/session", unsealer.next_session(node), 0, True)
        if data is None:
            counts["rejected"] += 1
            return
        counts["opened"] += 1
        client.publish(f"plain/{node}/data", data, 1)

    def end(*_):
        print(json.dumps(counts), flush=True)
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    client = new_client("unsealer")
    client.username_pw_set("unsealer")
    client.max_inflight_messages_set(1000)
    client.max_queued_messages_set(0)
    client.on_connect = lambda *_: client.subscribe("sealed/+/data", 1)
    client.on_message = on_message
    give_up = time.monotonic() + 5
    while True:
        try:
            client.connect(a.host, a.port)
            break
        except OSError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.1)
    client.loop_forever()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("--session", choices=["fixed", "chain"], default="fixed")
    parser.add_argument("--crypto", choices=["cryptography", "pycryptodome"], default="cryptography")
    a = parser.parse_args()
    serve(a, Unsealer(a.keys, a.session, a.crypto))


if __name__ == "__main__":
    main()
