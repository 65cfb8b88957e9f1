"""paho-mqtt against a broker: MQTT 3.1.1 and 5.0, over TCP, TLS or WebSocket; paho is the one of PYTHONPATH."""
import sys
import time

from paho_peer import IS_VERSION_2, Peer, options
from scenarios import check, equal, main, scenario

NEVER = 0xFFFFFFFF


def persistent(context, name, **more):
    """A client whose session stays."""
    values = {"SessionExpiryInterval": 300} if context.version == 5 else {}
    return Peer(context, name, clean=False, **{**values, **more})


# Connecting


@scenario("a client without an id gets one", 4, 5)
def assigned(context):
    first, second = Peer(context, ""), Peer(context, "")
    check(not first.session_present, "session present")
    if context.version == 5:  # [MQTT-3.2.2-16]
        ids = [peer.connack.AssignedClientIdentifier for peer in (first, second)]
        check(ids[0] and ids[1] and ids[0] != ids[1], f"assigned ids {ids}")
    first.subscribe(context.topic("a"), 1)
    second.publish(context.topic("a"), "x", 1)
    first.expect("x")


@scenario("a client of MQTT 3.1", 3)
def old(context):
    peer = Peer(context, "old")
    peer.subscribe(context.topic("a"), 1)
    peer.publish(context.topic("a"), "x", 1)
    peer.expect("x", qos=1)


@scenario("CONNACK tells limits that make sense", 5)
def limits(context):
    told = Peer(context).connack
    for name in ("ReceiveMaximum", "MaximumPacketSize"):
        check(getattr(told, name, 1) > 0, f"{name} is 0")
    check(getattr(told, "MaximumQoS", 0) in (0, 1), "Maximum QoS")
    for name in ("RetainAvailable", "WildcardSubscriptionAvailable", "SubscriptionIdentifierAvailable",
                 "SharedSubscriptionAvailable"):
        check(getattr(told, name, 1) == 1, f"{name} is not 1")
    check(not hasattr(told, "AssignedClientIdentifier"), "an id for a client that has one")


@scenario("keep alive: PINGREQ is answered", 4, 5)
def pings(context):
    # paho looks for its turn once a second, so that of a shorter keep alive it uses up all the broker bears.
    peer = Peer(context, keep_alive=5)
    peer._wait(lambda: peer.pings >= 1 or peer.ended, "PINGRESP")
    check(not peer.ended, "disconnected")


@scenario("server keep alive holds a client that asks for more", 5, needs="max_keep_alive")
def server_keep_alive(context):
    for asked in (65535, 0):
        told = Peer(context, f"k{asked}", keep_alive=asked).connack
        if asked or hasattr(told, "ServerKeepAlive"):
            seconds = getattr(told, "ServerKeepAlive", None)
            equal(seconds, context.options.max_keep_alive, f"server keep alive for {asked}")
    told = Peer(context, "short", keep_alive=5).connack
    check(getattr(told, "ServerKeepAlive", 5) == 5, "a short keep alive is changed")


@scenario("a second connection with the same client id takes over", 4, 5)
def takeover(context):  # [MQTT-3.1.4-3]
    first = Peer(context, "same")
    second = Peer(context, "same")
    first.expect_end(0x8E if context.version == 5 else None)
    second.subscribe(context.topic("a"), 0)
    second.publish(context.topic("a"), "x")
    second.expect("x")


@scenario("a takeover keeps the session and what is queued", 4, 5)
def takeover_session(context):
    topic = context.topic("a")
    first = persistent(context, "same", hold=True)
    first.subscribe(topic, 1)
    publisher = Peer(context, "pub")
    publisher.publish(topic, "1", 1)
    first.expect("1")  # and does not acknowledge it
    second = persistent(context, "same")
    first.expect_end()
    check(second.session_present, "no session")
    publisher.publish(topic, "2", 1)
    check(second.expect("1").dup, "sent again without DUP")  # [MQTT-3.3.1-1]
    second.expect("2", dup=False)


# Messages


@scenario("QoS of delivery is the lower of published and granted", 4, 5)
def qos_matrix(context):
    peer, publisher = Peer(context, "sub"), Peer(context, "pub")
    for granted in (0, 1, 2):
        peer.subscribe(context.topic(f"{granted}/+"), granted)
        for qos in (0, 1, 2):
            topic = context.topic(f"{granted}/{qos}")
            publisher.publish(topic, f"{granted}{qos}", qos)
            peer.expect(f"{granted}{qos}", topic, qos=min(qos, granted), dup=False, retain=False)


