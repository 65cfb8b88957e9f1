"""A Mosquitto of its own as a bridge into the broker under test: messages cross once, both ways, and none comes back.

The bridge's will and notices go to $SYS topics unless its configuration says otherwise: here "notifications false".
"""
import copy
import os
import socket
import sys
import tempfile

from children import Child
from paho_peer import Peer
from scenarios import check, equal, main, scenario

KINDS = {
    "3.1.1 private": ["bridge_protocol_version mqttv311", "try_private true"],  # level 0x84
    "3.1 private": ["bridge_protocol_version mqttv31", "try_private true"],  # level 0x83
    "5.0": ["bridge_protocol_version mqttv50"],  # subscribes with No Local and Retain As Published
}


class Home:
    """The Mosquitto: a broker for the clients at home, and the bridge to the one under test."""

    def __init__(self, context, kind, qos=1):
        self.context = context
        self.directory = tempfile.TemporaryDirectory()
        context.cleanup.append(self.directory.cleanup)
        with socket.socket() as chosen:
            chosen.bind(("127.0.0.1", 0))
            self.port = chosen.getsockname()[1]
        given = context.options
        lines = [
            "user root", "log_dest stderr", "log_type all", f"listener {self.port} 127.0.0.1", "allow_anonymous true",
            "max_queued_messages 0", f"connection {context.id('bridge')}", f"address {given.host}:{given.port}",
            f"topic {context.topic('#')} both {qos}", f"remote_clientid {context.id('remote')}", "cleansession false",
            "notifications false", "restart_timeout 1", *KINDS[kind],
        ]
        lines += [f"remote_username {given.user}", f"remote_password {given.password}"] if given.user else []
        self.file = os.path.join(self.directory.name, "mosquitto.conf")
        with open(self.file, "w") as file:
            file.write("\n".join(lines) + "\n")
        self.start()
        self.mosquitto.line("Received SUBACK", anywhere=True)  # The bridge has subscribed.

    def start(self):
        self.mosquitto = Child(self.context, ["mosquitto", "-c", self.file])

    def peer(self, name, **more):
        """A client at home."""
        context = copy.copy(self.context)
        context.options = copy.copy(self.context.options)
        context.options.host, context.options.port, context.options.user = "127.0.0.1", self.port, None
        context.options.transport, context.options.ca = "tcp", None
        return Peer(context, name, **more)


def both_ways(context, kind, qos):
    home = Home(context, kind, qos)
    here, there = home.peer("here"), Peer(context, "there")
    for peer in (here, there):
        peer.subscribe(context.topic("#"), qos)
    for index in range(20):
        here.publish(context.topic("up"), f"up {index}", qos, wait=False)
        if qos == 2:  # Mosquitto 2.0 loses messages when identifiers of QoS 2 are the same both ways.
            for peer in (here, there):
                peer.inbox.wait(2 * index + 1)
        there.publish(context.topic("down"), f"down {index}", qos, wait=False)
        if qos == 2:
            for peer in (here, there):
                peer.inbox.wait(2 * index + 2)
    # A copy that came back would be between, or between these and the ends.
    for peer in (here, there):
        peer.inbox.wait(40)
    for round in range(2):
        here.publish(context.topic("up"), f"end {round}", qos)
        there.publish(context.topic("down"), f"end {round}", qos)
        for peer in (here, there):
            peer.inbox.wait(42 + 2 * round)
    for peer, place in ((here, "at home"), (there, "at the broker")):
        for way in ("up", "down"):
            got = [message.text for message in peer.inbox.items if message.topic == context.topic(way)]
            equal(got, [f"{way} {index}" for index in range(20)] + ["end 0", "end 1"], f"{way}, {place}")


def register(kind):
    @scenario(f"bridge {kind}: messages of both sides cross once, in order, and none comes back")
    def crossing(context):
        both_ways(context, kind, 1)

    @scenario(f"bridge {kind}: at QoS 2")
    def crossing2(context):
        both_ways(context, kind, 2)

    @scenario(f"bridge {kind}: the retained flag crosses")
    def retained(context):
        there = Peer(context, "there")
        there.publish(context.topic("old"), "old", 1, retain=True)
        home = Home(context, kind)
        here = home.peer("here")
        here.subscribe(context.topic("#"), 1)
        here.expect("old", context.topic("old"))
        there.subscribe(context.topic("#"), 1)
        there.expect("old", retain=True)
        there.publish(context.topic("down"), "kept", 1, retain=True)
        here.expect("kept", context.topic("down"))
        there.expect("kept")
        here.publish(context.topic("up"), "kept up", 1, retain=True)
        here.expect("kept up")
        there.expect("kept up", context.topic("up"))
        for late in (home.peer("late"), Peer(context, "late")):
            late.subscribe(context.topic("#"), 1)
            got = sorted((late.get() for _ in range(3)), key=lambda message: message.topic)
            equal([message.text for message in got], ["kept", "old", "kept up"], "retained")
            check(all(message.retain for message in got), f"not retained: {got}")

    if kind == "5.0":
        return  # Mosquitto 2.0 as a bridge of 5.0 asks for no session that stays.

    @scenario(f"bridge {kind}: what is published while the bridge is away comes when it is back")
    def away(context):
        home = Home(context, kind)
        there = Peer(context, "there")
        home.mosquitto.kill()
        for index in range(10):
            there.publish(context.topic("down"), str(index), 1)
        home.start()
        for index in range(10):
            home.mosquitto.line(f"'{context.topic('down')}', ... (1 bytes)", anywhere=True)


for name in KINDS:
    register(name)

if __name__ == "__main__":
    sys.exit(main(__doc__))
