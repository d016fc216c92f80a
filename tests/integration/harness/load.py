"""Much traffic at once: many connections that move data all the time, new ones that keep arriving,
and a backend that is up to them, in a process of its own. Every byte is compared."""

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

from .net import HANG, free_port, is_listening, payload, wait_for

_POOL = payload(1 << 20)
_BLOCK = 1 << 14  # what a standing connection sends at a time
_PAUSE = 0.25  # seconds between that
_TICK = 0.01  # seconds between the arrivals of new ones
_CROWD = 200  # new ones that are on their way at a time


class EchoProcess:
    """A TLS backend that demands a certificate of `ca` and sends back what comes."""

    def __init__(self, leaf, ca):
        self.port, self._files = free_port(), [leaf.cert, leaf.key, ca.cert]

    def __enter__(self):
        program = Path(__file__).with_name("load_echo.py")
        self._process = subprocess.Popen(
            [sys.executable, program, str(self.port), *self._files]
        )
        try:
            wait_for(lambda: is_listening(self.port), what="the backend to listen")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()


class Load:
    """Inside the context `standing` connections move data, and `rate` new ones a second arrive (or
    as many as the machine can bear), on all `places` in turn: ports, or paths of UNIX sockets.

    `calls` counts the new ones that have ended well, `errors` tells of all that did not.
    """

    def __init__(self, places, standing, rate):
        self.places, self.standing, self.rate = places, standing, rate
        self.calls, self.moved, self.errors = 0, 0, []
        self._up = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self):
        self._thread.start()
        wait_for(lambda: self.errors or self._up == self.standing and self.calls,
                 what="the load to be there")
        return self

    def wait_calls(self, count):
        """Waits until so many more calls have ended well, or one has failed."""
        target = self.calls + count
        wait_for(lambda: self.calls >= target or self.errors, what=f"{count} calls more")

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(2 * HANG)
        assert not self._thread.is_alive(), "connections hang"

    async def _run(self):
        tasks = [asyncio.create_task(self._judge(self._stand, i)) for i in range(self.standing)]
        tasks.append(asyncio.create_task(self._arrive()))
        await asyncio.gather(*tasks)

    async def _judge(self, what, number):
        place = self.places[number % len(self.places)]
        try:
            reader, writer = await _open(place)
            try:
                await what(reader, writer, number)
                writer.write_eof()
                rest = await reader.read()
                assert rest == b"", f"{len(rest)} bytes too many"
            finally:
                writer.close()
        except (OSError, EOFError, AssertionError) as error:
            self.errors.append(f"{what.__name__} at {place}: {error!r}")

    async def _stand(self, reader, writer, number):
        at = number * 4099
        while True:
            await self._echo(reader, writer, _piece(at, _BLOCK))
            self._up += at == number * 4099
            at += _BLOCK + 1
            if self._stop.is_set():
                return
            await asyncio.sleep(_PAUSE)

    async def _call(self, reader, writer, number):
        await self._echo(reader, writer, _piece(number * 7919, 1 + number % 3000))

    async def _echo(self, reader, writer, data):
        writer.write(data)
        assert await reader.readexactly(len(data)) == data, "other bytes than were sent"
        self.moved += len(data)

    async def _arrive(self):
        loop = asyncio.get_running_loop()
        number, owed, last, calls = 0, 0.0, loop.time(), set()
        while not self._stop.is_set() and not self.errors:
            now = loop.time()
            owed, last = min(owed + (now - last) * self.rate, _CROWD), now
            while owed >= 1 and len(calls) < _CROWD:
                owed -= 1
                number += 1
                task = asyncio.create_task(self._arrived(number))
                calls.add(task)
                task.add_done_callback(calls.discard)
            await asyncio.sleep(_TICK)
        await asyncio.gather(*calls)

    async def _arrived(self, number):
        failed = len(self.errors)
        await self._judge(self._call, number)
        self.calls += len(self.errors) == failed


def _piece(at, size):
    at %= len(_POOL) - size
    return _POOL[at : at + size]


async def _open(place):
    if isinstance(place, int):
        return await asyncio.open_connection("127.0.0.1", place)
    return await asyncio.open_unix_connection(str(place))