def in_order(context, qos, count):
    peer, publisher = Peer(context, "sub"), Peer(context, "pub")
    topic = context.topic("a")
    peer.subscribe(topic, qos)
    for index in range(count):
        publisher.publish(topic, str(index), qos, wait=False)
    equal(peer.texts(count), [str(index) for index in range(count)], "order")
    publisher.publish(topic, "end", qos)
    peer.expect("end")
    equal(len(peer.inbox.items), count + 1, "messages in all")


@scenario("300 messages at QoS 1 arrive in order", 4, 5)
def order1(context):
    in_order(context, 1, 300)


@scenario("300 messages at QoS 2 arrive in order, each once", 4, 5)
def order2(context):
    in_order(context, 2, 300)


@scenario("payloads: empty, all bytes, 100 kB", 4, 5)
def payloads(context):
    peer = Peer(context)
    peer.subscribe(context.topic("#"), 2)
    for index, payload in enumerate([b"", bytes(range(256)), bytes(100_000)]):
        for qos in (0, 1, 2):
            peer.publish(context.topic(f"{index}"), payload, qos)
            equal(peer.get().payload, payload, f"payload {index} at QoS {qos}")


@scenario("topics of any language, with spaces and empty levels", 4, 5)
def topics(context):
    peer = Peer(context)
    peer.subscribe(context.topic("#"), 1)
    for topic in ["küche/雪", "a b", "/", "a//b", "\ufeffx", "e\u0301", "\u00e9", "\U0001f600"]:  # [MQTT-1.5.4-3]
        peer.publish(context.topic(topic), topic, 1)
        peer.expect(topic, context.topic(topic))


@scenario("wildcards match whole levels", 4, 5)
def wildcards(context):
    peer = Peer(context)
    base = context.topic("")
    cases = {"p/#": ["p", "p/q", "p/q/r"], "+/x/+": ["a/x/b", "/x/"], "+": ["p", "pp"], "z/+": ["z/"]}
    sent = ["p", "pp", "p/q", "p/q/r", "a/x/b", "/x/", "z", "z/", "x/x"]
    for pattern, expected in cases.items():
        peer.subscribe(base + pattern, 0)
        for topic in sent:
            peer.publish(base + topic, topic)
        peer.publish(base + expected[-1], "end")
        got = []
        while True:
            text = peer.get().text
            if text == "end":
                break
            got.append(text)
        expected = [topic for topic in sent if topic in expected or (pattern == "+" and topic == "z")]
        equal(got, expected, pattern)
        peer.unsubscribe(base + pattern)


@scenario("a subscriber that unsubscribes gets no more", 4, 5)
def unsubscribed(context):
    peer = Peer(context)
    peer.subscribe([(context.topic("a"), 1), (context.topic("b"), 1), (context.topic("end"), 1)])
    peer.publish(context.topic("a"), "1", 1)
    peer.expect("1")
    codes = peer.unsubscribe([context.topic("a"), context.topic("nothing"), context.topic("b")])
    if context.version == 5:
        equal(codes, [0, 0x11, 0], "UNSUBACK")  # [MQTT-3.11.3-2]
    for name in ("a", "b", "end"):
        peer.publish(context.topic(name), name, 1)
    peer.expect("end")


@scenario("one SUBSCRIBE with many filters gets a code for each, in order", 4, 5)
def many_filters(context):
    peer = Peer(context)
    peer.subscribe([(context.topic(f"{index}"), index % 3) for index in range(30)])  # [MQTT-3.9.3-1]
    peer.publish(context.topic("29"), "x", 2)
    peer.expect("x", qos=2)


@scenario("a new subscription to the same filter replaces the old one", 4, 5)
def replaced(context):
    peer = Peer(context)
    topic = context.topic("a")
    peer.subscribe(topic, 0)
    peer.subscribe(topic, 2)  # [MQTT-3.8.4-3]
    peer.publish(topic, "x", 2)
    peer.expect("x", qos=2)
    peer.publish(topic, "y", 2)
    peer.expect("y", qos=2)


