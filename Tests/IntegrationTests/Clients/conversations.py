"""Runs the conversations of ../Conversations (see its README.md) against a broker."""
import glob
import os
import re
import socket
import struct
import sys
import time

import scenarios
from scenarios import Failed, arguments, main

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "Conversations")
TOKEN = re.compile(r"""\s*("[^"]*"|'[^']*'|\{[^}]*\}|\.\.|\?\?|props|ok|\*|\||;|[0-9a-fA-F]{2})""")


def tokens(text):
    found, position = [], 0
    text = text.rstrip()
    while position < len(text):
        match = TOKEN.match(text, position)
        if not match:
            raise ValueError(f"not understood: {text[position:]!r}")
        found.append(match.group(1))
        position = match.end()
    return found


def without_comment(line):
    """What stands before a # outside of quotes."""
    return re.match(r"""(?:"[^"]*"|'[^']*'|[^#"'])*""", line).group(0).strip()


def encode(found, variables):
    packet = b""
    for token in found:
        if token[0] == '"':
            packet += token[1:-1].encode()
        elif token[0] == "'":
            packet += struct.pack(">H", len(token[1:-1].encode())) + token[1:-1].encode()
        elif token == ";":
            continue
        elif token[0] == "{":
            packet += struct.pack(">H", variables[token[1:-1]])
        else:
            packet += bytes.fromhex(token)
    return packet


def variable_integer(data, position):
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, position


def properties_end(data, position):
    length, position = variable_integer(data, position)
    return position + length


class Connection:
    def __init__(self, context):
        self.socket = socket.create_connection((context.options.host, context.options.port))
        self.socket.settimeout(context.timeout)
        self.pending, self.skipped = None, set()
        context.cleanup.append(self.socket.close)

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            pass  # The server has closed: the next step tells whether it should have.

    def bytes(self, count):
        data = b""
        while len(data) < count:
            try:
                more = self.socket.recv(count - len(data))
            except ConnectionResetError:
                more = b""
            except TimeoutError:
                raise Failed(f"nothing came{' after ' + data.hex() if data else ''}") from None
            if not more:
                return data
            data += more
        return data

    def packet(self):
        """The whole of the next packet and where its body begins; nothing at the end of the connection."""
        while True:
            if self.pending:
                found, self.pending = self.pending, None
                return found
            head = self.bytes(1)
            if not head:
                return b"", 0
            while len(head) == 1 or head[-1] >= 0x80:
                head += self.bytes(1)
            length, start = variable_integer(head, 1)
            found = head + self.bytes(length), start
            if found[0][0] not in self.skipped:
                return found


def matches(found, packet, start, variables):
    """The variables with what this packet binds, or None."""
    position, bound = 0, dict(variables)
    for index, token in enumerate(found):
        if token == "*":
            return bound
        if token == "ok":
            rest = packet[position:]
            allowed = (0, 0x10) if packet[0] in (0x40, 0x50) else (0,)
            if rest and rest[0] not in allowed:
                return None
            if len(rest) > 1 and properties_end(packet, position + 1) != len(packet):
                return None
            return bound
        if token == "..":
            position = start if position == 1 else position + 1
        elif token == "props":
            if position >= len(packet):
                return None
            position = properties_end(packet, position)
        elif token[0] == "{" and token[1:-1] not in bound:
            if position + 2 > len(packet):
                return None
            bound[token[1:-1]] = struct.unpack_from(">H", packet, position)[0]
            position += 2
        else:
            data = encode([token], bound)
            if packet[position : position + len(data)] != data:
                return None
            position += len(data)
        if position > len(packet):
            return None
    return bound if position == len(packet) else None


def alternatives(text):
    found = [[]]
    for token in tokens(text):
        if token == "|":
            found.append([])
        else:
            found[-1].append(token)
    return found


