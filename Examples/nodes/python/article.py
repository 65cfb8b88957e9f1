#!/usr/bin/env python3
"""A node as the article "Practical IoT Cryptography on the ESP8266" describes it, unaware of Sealgate.

One shared topic mytopic/sessionID for session IDs, one key set for every node, the four fields as comma-separated
hex, published on mytopic/data. The names are the article's. A reading is sealed with the newest session ID, one reading for each.

    article.py --host 192.168.1.10 --count 3 [--nodeid 11242238]

The article publishes at QoS 2 and retained (--qos 2 --retain); without these options it is QoS 1, not retained.
Exit status: 0 all readings acknowledged, 1 not within --timeout.
"""
import argparse
import hashlib
import hmac
import random
import sys
import time

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from broker import new_client

staticiv = b"abcdef2345678901"
ivkey = b"2345678901abcdef"
datakey = b"0123456789abcdef"
passphrase = b"mypassphrase"


def aes_cbc(key, text, iv):
    cipher = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    padding = b"\0" * (-len(text) % 16)
    return (cipher.update(text + padding) + cipher.finalize()).hex()


def make_payload(nodeid, data, session_id):
    half1 = random.SystemRandom().randint(1, 4294967295)
    half2 = random.SystemRandom().randint(1, 4294967295)
    iv = f"{half1:8x}{half2:8x}".encode()
    encrypted_iv = aes_cbc(ivkey, iv, staticiv)
    encrypted_nodeid = aes_cbc(datakey, nodeid, iv)
    encrypted_data = aes_cbc(datakey, data, iv)
    fullmessage = nodeid + iv + data + session_id
    digest = hmac.new(passphrase, fullmessage, hashlib.sha1).hexdigest()
    return ",".join([encrypted_iv, encrypted_nodeid, encrypted_data, digest])


class ArticleNode:
    def __init__(self, options):
        self.options = options
        self.session_id = None  # the newest; None when it is used
        self.sent = self.acknowledged = 0
        self.sent_at = 0.0
        self.client = new_client(f"article-{options.nodeid}")
        self.client.on_connect = lambda *_: self.client.subscribe("mytopic/sessionID", 0)
        self.client.on_message = self.on_message
        self.client.on_publish = self.on_publish

    def on_message(self, _client, _userdata, message):
        self.session_id = message.payload

    def on_publish(self, *_):
        self.acknowledged += 1
        print(f"Sent {self.acknowledged}/{self.options.count}", flush=True)

    def send(self):
        """Another node may have used the shared ID first: after two seconds without an answer the reading is
        sealed anew with the next one."""
        unanswered = self.sent > self.acknowledged
        if self.session_id is None or (unanswered and time.monotonic() - self.sent_at < 2):
            return
        reading = self.options.data.replace("%d", str(self.acknowledged + 1)).encode()
        payload = make_payload(self.options.nodeid.encode(), reading, self.session_id)
        self.session_id = None
        self.sent, self.sent_at = self.acknowledged + 1, time.monotonic()
        self.client.publish("mytopic/data", payload, self.options.qos, self.options.retain)

    def run(self):
        deadline = time.monotonic() + self.options.timeout
        self.client.connect(self.options.host, self.options.port)
        while self.acknowledged < self.options.count:
            self.send()
            if time.monotonic() > deadline or self.client.loop(0.05) != 0:
                return False
        self.client.disconnect()
        return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("--nodeid", default="11242238")
    parser.add_argument("--data", default="%d", help="a reading; %%d is its number, from 1")
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--qos", type=int, choices=[0, 1, 2], default=1)
    parser.add_argument("--retain", action="store_true")
    parser.add_argument("--timeout", type=float, default=30, metavar="S")
    node = ArticleNode(parser.parse_args())
    if node.run():
        return 0
    print(f"{node.acknowledged} acknowledged before the end", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