@scenario("overlapping subscriptions deliver with the highest QoS", 4, 5)
def overlapping(context):
    peer = Peer(context)
    values = {"SubscriptionIdentifier": 1} if context.version == 5 else {}
    peer.subscribe(context.topic("+"), 0, **values)
    values = {"SubscriptionIdentifier": 268435455} if context.version == 5 else {}
    peer.subscribe(context.topic("#"), 2, **values)
    peer.publish(context.topic("a"), "x", 2)
    peer.publish(context.topic("b"), "end", 2)
    copies = []
    while not copies or copies[-1].text != "end" or copies[-1].qos != 2:
        copies.append(peer.get())
    copies = [copy for copy in copies if copy.text == "x"]
    equal(max(copy.qos for copy in copies), 2, "highest QoS")  # [MQTT-3.3.4-2]
    if context.version == 5:  # one copy with both identifiers, or two copies [MQTT-3.3.4-3]
        equal(sorted(sum((copy.identifiers for copy in copies), [])), [1, 268435455], "identifiers")


# Sessions


@scenario("a session stays: messages for an absent client come in order when it is back", 4, 5)
def queued(context):
    topic = context.topic("a")
    peer = persistent(context, "sub")
    check(not peer.session_present, "session present at first")
    peer.subscribe(topic, 2)
    peer.disconnect()
    publisher = Peer(context, "pub")
    for index in range(50):
        publisher.publish(topic, str(index), 1 + index % 2)
    peer = persistent(context, "sub")
    check(peer.session_present, "no session")  # [MQTT-3.2.2-3]
    got = [peer.get() for _ in range(50)]
    for qos in (1, 2):  # Each QoS in its order; paho hands out a message of QoS 2 at PUBREL. [MQTT-4.6.0-5]
        texts = [message.text for message in got if message.qos == qos]
        equal(texts, [str(index) for index in range(qos - 1, 50, 2)], f"queued messages of QoS {qos}")
    publisher.publish(topic, "end", 1)
    peer.expect("end")
    equal(len(peer.inbox.items), 51, "messages in all")


@scenario("what is not acknowledged is sent again to the same session", 4, 5)
def again(context):
    topic = context.topic("a")
    peer = persistent(context, "sub", hold=True)
    peer.subscribe(topic, 1)
    publisher = Peer(context, "pub")
    for index in range(5):
        publisher.publish(topic, str(index), 1)
    first = [peer.get() for _ in range(5)]
    peer.release()  # only the first
    peer.disconnect()
    peer = persistent(context, "sub")
    messages = [peer.get() for _ in range(4)]
    equal([m.text for m in messages], ["1", "2", "3", "4"], "sent again")  # [MQTT-4.4.0-1], [MQTT-4.6.0-1]
    check(all(m.dup for m in messages), "DUP is not set")
    equal([m.mid for m in messages], [m.mid for m in first[1:]], "packet identifiers")


@scenario("a clean start ends the old session", 4, 5)
def clean(context):
    topic = context.topic("a")
    peer = persistent(context, "sub")
    peer.subscribe(topic, 1)
    peer.disconnect()
    publisher = Peer(context, "pub")
    publisher.publish(topic, "lost", 1)
    peer = Peer(context, "sub")
    check(not peer.session_present, "session present after a clean start")  # [MQTT-3.1.2-4]
    publisher.publish(topic, "lost as well", 1)
    peer.subscribe(context.topic("end"), 1)
    publisher.publish(context.topic("end"), "end", 1)
    peer.expect("end")
    peer.disconnect()
    check(not persistent(context, "sub").session_present, "session of a clean client stays")


@scenario("session expiry 0: the session ends with the connection", 5)
def expiry_none(context):
    Peer(context, "sub", SessionExpiryInterval=0).disconnect()
    check(not persistent(context, "sub").session_present, "session present")
    persistent(context, "cut", SessionExpiryInterval=0).cut()
    check(not persistent(context, "cut").session_present, "session present after a cut")


@scenario("session expiry: there within the time, gone after it", 5)
def expiry(context):
    peer = persistent(context, "sub", SessionExpiryInterval=60)
    peer.disconnect()
    peer = persistent(context, "sub", SessionExpiryInterval=2)
    check(peer.session_present, "gone at once")
    peer.disconnect()
    context.until(time.monotonic() + 2, margin=1.5)
    check(not persistent(context, "sub").session_present, "still there")  # [MQTT-4.1.0-2]


