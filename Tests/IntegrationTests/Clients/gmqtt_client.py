"""gmqtt (asyncio, MQTT 5.0 with a codec of its own) against a broker."""
import asyncio
import functools
import logging
import sys

import gmqtt

from scenarios import Failed, check, equal, main, scenario

logging.disable(logging.WARNING)


class Peer:
    """Connected after ``await Peer(...).connect()``."""

    def __init__(self, context, name, clean=True, will=None, **values):
        self.context = context
        self.client = gmqtt.Client(context.id(name) if name else "", clean_session=clean, will_message=will, **values)
        self.client.set_config({"reconnect_retries": 0, "reconnect_delay": 0})
        self.messages, self.codes, self.ended = asyncio.Queue(), asyncio.Queue(), asyncio.Event()
        self.flags = None
        self.client.on_message = lambda c, topic, payload, qos, values: self.messages.put_nowait(
            (topic, payload.decode(), qos, values)
        )
        self.client.on_subscribe = lambda c, mid, codes, values: self.codes.put_nowait(list(codes))
        self.client.on_unsubscribe = lambda c, mid, codes: self.codes.put_nowait(list(codes))
        self.client.on_connect = lambda c, flags, code, values: setattr(self, "flags", flags)
        self.client.on_disconnect = lambda c, packet, error=None: self.ended.set()

    async def wait(self, awaitable, what):
        try:
            return await asyncio.wait_for(awaitable, self.context.timeout)
        except asyncio.TimeoutError:
            raise Failed(f"no {what} within {self.context.timeout} s") from None

    async def connect(self):
        given = self.context.options
        if given.user:
            self.client.set_auth_credentials(given.user, given.password)
        await self.wait(self.client.connect(given.host, given.port, keepalive=60), "connection")
        return self

    async def subscribe(self, *filters, **values):
        self.client.subscribe([gmqtt.Subscription(f, qos=q) for f, q in filters], **values)
        equal(await self.wait(self.codes.get(), "SUBACK"), [q for _, q in filters], "SUBACK")

    async def expect(self, text, topic=None, qos=None):
        got = await self.wait(self.messages.get(), f"message {text}")
        right = got[1] == text and topic in (None, got[0]) and qos in (None, got[2])
        check(right, f"got {got}, not {text} on {topic}, QoS {qos}")
        return got[3]

    async def publish(self, topic, texts, qos):
        """At most so many at a time as gmqtt takes, which is the broker's receive maximum."""
        for index, text in enumerate(texts):
            self.client.publish(topic, text, qos=qos)
            if index % 10 == 9:
                await self.drained()
        await self.drained()

    async def drained(self):
        """All that was published is acknowledged."""
        await self.wait(self.client._persistent_storage.wait_empty(), "acknowledgements")

    async def cut(self):
        self.client._is_active = False  # or gmqtt connects anew at once
        self.client._connection._transport.abort()
        await self.wait(self.ended.wait(), "end")


def asynchronous(function):
    @functools.wraps(function)
    def run(context):
        peers = []

        async def connected(name="c", **values):
            peers.append(await Peer(context, name, **values).connect())
            return peers[-1]

        async def whole():
            try:
                await function(context, connected)
            finally:
                for peer in peers:
                    try:
                        await asyncio.wait_for(peer.client.disconnect(), 5)
                    except Exception:  # It has ended already.
                        pass

        asyncio.run(whole())

    return run


@scenario("gmqtt: publishes and receives at each QoS, in order")
@asynchronous
async def qos(context, connected):
    peer, publisher = await connected("sub"), await connected("pub")
    await peer.subscribe(*((context.topic(f"{qos}"), qos) for qos in (0, 1, 2)))
    for qos in (0, 1, 2):
        await publisher.publish(context.topic(f"{qos}"), [f"{index}" for index in range(30)], qos)
        for index in range(30):
            await peer.expect(f"{index}", context.topic(f"{qos}"), qos)


@scenario("gmqtt: a session with queued messages")
@asynchronous
async def session(context, connected):
    topic = context.topic("a")
    peer = await connected("sub", clean=False, session_expiry_interval=300)
    check(not peer.flags & 1, "session present at first")
    await peer.subscribe((topic, 1))
    await peer.client.disconnect()
    publisher = await connected("pub")
    await publisher.publish(topic, [f"{index}" for index in range(20)], 1)
    peer = await connected("sub", clean=False, session_expiry_interval=300)
    check(peer.flags & 1, "no session")
    for index in range(20):
        await peer.expect(f"{index}", topic, 1)


@scenario("gmqtt: properties of a message, and subscription identifiers")
@asynchronous
async def properties(context, connected):
    peer = await connected()
    await peer.subscribe((context.topic("a"), 1), subscription_identifier=77)
    pairs = [("b", "2"), ("a", "1"), ("b", "3")]
    peer.client.publish(
        context.topic("a"), "x", qos=1, user_property=pairs, content_type="text/plain", response_topic="r",
        correlation_data=b"\x01\x02", message_expiry_interval=60, payload_format_id=1,
    )
    got = await peer.expect("x")
    equal([tuple(pair) for pair in got["user_property"]], pairs, "user properties")
    equal(got["content_type"], ["text/plain"], "content type")
    equal(got["response_topic"], ["r"], "response topic")
    equal(got["correlation_data"], [b"\x01\x02"], "correlation data")
    equal(got["subscription_identifier"], [77], "subscription identifier")


@scenario("gmqtt: topic aliases both ways")
@asynchronous
async def aliases(context, connected):
    peer, publisher = await connected("sub", topic_alias_maximum=10), await connected("pub")
    await peer.subscribe((context.topic("#"), 1))
    for round in range(3):
        for alias in (1, 2, 3):
            topic = context.topic(f"{alias}")
            publisher.client.publish(topic if round == 0 else "", f"{round}", qos=round % 2, topic_alias=alias)
            await peer.expect(f"{round}", topic)


@scenario("gmqtt: receive maximum")
@asynchronous
async def receive_maximum(context, connected):
    peer, publisher = await connected("sub", receive_maximum=1), await connected("pub")
    await peer.subscribe((context.topic("a"), 2))
    await publisher.publish(context.topic("a"), [f"{index}" for index in range(30)], 2)
    for index in range(30):
        await peer.expect(f"{index}")


@scenario("gmqtt: a will with delay")
@asynchronous
async def will(context, connected):
    watcher = await connected("watch")
    await watcher.subscribe((context.topic("will"), 1))
    message = gmqtt.Message(context.topic("will"), "gone", qos=1, will_delay_interval=1)
    leaving = await connected("leaving", will=message, session_expiry_interval=60)
    await leaving.cut()
    await watcher.expect("gone", context.topic("will"), 1)


@scenario("gmqtt: unsubscribe")
@asynchronous
async def unsubscribe(context, connected):
    peer = await connected()
    await peer.subscribe((context.topic("a"), 1), (context.topic("end"), 1))
    peer.client.unsubscribe(context.topic("a"))
    equal(await peer.wait(peer.codes.get(), "UNSUBACK"), [0], "UNSUBACK")
    peer.client.publish(context.topic("a"), "lost", qos=1)
    peer.client.publish(context.topic("end"), "end", qos=1)
    await peer.expect("end")


if __name__ == "__main__":
    sys.exit(main(__doc__))
