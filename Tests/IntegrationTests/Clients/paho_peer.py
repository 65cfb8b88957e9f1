"""One client of paho-mqtt, 1.6 or 2.x, for scenarios: what it receives is waited for, and codes are plain numbers."""
import socket
import threading

import paho.mqtt
import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCodes
from paho.mqtt.subscribeoptions import SubscribeOptions

from scenarios import Failed, Inbox, check, equal

IS_VERSION_2 = paho.mqtt.__version__.startswith("2.")


def number(code):
    return getattr(code, "value", code)


def properties(kind, values):
    made = Properties(kind)
    for name, value in values.items():
        for one in value if isinstance(value, list) and name != "UserProperty" else [value]:
            setattr(made, name, one)
    return made


def options(qos=0, no_local=False, as_published=False, handling=0):
    return SubscribeOptions(qos, no_local, as_published, handling)


class Message:
    def __init__(self, raw, topic):
        self.topic = topic
        self.payload = raw.payload
        self.text = raw.payload.decode("utf-8", "replace")
        self.qos = raw.qos
        self.retain = bool(raw.retain)
        self.dup = bool(raw.dup)
        self.mid = raw.mid
        self.properties = getattr(raw, "properties", None)

    def get(self, name, default=None):
        return getattr(self.properties, name, default)

    @property
    def identifiers(self):
        """Subscription identifiers, sorted."""
        found = self.get("SubscriptionIdentifier", [])
        return sorted(found if isinstance(found, list) else [found])

    def __repr__(self):
        return f"{self.topic}={self.text[:40]!r} q{self.qos}{' retained' if self.retain else ''}"