@scenario("DISCONNECT changes the session expiry, both ways", 5)
def expiry_changed(context):
    peer = persistent(context, "sub", SessionExpiryInterval=1)
    peer.disconnect(SessionExpiryInterval=300)
    other = persistent(context, "other", SessionExpiryInterval=300)
    other.disconnect(SessionExpiryInterval=0)
    check(not persistent(context, "other").session_present, "not ended by 0")
    context.until(time.monotonic() + 1, margin=1.5)
    check(persistent(context, "sub").session_present, "not kept by 300")


# Retained messages


@scenario("retained: told to new subscribers, replaced, cleared", 4, 5)
def retained(context):
    topic = context.topic("a")
    publisher = Peer(context, "pub")
    for number, text in enumerate(["one", "two"]):
        publisher.publish(topic, text, 1, retain=True)
        peer = Peer(context, f"sub{number}")
        peer.subscribe(context.topic("+"), 1)
        peer.expect(text, retain=True, qos=1)  # [MQTT-3.3.1-5]
    publisher.publish(topic, "plain", 1)
    peer.expect("plain", retain=False)
    publisher.publish(topic, "three", 1, retain=True)
    peer.expect("three", retain=False)  # [MQTT-3.3.1-12]
    publisher.publish(topic, "", 1, retain=True)
    peer.expect("", retain=False)
    late = Peer(context, "late")
    late.subscribe(topic, 1)
    publisher.publish(topic, "end", 1)
    late.expect("end")  # [MQTT-3.3.1-6], [MQTT-3.3.1-7]


@scenario("retained messages come with each new subscription, also the same again", 4, 5)
def retained_again(context):
    peer = Peer(context)
    peer.publish(context.topic("a"), "x", 1, retain=True)
    for _ in range(2):
        peer.subscribe(context.topic("a"), 0)  # [MQTT-3.8.4-3]
        peer.expect("x", retain=True, qos=0)


@scenario("retain handling 0, 1 and 2", 5)
def handling(context):
    peer = Peer(context)
    topic, end = context.topic("a"), context.topic("end")
    peer.subscribe(end, 1)
    peer.publish(topic, "r", 1, retain=True)

    def got(handling):
        peer.subscribe([(topic, options(1, handling=handling))])
        peer.publish(end, "end", 1)
        texts = []
        while not texts or texts[-1] != "end":
            texts.append(peer.get().text)
        return texts[:-1]

    equal(got(2), [], "handling 2, new")  # [MQTT-3.3.1-11]
    equal(got(1), [], "handling 1, not new")  # [MQTT-3.3.1-10]
    equal(got(0), ["r"], "handling 0, not new")  # [MQTT-3.3.1-9]
    peer.unsubscribe(topic)
    equal(got(1), ["r"], "handling 1, new")


@scenario("retain as published", 5)
def as_published(context):
    peer, other = Peer(context, "sub"), Peer(context, "other")
    topic = context.topic("a")
    peer.subscribe([(topic, options(1, as_published=True))])
    other.subscribe([(topic, options(1))])
    for retain in (True, False):
        peer.publish(topic, f"{retain}", 1, retain=retain)
        peer.expect(f"{retain}", retain=retain)  # [MQTT-3.3.1-13]
        other.expect(f"{retain}", retain=False)  # [MQTT-3.3.1-12]


@scenario("no local", 5)
def no_local(context):
    peer, other = Peer(context, "sub"), Peer(context, "other")
    topic = context.topic("a")
    peer.subscribe([(topic, options(1, no_local=True))])
    peer.publish(topic, "own", 1)  # [MQTT-3.8.3-3]
    other.publish(topic, "other's", 1)
    peer.expect("other's")


# Wills


@scenario("a will is sent when the connection is cut, and not after DISCONNECT", 4, 5)
def wills(context):
    topic = context.topic("will")
    watcher = Peer(context, "watch")
    watcher.subscribe(topic, 2)
    for qos in (0, 1, 2):
        Peer(context, f"w{qos}", will=(topic, f"gone {qos}", qos, False)).cut()  # [MQTT-3.1.2-8]
        watcher.expect(f"gone {qos}", topic, qos=qos, retain=False)
    Peer(context, "polite", will=(topic, "never", 1, False)).disconnect()  # [MQTT-3.14.4-3], [MQTT-3.1.2-10]
    Peer(context, "last", will=(topic, "end", 1, False)).cut()
    watcher.expect("end")


