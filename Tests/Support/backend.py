#!/usr/bin/env python3
"""A backend of a load balancer: answers over TCP and UDP with its own name and the address that it sees.

    backend.py NAME PORT [ADDRESS...]

TCP: to a line that begins with GET an HTTP response, after which the connection ends; to any other line "NAME CLIENT\\n".
UDP: to each datagram "NAME CLIENT". Without addresses all are served, IPv4 and IPv6.
"""
import asyncio
import socket
import sys

NAME, PORT = sys.argv[1], int(sys.argv[2])
ADDRESSES = sys.argv[3:] or ['0.0.0.0', '::']


async def serve(reader, writer):
    client = writer.get_extra_info('peername')[0]
    try:
        while line := await reader.readline():
            if line.startswith(b'GET'):
                while (await reader.readline()).strip():
                    pass
                body = f'{NAME} {client}\n'.encode()
                writer.write(b'HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n' % len(body) + body)
                break
            writer.write(f'{NAME} {client}\n'.encode())
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


class Datagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, peer):
        # What came in pieces goes back in pieces.
        self.transport.sendto(f'{NAME} {peer[0]}'.encode().ljust(len(data), b' '), peer)


def bound(address, kind):
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    sock = socket.socket(family, kind)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind((address, PORT))
    return sock


async def main():
    loop = asyncio.get_running_loop()
    for address in ADDRESSES:
        await asyncio.start_server(serve, sock=bound(address, socket.SOCK_STREAM), backlog=1024)
        await loop.create_datagram_endpoint(Datagrams, sock=bound(address, socket.SOCK_DGRAM))
    print('ready', flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
