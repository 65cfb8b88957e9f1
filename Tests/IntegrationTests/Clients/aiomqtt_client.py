"""aiomqtt (asyncio over paho-mqtt 2) against a broker, with MQTT 3.1.1 and 5.0."""
import asyncio
import functools
import sys

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from scenarios import Failed, check, equal, main, scenario

PROTOCOLS = {4: aiomqtt.ProtocolVersion.V311, 5: aiomqtt.ProtocolVersion.V5}


def client(context, name, clean=True, **more):
    given = context.options
    if context.version == 5:
        values = Properties(PacketTypes.CONNECT)
        if not clean:
            values.SessionExpiryInterval = 300
        more.update(clean_start=clean, properties=values)
    else:
        more["clean_session"] = clean
    if given.transport == "websockets":
        more.update(transport="websockets", websocket_path=given.path)
    return aiomqtt.Client(
        given.host, given.port, identifier=context.id(name), protocol=PROTOCOLS[context.version], username=given.user,
        password=given.password, timeout=context.timeout, **more,
    )


async def expect(context, peer, texts):
    try:
        async with asyncio.timeout(context.timeout):
            for text in texts:
                message = await anext(aiter(peer.messages))
                equal(message.payload.decode(), text, "message")
    except TimeoutError:
        raise Failed(f"no {text!r} within {context.timeout} s") from None
    return message


def asynchronous(function):
    return functools.wraps(function)(lambda context: asyncio.run(function(context)))


@scenario("aiomqtt: publishes and receives at each QoS, in order", 4, 5)
@asynchronous
async def qos(context):
    async with client(context, "sub") as peer, client(context, "pub") as publisher:
        for qos in (0, 1, 2):
            await peer.subscribe(context.topic(f"{qos}"), qos)
            for index in range(30):
                await publisher.publish(context.topic(f"{qos}"), f"{index}", qos)
            message = await expect(context, peer, [f"{index}" for index in range(30)])
            equal(message.qos, qos, "QoS")


@scenario("aiomqtt: a session with queued messages", 4, 5)
@asynchronous
async def session(context):
    async with client(context, "sub", clean=False) as peer:
        await peer.subscribe(context.topic("#"), 1)
    async with client(context, "pub") as publisher:
        for index in range(20):
            await publisher.publish(context.topic("a"), f"{index}", 1)
    async with client(context, "sub", clean=False) as peer:
        await expect(context, peer, [f"{index}" for index in range(20)])


@scenario("aiomqtt: a will is sent when the program goes away, and not after a proper end", 4, 5)
@asynchronous
async def will(context):
    topic = context.topic("will")
    async with client(context, "watch") as watcher:
        await watcher.subscribe(topic, 1)
        async with client(context, "proper", will=aiomqtt.Will(topic, "never", 1)):
            pass
        leaving = client(context, "leaving", will=aiomqtt.Will(topic, "gone", 1))
        await leaving.__aenter__()
        leaving._client._sock_close()
        await expect(context, watcher, ["gone"])


@scenario("aiomqtt: properties of a message", 5)
@asynchronous
async def properties(context):
    async with client(context, "c") as peer:
        await peer.subscribe(context.topic("a"), 1)
        values = Properties(PacketTypes.PUBLISH)
        values.UserProperty = [("b", "2"), ("a", "1")]
        values.CorrelationData = b"\x00\xff"
        values.ResponseTopic = "r"
        await peer.publish(context.topic("a"), "x", 1, properties=values)
        message = await expect(context, peer, ["x"])
        for name in ("UserProperty", "CorrelationData", "ResponseTopic"):
            equal(getattr(message.properties, name), getattr(values, name), name)


@scenario("aiomqtt: fifty clients at once", 4, 5)
@asynchronous
async def many(context):
    async def one(index):
        async with client(context, f"c{index}") as peer:
            await peer.subscribe(context.topic(f"{index}"), 1)
            for number in range(5):
                await peer.publish(context.topic(f"{index}"), f"{number}", 1)
            await expect(context, peer, [f"{number}" for number in range(5)])

    await asyncio.gather(*(one(index) for index in range(50)))
    check(True, "")


if __name__ == "__main__":
    sys.exit(main(__doc__))
