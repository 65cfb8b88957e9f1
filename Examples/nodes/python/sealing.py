"""Sealed payloads, format v1: the scheme of "Practical IoT Cryptography on the ESP8266", both sides.

    iv      16 printable bytes, two halves each formatted "%8x"
    payload AES-CBC(iv_key, static_iv, iv) "," AES-CBC(data_key, iv, node_id) ","
            AES-CBC(data_key, iv, data) "," hex(HMAC-SHA1(passphrase, node_id iv data session_id))

Plaintexts are padded with zero bytes up to a multiple of 16. In the hex form the first three fields are hex
digits, in the raw form they are the bytes themselves.
"""
import hashlib
import hmac
import os
import tomllib
from typing import NamedTuple, Optional

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

BLOCK = 16
MAC_DIGITS = 40


class KeyFileError(Exception):
    """The key file is missing a device or a field."""


class Keys(NamedTuple):
    """What one device's seal is made with; all of it bytes."""

    node_id: bytes
    static_iv: bytes
    iv_key: bytes
    data_key: bytes
    passphrase: bytes

    def __repr__(self):
        return f"Keys({self.node_id!r}, secrets withheld)"


class Opened(NamedTuple):
    """What a sealed payload held."""

    node_id: bytes
    iv: bytes
    data: bytes


def secret_bytes(text: str) -> bytes:
    """A value of the key file: text, or "hex:" and digits."""
    return bytes.fromhex(text[4:]) if text.startswith("hex:") else text.encode()


def load_keys(path: str, device: Optional[str] = None) -> tuple[str, Keys]:
    """Id and keys of `device`; it may be left out where the file holds one device."""
    with open(path, "rb") as file:
        devices = tomllib.load(file).get("device", [])
    wanted = [d for d in devices if device is None or d.get("id") == device]
    if len(wanted) != 1:
        raise KeyFileError(f"{path}: {len(wanted)} devices match {device or 'no --id'}")
    try:
        return wanted[0]["id"], Keys(*(secret_bytes(wanted[0][name]) for name in Keys._fields))
    except (KeyError, ValueError, TypeError, AttributeError) as problem:
        raise KeyFileError(f"{path}: {wanted[0].get('id')}: missing or malformed: {problem}") from problem


def zeropad(text: bytes) -> bytes:
    return text + b"\0" * (-len(text) % BLOCK)


def encrypt(key: bytes, iv: bytes, text: bytes) -> bytes:
    aes = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    return aes.update(zeropad(text)) + aes.finalize()


def decrypt(key: bytes, iv: bytes, text: bytes) -> bytes:
    aes = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
    return aes.update(text) + aes.finalize()


def mac(keys: Keys, iv: bytes, data: bytes, session_id: str) -> str:
    text = keys.node_id + iv + data + session_id.encode()
    return hmac.new(keys.passphrase, text, hashlib.sha1).hexdigest()


def random_iv() -> bytes:
    halves = (int.from_bytes(os.urandom(4), "big") for _ in range(2))
    return "".join(f"{half:8x}" for half in halves).encode()


def seal(keys: Keys, data: bytes, session_id: str, raw: bool = False, iv: Optional[bytes] = None) -> bytes:
    iv = iv or random_iv()
    fields = [encrypt(keys.iv_key, keys.static_iv, iv), encrypt(keys.data_key, iv, keys.node_id),
              encrypt(keys.data_key, iv, data)]
    if not raw:
        fields = [field.hex().encode() for field in fields]
    return b",".join([*fields, mac(keys, iv, data, session_id).encode()])


def hex_fields(payload: bytes) -> Optional[tuple]:
    """The four fields of the hex form; a blank or a line break after a comma is tolerated."""
    try:
        first, second, third, last = (field.lstrip(b" \r\n") for field in payload.split(b","))
        return bytes.fromhex(first.decode()), bytes.fromhex(second.decode()), bytes.fromhex(third.decode()), last
    except ValueError:
        return None


def raw_fields(payload: bytes, id_length: int) -> Optional[tuple]:
    """The four fields of the raw form, by their places: its bytes may be commas."""
    second, third, last = BLOCK + 1, BLOCK + id_length + 2, len(payload) - MAC_DIGITS
    if last < third + 1 or any(payload[at - 1:at] != b"," for at in (second, third, last)):
        return None
    return payload[:BLOCK], payload[second:third - 1], payload[third:last - 1], payload[last:]


def open_sealed(keys: Keys, payload: bytes, session_id: str) -> Optional[Opened]:
    """What the payload holds, or None for every reason why it does not verify."""
    padded_id = zeropad(keys.node_id)
    for fields in (hex_fields(payload), raw_fields(payload, len(padded_id))):
        if fields is None:
            continue
        enc_iv, enc_id, enc_data, received = fields
        if len(enc_iv) != BLOCK or len(enc_id) != len(padded_id) or len(enc_data) % BLOCK or len(received) != MAC_DIGITS:
            continue
        iv = decrypt(keys.iv_key, keys.static_iv, enc_iv)
        padded = decrypt(keys.data_key, iv, enc_data)
        if decrypt(keys.data_key, iv, enc_id) != padded_id:
            continue
        # How many of the last zero bytes are padding only the MAC can tell: at most 16 candidates.
        shortest = max(len(padded.rstrip(b"\0")), len(padded) - BLOCK + 1, 0)
        for end in range(shortest, len(padded) + 1):
            expected = mac(keys, iv, padded[:end], session_id).encode()
            if hmac.compare_digest(expected, received.lower()):
                return Opened(keys.node_id, iv, padded[:end])
    return None