@scenario("a will may be retained, and empty", 4, 5)
def retained_will(context):
    topic = context.topic("will")
    watcher = Peer(context, "watch")
    watcher.subscribe(topic, 1)
    Peer(context, "one", will=(topic, "gone", 1, True)).cut()
    watcher.expect("gone", retain=False)
    late = Peer(context, "late")
    late.subscribe(topic, 1)
    late.expect("gone", retain=True)  # [MQTT-3.1.2-15]
    Peer(context, "two", will=(topic, "", 1, True)).cut()
    watcher.expect("", retain=False)
    later = Peer(context, "later")
    later.subscribe(topic, 1)
    later.publish(topic, "end", 1)
    later.expect("end")


@scenario("a will is sent when another connection takes over", 4, 5)
def will_takeover(context):
    topic = context.topic("will")
    watcher = Peer(context, "watch")
    watcher.subscribe(topic, 1)
    first = Peer(context, "same", will=(topic, "taken", 1, False))
    Peer(context, "same")
    first.expect_end()
    watcher.expect("taken")


@scenario("a client that says nothing for one and a half keep alives is cut, and its will sent", 4, 5)
def silent(context):
    topic = context.topic("will")
    watcher = Peer(context, "watch")
    watcher.subscribe(topic, 1)
    started = time.monotonic()
    peer = Peer(context, "silent", keep_alive=1, will=(topic, "silent", 1, False))
    peer.client._check_keepalive = lambda: None  # from now on no PINGREQ
    watcher.expect("silent")  # [MQTT-3.1.2-22]
    check(time.monotonic() - started > 1.4, "too early")
    peer.expect_end(0x8D if context.version == 5 else None)


@scenario("DISCONNECT 0x04 sends the will, 0x00 does not", 5)
def will_codes(context):
    topic = context.topic("will")
    watcher = Peer(context, "watch")
    watcher.subscribe(topic, 1)
    Peer(context, "zero", will=(topic, "never", 1, False)).disconnect(0)
    Peer(context, "four", will=(topic, "wished", 1, False)).disconnect(4)
    watcher.expect("wished")


@scenario("a delayed will is sent after its time", 5)
def delayed(context):
    topic = context.topic("will")
    watcher = Peer(context, "watch")
    watcher.subscribe(topic, 1)
    peer = persistent(context, "late", will=(topic, "late", 1, False), will_properties={"WillDelayInterval": 2})
    peer.cut()
    cut = time.monotonic()
    watcher.publish(topic, "meanwhile", 1)
    watcher.expect("meanwhile")
    watcher.expect("late")
    check(time.monotonic() - cut > 1.5, f"after {time.monotonic() - cut:.1f} s")  # [MQTT-3.1.3-9]


@scenario("a delayed will is not sent when the client comes back in time", 5)
def delayed_cancelled(context):
    topic = context.topic("will")
    watcher = Peer(context, "watch")
    watcher.subscribe(topic, 1)
    will = {"will": (topic, "never", 1, False), "will_properties": {"WillDelayInterval": 5}}
    persistent(context, "back", **will).cut()
    cut = time.monotonic()
    check(persistent(context, "back").session_present, "no session")  # [MQTT-3.1.3-9]
    context.until(cut + 5, margin=1.5)
    watcher.publish(topic, "end", 1)
    watcher.expect("end")


@scenario("a delayed will is sent at the latest when the session ends", 5)
def delayed_session(context):
    topic = context.topic("will")
    watcher = Peer(context, "watch")
    watcher.subscribe(topic, 1)
    delay = {"WillDelayInterval": 120}
    Peer(context, "zero", will=(topic, "zero", 1, False), will_properties=delay).cut()  # expiry 0
    watcher.expect("zero")
    persistent(context, "one", SessionExpiryInterval=1, will=(topic, "one", 1, False), will_properties=delay).cut()
    watcher.expect("one")
    persistent(context, "new", will=(topic, "new", 1, False), will_properties=delay).cut()
    Peer(context, "new")  # a clean start ends the old session
    watcher.expect("new")


