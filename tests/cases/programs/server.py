"""HTTP servers of every process model: server.py MODEL HOST PORT.

thread: a thread per connection · fork: a process per connection · prefork: four processes share a listener ·
asyncio: one thread for all · passed: one process accepts and hands each socket to another one (SCM_RIGHTS) ·
proxy (then TARGET_HOST TARGET_PORT): asyncio, asks another server before it answers, over one shared connection
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"
_ENOUGH = 65_536
_WORKERS = 4


def main() -> None:
    """Serve until killed."""
    model, host, port = sys.argv[1:4]
    listener = _listen(host, int(port))
    sys.stdout.write("up\n")
    sys.stdout.flush()
    MODELS[model](listener)


def serve(connection: socket.socket) -> None:
    """Answer every request of a connection."""
    with connection:
        data = b""
        while part := connection.recv(_ENOUGH):
            data += part
            while (end := data.find(b"\r\n\r\n")) >= 0:
                data = data[end + 4 :]
                connection.sendall(_ANSWER)


def _thread(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


def _fork(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            serve(connection)
            os._exit(0)
        connection.close()


def _prefork(listener: socket.socket) -> None:
    for _ in range(_WORKERS - 1):
        if os.fork() == 0:
            break
    while True:
        connection, _ = listener.accept()
        serve(connection)


def _asyncio(listener: socket.socket) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(_ANSWER)
                await writer.drain()
        except asyncio.IncompleteReadError:
            writer.close()

    async def forever() -> None:
        server = await asyncio.start_server(answer, sock=listener)
        await server.serve_forever()

    asyncio.run(forever())


def _proxy(listener: socket.socket) -> None:
    host, port = sys.argv[4:]

    async def forever() -> None:
        above = await asyncio.open_connection(host, int(port))
        turn = asyncio.Lock()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while request := await reader.readuntil(b"\r\n\r\n"):
                    async with turn:
                        above[1].write(request)
                        answered = await above[0].readuntil(b"ok\n")
                    writer.write(answered)
                    await writer.drain()
            except asyncio.IncompleteReadError:
                writer.close()

        server = await asyncio.start_server(answer, sock=listener)
        await server.serve_forever()

    asyncio.run(forever())


def _passed(listener: socket.socket) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    if os.fork() == 0:
        ours.close()
        listener.close()
        while True:
            _, descriptors, _, _ = socket.recv_fds(theirs, 1, 1)
            serve(socket.socket(fileno=descriptors[0]))
    theirs.close()
    while True:
        connection, _ = listener.accept()
        socket.send_fds(ours, [b"x"], [connection.fileno()])
        connection.close()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listener.bind((host, port))
    listener.listen(1024)
    return listener


MODELS = {
    "thread": _thread,
    "fork": _fork,
    "prefork": _prefork,
    "asyncio": _asyncio,
    "passed": _passed,
    "proxy": _proxy,
}

if __name__ == "__main__":
    main()
