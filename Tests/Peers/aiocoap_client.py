"""aiocoap as a node: each line of standard input is a command in JSON, each answer a line in JSON with the command's id.

    aiocoap_client.py PORT [--psk IDENTITY KEY | --oscore DIRECTORY]

    {"id": 1, "method": "POST", "path": "/ps/a/b", "payload": "in hex"}
        further: "query" ["a=b"], "format" 0, "non" true, "observe" true, "echo" "in hex", "options" [[number, "in hex"]]
    {"id": 1, "cancel": true}                     ends an observation

An answer has code ("2.05"), payload (hex), and, where they are there, format, maxAge, observe, echo, etag, location. A request
that fails has "error". An observation's first answer comes like any other, what follows has "notification": true.
"""
import asyncio
import json
import sys

import aiocoap
from aiocoap import numbers
from aiocoap.optiontypes import OpaqueOption


def options_of(message):
    found = {"format": message.opt.content_format, "maxAge": None, "observe": message.opt.observe,
             "echo": message.opt.echo and message.opt.echo.hex(), "etag": message.opt.etag and message.opt.etag.hex()}
    if message.opt.content_format is not None:
        found["format"] = int(message.opt.content_format)
    if any(option.number == numbers.OptionNumber.MAX_AGE for option in message.opt.option_list()):
        found["maxAge"] = message.opt.max_age
    return {name: value for name, value in found.items() if value is not None}


class Peer:
    def __init__(self, context, base):
        self.context, self.base, self.running = context, base, {}

    def say(self, id, message=None, **more):
        if message is not None:
            more |= {"code": message.code.dotted, "payload": message.payload.hex()} | options_of(message)
        print(json.dumps({"id": id} | more), flush=True)

    def message(self, command):
        message = aiocoap.Message(
            code=getattr(aiocoap, command["method"]), payload=bytes.fromhex(command.get("payload", "")),
            uri=self.base + command["path"], transport_tuning=aiocoap.Unreliable if command.get("non") else None,
        )
        if command.get("query"):
            message.opt.uri_query = command["query"]
        if "format" in command:
            message.opt.content_format = command["format"]
        if "echo" in command:
            message.opt.echo = bytes.fromhex(command["echo"])
        if command.get("observe"):
            message.opt.observe = 0
        for number, value in command.get("options", []):
            message.opt.add_option(OpaqueOption(numbers.OptionNumber(number), bytes.fromhex(value)))
        return message

    async def perform(self, command):
        id = command["id"]
        try:
            request = self.context.request(self.message(command))
            self.say(id, await request.response)
            if request.observation is None:
                return
            async for notification in request.observation:
                self.say(id, notification, notification=True)
            self.say(id, end=True)
        except asyncio.CancelledError:
            if request.observation is not None and not request.observation.cancelled:
                request.observation.cancel()
            raise
        except Exception as problem:
            self.say(id, error=f"{type(problem).__name__}: {problem}")

    async def read(self):
        reader = asyncio.StreamReader(limit=1 << 20)
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            command = json.loads(line)
            if command.get("cancel"):
                self.running.pop(command["id"]).cancel()
            else:
                self.running[command["id"]] = asyncio.create_task(self.perform(command))


async def main(port, *security):
    context = await aiocoap.Context.create_client_context()
    scheme = "coap"
    if security[:1] == ("--psk",):
        scheme, (identity, key) = "coaps", security[1:]
        what = {"dtls": {"psk": {"ascii": key}, "client-identity": {"ascii": identity}}}
    elif security[:1] == ("--oscore",):
        what = {"oscore": {"basedir": security[1].rstrip("/") + "/"}}
    base = f"{scheme}://127.0.0.1:{port}"
    if security:
        context.client_credentials.load_from_dict({f"{base}/*": what})
    try:
        await Peer(context, base).read()
    finally:
        await context.shutdown()


asyncio.run(main(*sys.argv[1:]))