@scenario("a will carries its properties", 5)
def will_properties(context):
    topic = context.topic("will")
    watcher = Peer(context, "watch")
    watcher.subscribe(topic, 1)
    values = {
        "PayloadFormatIndicator": 1,
        "ContentType": "text/plain",
        "ResponseTopic": "answers",
        "CorrelationData": b"\x00\xff",
        "MessageExpiryInterval": 1000,
        "UserProperty": [("b", "2"), ("a", "1"), ("b", "3")],
    }
    Peer(context, "w", will=(topic, "gone", 1, False), will_properties=values).cut()
    message = watcher.expect("gone")
    for name, value in values.items():
        if name != "MessageExpiryInterval":
            equal(message.get(name), value, name)
    check(990 <= message.get("MessageExpiryInterval", 0) <= 1000, "message expiry")


# 5.0


@scenario("subscription identifiers come with the messages, and change with a new subscription", 5)
def identifiers(context):
    peer = Peer(context)
    topic = context.topic("a")
    peer.subscribe(topic, 1, SubscriptionIdentifier=7)
    peer.publish(topic, "1", 1)
    peer.expect("1", identifiers=[7])  # [MQTT-3.3.4-3]
    peer.subscribe(topic, 1, SubscriptionIdentifier=300)
    peer.publish(topic, "2", 1)
    peer.expect("2", identifiers=[300])
    peer.subscribe(topic, 1)
    peer.publish(topic, "3", 1, retain=True)
    peer.expect("3", identifiers=[])
    peer.subscribe(topic, 1, SubscriptionIdentifier=9)
    peer.expect("3", identifiers=[9], retain=True)


@scenario("shared subscriptions: each message goes to one member, and all get some", 5)
def shared(context):
    topic = context.topic("s/+")
    members = [Peer(context, f"m{index}") for index in range(3)]
    for member in members:
        member.subscribe(f"$share/{context.unique}/{topic}", 1)
    plain = Peer(context, "plain")
    plain.subscribe(topic, 1)
    for index in range(90):
        plain.publish(context.topic(f"s/{index % 4}"), str(index), 1)
    equal(plain.texts(90), [str(index) for index in range(90)], "plain subscription")
    deadline = time.monotonic() + context.timeout
    while sum(len(member.inbox.items) for member in members) < 90 and time.monotonic() < deadline:
        time.sleep(0.01)
    got = [[message.text for message in member.inbox.items] for member in members]
    equal(sorted(sum(got, []), key=int), [str(index) for index in range(90)], "shared messages")
    check(all(len(texts) >= 10 for texts in got), f"balance {[len(texts) for texts in got]}")


@scenario("shared subscriptions: another group gets each message as well; members that leave are passed over", 5)
def shared_groups(context):
    topic = context.topic("s")
    one, two, other = (Peer(context, name) for name in ("one", "two", "other"))
    for peer, group in ((one, "g"), (two, "g"), (other, "h")):
        peer.subscribe(f"$share/{context.unique}{group}/{topic}", 1)
    equal(two.unsubscribe(f"$share/{context.unique}{group[:0]}g/{topic}"), [0], "UNSUBACK")
    for index in range(20):
        other.publish(topic, str(index), 1)
    equal(one.texts(20), [str(index) for index in range(20)], "the member that is left")
    equal(other.texts(20), [str(index) for index in range(20)], "the other group")
    equal(len(two.inbox.items), 0, "messages to the member that left")


@scenario("shared subscriptions get no retained messages", 5)
def shared_retained(context):
    peer = Peer(context)
    topic = context.topic("s")
    peer.publish(topic, "retained", 1, retain=True)
    peer.subscribe(f"$share/{context.unique}/{topic}", 1)  # 3.8.4: not sent to shared subscriptions
    peer.publish(topic, "end", 1)
    peer.expect("end", retain=False)


@scenario("topic aliases of the client", 5)
def aliases(context):
    peer, publisher = Peer(context, "sub"), Peer(context, "pub")
    maximum = getattr(publisher.connack, "TopicAliasMaximum", 0)
    check(maximum > 0, "the broker takes no aliases")
    peer.subscribe(context.topic("#"), 2)
    for alias in {1, maximum}:
        for qos in (0, 1, 2):
            for name in ("first", "second"):  # [MQTT-3.3.2-12]
                topic = context.topic(f"{name}{alias}")
                publisher.publish(topic, "set", qos, TopicAlias=alias)
                peer.expect("set", topic)
                publisher.publish("", "used", qos, TopicAlias=alias)
                peer.expect("used", topic)