class Peer:
    """Connected when made, unless refused: see ``code``."""

    def __init__(
        self, context, name="c", clean=True, keep_alive=60, will=None, will_properties=None, connect=True, hold=False,
        **values
    ):
        """name: of the client id, "" for none. will: topic, payload, qos, retain. hold: PUBACKs wait for ``release``.
        values: properties of CONNECT."""
        given, self.context = context.options, context
        self.version = context.version
        self.inbox = Inbox(context.timeout)
        self.subacks, self.unsubacks, self.pubacks = {}, {}, {}
        self.changed = threading.Condition()
        self.session_present = self.code = self.connack = self.disconnect_code = None
        self.ended = self.stopped = False
        self.held, self.aliases, self.pings = [], {}, 0
        arguments = {"protocol": self.version, "transport": given.transport, "reconnect_on_failure": False}
        if self.version != mqtt.MQTTv5:
            arguments["clean_session"] = clean
        if IS_VERSION_2:
            arguments["callback_api_version"] = mqtt.CallbackAPIVersion.VERSION2
        self.client = client = mqtt.Client(client_id=context.id(name) if name else "", **arguments)
        if given.user:
            client.username_pw_set(given.user, given.password)
        if given.ca:
            client.tls_set(given.ca, given.certificate, given.key)
        if given.transport == "websockets":
            client.ws_set_options(path=given.path)
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_message = self._message
        client.on_subscribe = lambda c, u, mid, codes, *rest: self._note(self.subacks, mid, [number(x) for x in codes])
        client.on_unsubscribe = self._unsubscribed
        client.on_publish = lambda c, u, mid, code=0, *rest: self._note(self.pubacks, mid, number(code))
        pong = client._handle_pingresp
        client._handle_pingresp = lambda: (self._count_ping(), pong())[1]
        # Taken from the packet itself: paho 1.6 passes over a reason without properties.
        disconnected = client._handle_disconnect
        client._handle_disconnect = lambda: (self._told(bytes(client._in_packet["packet"])), disconnected())[1]
        if hold:
            self._puback = client._send_puback
            client._send_puback = lambda mid: (self.held.append(mid), mqtt.MQTT_ERR_SUCCESS)[1]
        if will:
            values_of_will = properties(PacketTypes.WILLMESSAGE, will_properties or {})
            client.will_set(*will, **({"properties": values_of_will} if self.version == 5 else {}))
        more = {}
        if self.version == mqtt.MQTTv5:
            more = {"clean_start": clean, "properties": properties(PacketTypes.CONNECT, values)}
        client.connect(given.host, given.port, keep_alive, **more)
        client.loop_start()
        context.cleanup.append(self.stop)
        self._wait(lambda: self.code is not None or self.ended, "CONNACK")
        if connect:
            check(self.code == 0, f"CONNECT of {name}: code {self.code}, disconnected {self.ended}")

    def _wait(self, condition, what, timeout=None):
        limit = timeout or self.context.timeout
        with self.changed:
            if not self.changed.wait_for(condition, limit):
                raise Failed(f"no {what} within {limit} s")

    def _note(self, table, key, value):
        with self.changed:
            table[key] = value
            self.changed.notify_all()

    def _connected(self, client, userdata, flags, code, values=None):
        with self.changed:
            self.session_present = bool(flags["session present"] if isinstance(flags, dict) else flags.session_present)
            self.connack = values
            self.code = number(code)
            self.changed.notify_all()

    def _disconnected(self, client, userdata, *rest):
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def _told(self, packet):
        self.disconnect_code = packet[0] if packet else 0

    def _unsubscribed(self, client, userdata, mid, *rest):
        codes = next((x for x in rest if isinstance(x, list) or hasattr(x, "value")), [])
        self._note(self.unsubacks, mid, [number(x) for x in (codes if isinstance(codes, list) else [codes])])

    def _count_ping(self):
        with self.changed:
            self.pings += 1
            self.changed.notify_all()

    def _message(self, client, userdata, raw):
        topic = raw.topic
        alias = getattr(getattr(raw, "properties", None), "TopicAlias", None)
        if alias is not None:  # paho leaves aliases to its user.
            if topic:
                self.aliases[alias] = topic
            topic = self.aliases.get(alias, f"unknown alias {alias}")
        self.inbox.put(Message(raw, topic))

    def publish(self, topic, payload="", qos=0, retain=False, wait=True, **values):
        """The packet identifier; with wait, once it is acknowledged (or handed to the socket)."""
        more = {"properties": properties(PacketTypes.PUBLISH, values)} if self.version == mqtt.MQTTv5 else {}
        info = self.client.publish(topic, payload, qos, retain, **more)
        if wait:
            self._wait(lambda: info.mid in self.pubacks or self.ended, f"acknowledgement of {topic}")
        return info.mid

    def subscribe(self, filters, qos=0, expect=None, **values):
        """filters: one, or a list of (filter, QoS or options). expect: the codes, else the QoS asked for."""
        filters = filters if isinstance(filters, list) else [(filters, qos)]
        more = {"properties": properties(PacketTypes.SUBSCRIBE, values)} if values else {}
        if self.version == mqtt.MQTTv5:
            filters = [(f, o if isinstance(o, SubscribeOptions) else options(o)) for f, o in filters]
            wanted = [o.QoS for _, o in filters]
        else:
            wanted = [q for _, q in filters]
        status, mid = self.client.subscribe(filters, **more)
        self._wait(lambda: mid in self.subacks or self.ended, f"SUBACK for {filters}")
        codes = self.subacks.get(mid)
        expected = wanted if expect is None else expect
        check(codes == expected, f"SUBACK for {[f for f, _ in filters]}: {codes}, not {expected}")

    def unsubscribe(self, filters):
        """The codes (of 5.0)."""
        status, mid = self.client.unsubscribe(filters)
        self._wait(lambda: mid in self.unsubacks or self.ended, f"UNSUBACK for {filters}")
        return self.unsubacks.get(mid)

    def get(self, timeout=None):
        return self.inbox.get(timeout=timeout)

    def texts(self, count):
        return [self.get().text for _ in range(count)]

    def expect(self, text, topic=None, **fields):
        """The next message."""
        message = self.get()
        check(message.text == text and topic in (None, message.topic), f"got {message!r}, not {text!r}")
        for name, value in fields.items():
            equal(getattr(message, name), value, f"{name} of {message!r}")
        return message

    def release(self):
        """Sends the PUBACK of the oldest message that is held."""
        self._puback(self.held.pop(0))

    def expect_end(self, code=None):
        """The broker closes, and has told this reason."""
        self._wait(lambda: self.ended, "end of the connection")
        if code is not None:
            check(self.disconnect_code == code, f"the reason told is {self.disconnect_code!r}, not {code}")

    def cut(self):
        """Ends the connection without DISCONNECT."""
        raw = self.client.socket()
        getattr(raw, "_socket", raw).shutdown(socket.SHUT_RDWR)
        self._wait(lambda: self.ended, "end after cutting")
        self._stop_loop()

    def disconnect(self, code=None, **values):
        more = {}
        if self.version == mqtt.MQTTv5:
            more["properties"] = properties(PacketTypes.DISCONNECT, values)
            if code is not None:
                more["reasoncode"] = ReasonCodes(PacketTypes.DISCONNECT, identifier=code)
        self.client.disconnect(**more)
        self._wait(lambda: self.ended, "end after DISCONNECT")
        self._stop_loop()

    def _stop_loop(self):
        self.stopped = True
        self.client.loop_stop()

    def stop(self):
        if not self.stopped:
            self.client.disconnect()
            self._stop_loop()
