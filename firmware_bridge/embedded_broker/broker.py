"""An MQTT broker of the gateway's own, for trying Earshot out: amqtt in a child process.

The child is this module run as a script. It is told on its standard input, as one JSON line, whom to let in.
It listens on loopback only, says once on its standard output, likewise, which port it took or why it could
not, and ends when its standard input closes; so it cannot outlive the gateway, however that ends. Every
client has to log in, and has its own topics only: ``embedded_door``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import json
import logging
import signal
import sys
from typing import Any, Self

import msgspec
import structlog
from msgspec import Struct

from firmware_bridge import child
from firmware_bridge.embedded_broker.broker_door import BrokerDoor
from firmware_bridge.embedded_broker.passwords import Passwords

log = structlog.get_logger(__name__)

HOST = "127.0.0.1"
START_SECONDS = 15.0
"""How long the child may take to say its port; a small board needs seconds to import amqtt."""
STOP_SECONDS = 3.0


class EmbeddedBrokerFailed(Exception):
    """The broker could not be started: ``reason`` and ``remedy`` in words."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


class _Announcement(Struct):
    """What the child says: its port, or why it has none."""

    port: int = 0
    reason: str = "the embedded MQTT broker did not start"
    remedy: str = ""


class _Orders(Struct):
    """What the child is told: from which secret the passwords are made, and where the topics begin."""

    secret: bytes
    prefix: str


class EmbeddedBroker:
    """One life of the child process: ``async with`` starts and ends it."""

    def __init__(self, port: int, passwords: Passwords, prefix: str) -> None:
        self._orders = _Orders(passwords.secret, prefix)
        self.port = port
        """The port asked for (0: a free one); once started, the one in use."""
        self._process: asyncio.subprocess.Process | None = None
        self._talk: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start it. Raises EmbeddedBrokerFailed."""
        self._process = await child.start(__name__, "--port", str(self.port))
        assert self._process.stderr
        self._talk = asyncio.create_task(
            child.listen_to(self._process.stderr, _note), name="embedded broker's log"
        )
        assert self._process.stdin
        self._process.stdin.write(msgspec.json.encode(self._orders) + b"\n")
        try:
            self.port = await self._announced_port(self._process)
        except BaseException:
            await self._stop()
            raise
        log.info("embedded MQTT broker started", port=self.port)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stop()

    async def ended(self) -> int:
        """Wait until the child has ended by itself; its exit status."""
        assert self._process
        return await self._process.wait()

    @property
    def pid(self) -> int:
        """The child's process id."""
        assert self._process
        return self._process.pid

    async def _announced_port(self, process: asyncio.subprocess.Process) -> int:
        assert process.stdout
        try:
            async with asyncio.timeout(START_SECONDS):
                line = await process.stdout.readline()
            said = msgspec.json.decode(line, type=_Announcement)
        except (TimeoutError, ValueError, RecursionError) as error:
            raise EmbeddedBrokerFailed(
                "the embedded MQTT broker did not start",
                "install mosquitto and set devices.mqtt.url to mqtt://127.0.0.1",
            ) from error
        if not said.port:
            raise EmbeddedBrokerFailed(said.reason, said.remedy)
        return said.port

    async def _stop(self) -> None:
        process, talk = self._process, self._talk
        assert process
        assert process.stdin
        assert talk
        process.stdin.close()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        await talk


def _note(line: str) -> None:
    log.debug("embedded MQTT broker says", line=line)


# -- the child process


async def _serve(port: int, orders: _Orders) -> dict[str, str]:
    """Run the broker until standard input closes; what to say when it could not start."""
    try:
        from amqtt.broker import Broker  # noqa: PLC0415 - an optional stack, and only in the child
        from amqtt.contexts import BrokerConfig, ListenerConfig, ListenerType  # noqa: PLC0415
    except ImportError:
        return {
            "reason": "the embedded MQTT broker (amqtt) is not installed",
            "remedy": f"{sys.executable} -m pip install 'earshot-gateway[embedded]', "
            "or install mosquitto and set devices.mqtt.url to mqtt://127.0.0.1",
        }
    # The socket is opened here and not by amqtt, so that a free port can be asked for and a port
    # in use is an OSError; amqtt calls such a listener external.
    config = BrokerConfig(
        listeners={"default": ListenerConfig(type=ListenerType.EXTERNAL)},
        # Whoever comes so far has logged in at the door.
        plugins={"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    )
    broker = Broker(config)
    await broker.start()

    async def serve(packets: Any, answers: Any) -> None:
        await broker.external_connected(packets, answers, "default")

    door = BrokerDoor(Passwords(orders.secret), orders.prefix, serve)
    try:
        server = await asyncio.start_server(door.admit, HOST, port)
    except OSError as error:
        await broker.shutdown()
        return _port_refused(port, error)
    async with server:
        _say({"port": server.sockets[0].getsockname()[1]})
        await _stdin_closed()
    await broker.shutdown()
    return {}


def _port_refused(port: int, error: OSError) -> dict[str, str]:
    if error.errno == errno.EADDRINUSE:
        return {
            "reason": f"port {port} is in use already",
            "remedy": f"set devices.mqtt.url to mqtt://127.0.0.1:{port} if an MQTT broker runs there, or change "
            "devices.mqtt.embedded_port",
        }
    return {
        "reason": f"port {port}: {error.strerror}",
        "remedy": "set devices.mqtt.embedded_port to a port from 1024 to 65535",
    }


async def _stdin_closed() -> None:
    loop = asyncio.get_running_loop()
    closed = asyncio.Event()
    # Nothing more is ever written to it: readable means closed.
    loop.add_reader(sys.stdin.fileno(), closed.set)
    await closed.wait()
    loop.remove_reader(sys.stdin.fileno())


def _say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)  # noqa: T201 - the announcement is this script's output


def main() -> int:
    """The child's entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    # Ctrl-C and a service's stop reach the whole process group; the gateway still needs its broker
    # while it drains, and closes standard input when it is done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    logging.basicConfig(level=logging.ERROR)
    orders = msgspec.json.decode(sys.stdin.buffer.readline(), type=_Orders)
    failure = asyncio.run(_serve(arguments.port, orders))
    if failure:
        _say(failure)
    return 1 if failure else 0


if __name__ == "__main__":
    sys.exit(main())