@scenario("topic aliases of the broker stay within the client's maximum", 5)
def broker_aliases(context):
    peer, publisher = Peer(context, "sub", TopicAliasMaximum=3), Peer(context, "pub")
    peer.subscribe(context.topic("#"), 1)
    for index in range(60):
        topic = context.topic(f"{index % 5}")
        publisher.publish(topic, str(index), index % 2)
        message = peer.expect(str(index), topic)
        # [MQTT-3.1.2-26], [MQTT-3.3.2-11]
        check(message.get("TopicAlias", 1) in (1, 2, 3), f"alias {message.get('TopicAlias')}")
    none = Peer(context, "none")
    none.subscribe(context.topic("#"), 1)
    for _ in range(5):
        publisher.publish(context.topic("x"), "x", 1)
        check(none.expect("x").get("TopicAlias") is None, "an alias that nobody allowed")  # [MQTT-3.1.2-27]


@scenario("receive maximum of the client: never more on the way", 5)
def receive_maximum(context):
    peer, publisher = Peer(context, "sub", ReceiveMaximum=2, hold=True), Peer(context, "pub")
    topic = context.topic("a")
    peer.subscribe([(topic, 1), (context.topic("free"), 0)])
    for index in range(10):
        publisher.publish(topic, str(index), 1)
    for index in range(10):
        peer.inbox.wait(min(10, index + 2) if index < 9 else 10)
        # What comes at QoS 0 shows that nothing else was on its way.
        publisher.publish(context.topic("free"), "free", 0)
        while peer.inbox.items[-1].text != "free":
            peer.inbox.wait(len(peer.inbox.items) + 1)
        peer.inbox.items = [m for m in peer.inbox.items if m.text != "free"]
        sent = [m.text for m in peer.inbox.items]
        equal(sent, [str(i) for i in range(min(10, index + 2))], "sent")  # [MQTT-3.3.4-9]
        peer.release()


@scenario("maximum packet size of the client: what is larger is not sent, what follows is", 5)
def packet_size(context):
    peer, publisher = Peer(context, "sub", MaximumPacketSize=200), Peer(context, "pub")
    topic = context.topic("a")
    peer.subscribe(topic, 2)
    for qos in (0, 1, 2):
        publisher.publish(topic, "x" * 300, qos)  # [MQTT-3.1.2-24], [MQTT-3.1.2-25]
        publisher.publish(topic, f"small {qos}", qos)
        peer.expect(f"small {qos}")


@scenario("message expiry counts down while a message waits, and ends it", 5)
def expiry_messages(context):
    topic = context.topic("a")
    persistent_peer = persistent(context, "sub")
    persistent_peer.subscribe(topic, 1)
    persistent_peer.disconnect()
    publisher = Peer(context, "pub")
    began = time.monotonic()
    publisher.publish(topic, "short", 1, MessageExpiryInterval=1)
    publisher.publish(topic, "long", 1, MessageExpiryInterval=100)
    publisher.publish(topic, "none", 1)
    publisher.publish(context.topic("kept"), "short", 1, retain=True, MessageExpiryInterval=1)
    publisher.publish(context.topic("long"), "long", 1, retain=True, MessageExpiryInterval=100)
    context.until(time.monotonic() + 1, margin=1.3)
    peer = persistent(context, "sub")
    left = peer.expect("long").get("MessageExpiryInterval")  # [MQTT-3.3.2-5], [MQTT-3.3.2-6]
    check(99 - (time.monotonic() - began) <= left <= 98, f"{left} s left")
    check(peer.expect("none").get("MessageExpiryInterval") is None, "an expiry that nobody set")
    peer.subscribe([(context.topic("kept"), 1), (context.topic("long"), 1)])
    left = peer.expect("long", retain=True).get("MessageExpiryInterval")
    check(99 - (time.monotonic() - began) <= left <= 98, f"{left} s left of the retained one")
    began = time.monotonic()
    publisher.publish(topic, "at once", 1, MessageExpiryInterval=50)
    left = peer.expect("at once").get("MessageExpiryInterval")
    check(49 - (time.monotonic() - began) <= left <= 50, "changed at once")