class Conversation:
    def __init__(self, file, line):
        self.file, self.line, self.fields, self.steps = file, line, {}, []

    def run(self, context):
        variables, connections, number = {}, {}, 1
        connections[1] = Connection(context)
        steps = list(self.steps)
        while steps:
            line, verb, rest = steps.pop(0)
            connection = connections[number]
            where = f"{os.path.basename(self.file)}:{line}"
            if verb == ">":
                connection.send(encode(tokens(rest), variables))
            elif verb == "each":
                first, last, what = re.match(r"(\d+)\.\.(\w+) > (.*)", rest).groups()
                for index in range(int(first), (variables.get(last) or int(last)) + 1):
                    connection.send(encode(tokens(what), {**variables, "i": index}))
            elif verb in ("<", "<?", "<*"):
                group = [rest]
                while verb == "<*" and steps and steps[0][1] == "<*":
                    group.append(steps.pop(0)[2])
                while group:
                    try:
                        packet, start = connection.packet()
                    except Failed as error:
                        raise Failed(f"{where}: {error}, not {group[0]}") from None
                    for option in group:
                        found = [matches(one, packet, start, variables) for one in alternatives(option) if packet]
                        bound = next((one for one in found if one is not None), None)
                        if bound is not None:
                            variables = bound
                            self.connack(packet, start, variables)
                            group.remove(option)
                            break
                    else:
                        if verb == "<?" and packet:
                            connection.pending = packet, start
                            break
                        if verb == "<?":
                            break
                        raise Failed(f"{where}: {packet.hex() or 'the end of the connection'}, not {group[0]}")
            elif verb == "skip":
                connection.skipped.add(int(rest, 16))
            elif verb == "quiet":
                connection.send(b"\xc0\x00")
                packet, _ = connection.packet()
                if packet != b"\xd0\x00":
                    raise Failed(f"{where}: {packet.hex() or 'the end of the connection'}, not PINGRESP")
            elif verb == "close":
                packet, _ = connection.packet()
                if packet:
                    raise Failed(f"{where}: {packet.hex()}, not the end of the connection")
            elif verb == "wait":
                context.until(time.monotonic() + float(rest))
            elif verb == "cut":
                connection.socket.close()
            elif verb == "open":
                number = int(rest)
                connections[number] = Connection(context)
            elif verb == "on":
                number = int(rest)
            else:
                raise Failed(f"{where}: what is {verb}?")

    @staticmethod
    def connack(packet, start, variables):
        """Takes the limits out of a CONNACK of 5.0."""
        if packet[0] != 0x20 or len(packet) < start + 3:
            return
        values, position = {0x21: 65535, 0x22: 0}, start + 2
        end = properties_end(packet, position)
        _, position = variable_integer(packet, position)
        sizes = {0x11: 4, 0x13: 2, 0x21: 2, 0x22: 2, 0x24: 1, 0x25: 1, 0x27: 4, 0x28: 1, 0x29: 1, 0x2A: 1}
        while position < end:
            kind = packet[position]
            if kind in values:
                values[kind] = struct.unpack_from(">H", packet, position + 1)[0]
            strings = 2 if kind == 0x26 else 0 if kind in sizes else 1
            position += 1 + sizes.get(kind, 0)
            for _ in range(strings):
                position += 2 + struct.unpack_from(">H", packet, position)[0]
        variables.update({"rm": values[0x21], "tam": values[0x22], "tam+": min(values[0x22] + 1, 65535)})


def read():
    found = []
    for file in sorted(glob.glob(os.path.join(FOLDER, "*.txt"))):
        with open(file, encoding="utf-8") as lines:
            for number, raw in enumerate(lines, 1):
                line = without_comment(raw)
                field = re.match(r"(conversation|section|differs): (.*)", raw.strip())
                if field and field.group(1) == "conversation":
                    found.append(Conversation(file, number))
                if field:
                    found[-1].fields[field.group(1)] = field.group(2)
                elif line:
                    verb, _, rest = line.partition(" ")
                    found[-1].steps.append((number, verb, rest.strip()))
                    if verb in (">", "<", "<?", "<*"):
                        check_lengths(file, number, verb, rest)
    return found


def check_lengths(file, number, verb, rest):
    """A packet that is written out is as long as it says, unless it is sent and the comment says why not (!)."""
    for found in alternatives(rest):
        if verb != ">" and len(found) > 1 and found[1] != ".." and not {"*", "props", "ok"} & set(found):
            plain = [("00" if t == ".." else t) for t in found]
            data = encode(plain, dict.fromkeys((t[1:-1] for t in plain if t[0] == "{"), 0))
            length, start = variable_integer(data, 1)
            if start + length != len(data):
                raise SystemExit(f"{file}:{number}: length {length}, but {len(data) - start} bytes follow")


def fill():
    for file in sorted(glob.glob(os.path.join(FOLDER, "*.txt"))):
        with open(file, encoding="utf-8") as source:
            lines = source.read().split("\n")
        for number, line in enumerate(lines):
            while "??" in without_comment(lines[number]):
                head, rest = re.match(r"(.*)\?\?(.*)", lines[number]).groups()
                found = tokens(re.split("[|;]", without_comment(rest))[0])
                length = len(encode(found, dict.fromkeys((t[1:-1] for t in found if t[0] == "{"), 0)))
                size = [length] if length < 128 else [length & 0x7F | 0x80, length >> 7]
                lines[number] = head + bytes(size).hex() + rest
        with open(file, "w", encoding="utf-8") as target:
            target.write("\n".join(lines))


def differing(run):
    """For a run against Mosquitto: what is known to differ has to."""

    def function(context):
        try:
            run(context)
        except Failed:
            return
        raise Failed("said to differ, but does not")

    return function


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("--mosquitto", action="store_true", help="it is Mosquitto 2.0.11: what is marked differs")
    parser.add_argument("--fill", action="store_true", help="write the lengths for ??")
    options = parser.parse_args()
    if options.fill:
        fill()
        sys.exit()
    for one in read():
        run = differing(one.run) if options.mosquitto and "differs" in one.fields else one.run
        scenarios.SCENARIOS.append((one.fields["conversation"], run, None, None))
    names = [name for name, *_ in scenarios.SCENARIOS]
    if len(set(names)) != len(names):
        sys.exit(f"names that stand twice: {sorted(name for name in names if names.count(name) > 1)}")
    sys.exit(main(__doc__, parser))
