"""The program of load.EchoProcess: PORT CERTIFICATE KEY CA."""

import asyncio
import ssl
import sys


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self._transport = transport

    def data_received(self, data):
        self._transport.write(data)


async def serve(port, cert, key, ca):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    context.load_verify_locations(ca)
    context.verify_mode = ssl.CERT_REQUIRED
    server = await asyncio.get_running_loop().create_server(
        Echo, "127.0.0.1", port, ssl=context, backlog=4096, ssl_handshake_timeout=120
    )
    await server.serve_forever()


asyncio.run(serve(int(sys.argv[1]), *sys.argv[2:5]))