@scenario("request and response", 5)
def request(context):
    asking, answering = Peer(context, "ask", RequestResponseInformation=1), Peer(context, "answer")
    answering.subscribe(context.topic("request"), 1)
    answers = context.topic("answers")
    asking.subscribe(answers, 1)
    asking.publish(context.topic("request"), "?", 1, ResponseTopic=answers, CorrelationData=b"\x00\x01\xfe\xff")
    question = answering.expect("?")
    equal(question.get("ResponseTopic"), answers, "response topic")  # [MQTT-3.3.2-15]
    answering.publish(
        question.get("ResponseTopic"), "!", 1, CorrelationData=question.get("CorrelationData")
    )
    equal(asking.expect("!").get("CorrelationData"), b"\x00\x01\xfe\xff", "correlation data")  # [MQTT-3.3.2-16]
    check(not hasattr(answering.connack, "ResponseInformation"), "response information that nobody asked for")


@scenario("user properties, content type and payload format are carried through, in order", 5)
def user_properties(context):
    peer = Peer(context)
    topic = context.topic("a")
    peer.subscribe(topic, 2)
    pairs = [("z", "1"), ("a", ""), ("", "2"), ("z", "3"), ("ü", "雪")]
    for retain in (False, True):
        peer.publish(topic, "x", 2, retain=retain, UserProperty=pairs, ContentType="a/b", PayloadFormatIndicator=1)
        if retain:
            peer.get()
            peer.subscribe(topic, 2)
        message = peer.expect("x", retain=retain)
        equal(message.get("UserProperty"), pairs, "user properties")  # [MQTT-3.3.2-17], [MQTT-3.3.2-18]
        equal(message.get("ContentType"), "a/b", "content type")  # [MQTT-3.3.2-20]
        equal(message.get("PayloadFormatIndicator"), 1, "payload format")  # [MQTT-3.3.2-4]


@scenario("a publish is acknowledged with a success code, whether or not somebody hears it", 5)
def publish_codes(context):
    peer = Peer(context)
    peer.subscribe(context.topic("a"), 0)
    if IS_VERSION_2:  # 1.6 does not tell
        for name in ("a", "unheard"):
            for qos in (1, 2):
                code = peer.pubacks[peer.publish(context.topic(name), "x", qos)]
                check(code == 0 or (code == 0x10 and name == "unheard"), f"code {code:#x} for {name} at QoS {qos}")


@scenario("refused topics: codes for subscribe and publish", 4, 5, needs="denied")
def denied(context):
    peer = Peer(context)
    code = 0x87 if context.version == 5 else 0x80
    denied = context.options.denied
    peer.subscribe([(context.topic("a"), 1), (denied, 1), (context.topic("b"), 0)], expect=[1, code, 0])
    if context.version == 5:
        if IS_VERSION_2:
            equal(peer.pubacks[peer.publish(denied, "x", 1)], 0x87, "publish at QoS 1")
            # paho sends PUBREL behind a PUBREC that refuses, and tells the code of the PUBCOMP.
            code = peer.pubacks[peer.publish(denied, "x", 2)]
            check(code in (0x87, 0x92), f"publish at QoS 2: {code:#x}")
        shared = f"$share/g/{denied}"
        peer.subscribe([(shared, 1)], expect=[0x87])
    peer.publish(context.topic("a"), "end", 1)
    peer.expect("end")


@scenario("a will on a refused topic is never sent", 4, 5, needs="denied")
def denied_will(context):
    peer = Peer(context, will=(context.options.denied, "x", 1, False), connect=False)
    if context.version == 5:
        check(peer.code in (0x87, 0x90), f"CONNACK {peer.code}")
    else:
        check(peer.code != 0, "accepted")


@scenario("a packet over the broker's limit ends the connection with 0x95", 5)
def too_large(context):  # [MQTT-3.2.2-15]
    peer = Peer(context)
    size = getattr(peer.connack, "MaximumPacketSize", None)
    if size is not None and size <= 1 << 20:
        peer.publish(context.topic("a"), bytes(size), 0, wait=False)
        peer.expect_end(0x95)
    Peer(context)


if __name__ == "__main__":
    sys.exit(main(__doc__))
