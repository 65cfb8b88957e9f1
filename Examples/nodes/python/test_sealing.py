"""python3 -m unittest discover -s Examples/nodes/python"""
import contextlib
import io
import json
import os
import tempfile
import unittest

import actor
import article
from sealing import KeyFileError, Keys, load_keys, open_sealed, seal

VECTORS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../Tests/Support/Vectors/sealed.json")

PUBLISHED = Keys(b"11242238", b"abcdef2345678901", b"2345678901abcdef", b"0123456789abcdef", b"mypassphrase")
PUBLISHED_IV = b" f9dc2766548509e"
PUBLISHED_PAYLOAD = (b"1d54dd1af0f75a91a00d4dcd8f4ad28d,d1a0b14d187c5adfc948dfd77c2b2ee5,"
                     b"564633a4a053153bcbd6ed25370346d5,c66697df7e7d467112757c841bfb6bce051d6289")
SESSION = "9a0f4d4f7f3b2c9780175e3ff9918f21"


class PublishedSample(unittest.TestCase):
    """The sample that the article prints; its session ID is empty."""

    def test_opens(self):
        self.assertEqual(open_sealed(PUBLISHED, PUBLISHED_PAYLOAD, ""), (b"11242238", PUBLISHED_IV, b"5"))

    def test_is_what_we_seal(self):
        self.assertEqual(seal(PUBLISHED, b"5", "", iv=PUBLISHED_IV), PUBLISHED_PAYLOAD)

    def test_opens_as_printed_with_line_breaks(self):
        self.assertIsNotNone(open_sealed(PUBLISHED, PUBLISHED_PAYLOAD.replace(b",", b",\n"), ""))

    def test_does_not_open_under_a_session_id(self):
        self.assertIsNone(open_sealed(PUBLISHED, PUBLISHED_PAYLOAD, SESSION))


class RoundTrip(unittest.TestCase):
    DATA = [b"", b"5", b"x" * 15, b"x" * 16, b"x" * 17, b"5\0", b"\0" * 16, b"\0" * 33, bytes(range(256)), b"a,b,,c"]

    def test_both_forms_for_all_lengths_and_zero_endings(self):
        for raw in (False, True):
            for data in self.DATA:
                with self.subTest(raw=raw, data=data):
                    opened = open_sealed(PUBLISHED, seal(PUBLISHED, data, SESSION, raw=raw), SESSION)
                    self.assertEqual(opened and opened.data, data)

    def test_a_changed_byte_of_any_field_does_not_open(self):
        sealed = seal(PUBLISHED, b"reading", SESSION)
        for at in range(len(sealed)):
            changed = bytearray(sealed)
            changed[at] = ord("0") if changed[at] != ord("0") else ord("1")
            self.assertIsNone(open_sealed(PUBLISHED, bytes(changed), SESSION), at)

    def test_another_node_id_does_not_open(self):
        other = PUBLISHED._replace(node_id=b"1124223")
        self.assertIsNone(open_sealed(other, seal(PUBLISHED, b"8", SESSION), SESSION))

    def test_the_article_s_node_seals_what_opens(self):
        payload = article.make_payload(b"11242238", b"512", SESSION.encode()).encode()
        self.assertEqual(open_sealed(PUBLISHED, payload, SESSION).data, b"512")


class Commands(unittest.TestCase):
    """A node that takes commands, without a network."""

    class Client:
        def __init__(self):
            self.published = []

        def publish(self, topic, payload, qos):
            self.published.append((topic, payload))
            return type("Info", (), {"mid": len(self.published)})

    def actor(self):
        options = type("Options", (), {"session_topic": "n/%d/sessionID", "result_topic": "n/%d/result",
                                       "command": ["n/%d/cmd"], "count": 1})
        made = actor.Actor(options, "k", PUBLISHED)
        made.client = self.Client()
        made.issue("n/k/cmd")
        return made

    def test_a_command_opens_once_and_is_answered(self):
        node = self.actor()
        topic, first = node.client.published[-1]
        self.assertEqual(topic, "n/k/cmd/sessionID")
        command = seal(PUBLISHED, b"on", first)
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            node.on_message("n/k/cmd", command)
            node.on_message("n/k/cmd", command)
            node.on_message("n/k/cmd", b"garbage")
            node.on_message("n/k/cmd", seal(PUBLISHED, b"off", "guessed"))
        self.assertEqual(printed.getvalue().count("command n/k/cmd on"), 1)
        self.assertEqual(printed.getvalue().count("refused"), 3)
        self.assertNotEqual(node.client.published[-1][1], first)
        before = len(node.client.published)
        node.on_message("n/k/sessionID", node.command_ids["n/k/cmd"].encode())
        self.assertEqual(len(node.client.published), before)  # a reading under an ID of its own would open as a command
        node.on_message("n/k/sessionID", SESSION.encode())
        topic, result = node.client.published[-1]
        self.assertEqual(topic, "n/k/result")
        self.assertEqual(open_sealed(PUBLISHED, result, SESSION).data, b"done: on")


class KeyFile(unittest.TestCase):
    TEXT = """
[[device]]
id = "kitchen"
profile = "sensor"
seal = "v1"
node_id = "11242238"
static_iv = "abcdef2345678901"
iv_key = "hex:32333435363738393031616263646566"
data_key = "0123456789abcdef"
passphrase = "mypassphrase"

[[device]]
id = "attic"
"""

    def load(self, text, device):
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write(text)
            file.flush()
            return load_keys(file.name, device)

    def test_takes_text_and_hex(self):
        self.assertEqual(self.load(self.TEXT, "kitchen"), ("kitchen", PUBLISHED))

    def test_needs_a_name_where_there_are_two(self):
        with self.assertRaisesRegex(KeyFileError, "2 devices"):
            self.load(self.TEXT, None)

    def test_names_the_missing_field(self):
        with self.assertRaisesRegex(KeyFileError, "attic.*node_id"):
            self.load(self.TEXT, "attic")

    def test_secrets_stay_out_of_descriptions(self):
        self.assertNotIn("mypassphrase", repr(PUBLISHED))


@unittest.skipUnless(os.path.exists(VECTORS), "the vectors are not in this copy")
class Vectors(unittest.TestCase):
    def test_every_v1_vector(self):
        with open(VECTORS, encoding="utf-8") as file:
            vectors = json.load(file)["v1"]
        for vector in vectors:
            with self.subTest(vector["name"]):
                secrets = (bytes.fromhex(vector[name]) for name in Keys._fields[1:])
                keys = Keys(vector["node_id"].encode(), *secrets)
                opened = open_sealed(keys, bytes.fromhex(vector["payload"]), vector["session_id"])
                if vector["opens"]:
                    self.assertEqual(opened and (opened.iv.hex(), opened.data.hex()), (vector["iv"], vector["data"]))
                else:
                    self.assertIsNone(opened)


if __name__ == "__main__":
    unittest.main()
