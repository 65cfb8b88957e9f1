"""An HTTP proxy that opens tunnels (CONNECT) to 127.0.0.1, for whoever has the user name and password.

    http_proxy.py USER:PASSWORD

Prints its port, then a line for each request: the target, and the status of the answer.
"""

import asyncio
import base64
import sys


async def pump(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    writer.close()


async def serve(reader, writer):
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
        return writer.close()
    method, target, _ = head[0].split(" ")
    fields = dict(line.split(": ", 1) for line in head[1:] if line)
    expected = "Basic " + base64.b64encode(sys.argv[1].encode()).decode()
    if fields.get("Proxy-Authorization") != expected:
        status = 407
    elif method != "CONNECT":
        status = 405
    else:
        status = 200
    print(target, status, flush=True)
    if status != 200:
        writer.write(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        return writer.close()
    port = int(target.rsplit(":", 1)[1])
    far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
    await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print("port", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
