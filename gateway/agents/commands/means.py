"""By what commands act: servers, a broker, programs; what is not wanted is not imported."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from gateway.orchestrators.answer import CannotAnswer
from gateway.settings.orchestrator import AgentSettings

if TYPE_CHECKING:
    from gateway.agents.commands.http_servers import HttpServers
    from gateway.agents.commands.mqtt_publisher import MqttPublisher


class OpenMeans:
    """Those of one agent; each is there from its first use on."""

    def __init__(self, name: str, settings: AgentSettings, token: str) -> None:
        self._name = name
        self._settings = settings
        self._token = token
        self._servers: HttpServers | None = None
        self._publisher: MqttPublisher | None = None
        self._stack: AsyncExitStack | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """As long as anything may be done."""
        async with AsyncExitStack() as stack:
            self._stack = stack
            try:
                yield
            finally:
                self._stack = self._servers = self._publisher = None

    async def ask(
        self,
        origin: str,
        path: str,
        *,
        method: str,
        headers: Mapping[str, str],
        body: bytes | None,
        token: bool,
    ) -> Any:
        """An HTTP server: its JSON, or text. Raises CannotAnswer."""
        if self._servers is None:
            from gateway.agents.commands.http_servers import HttpServers  # noqa: PLC0415

            self._servers = HttpServers(self._token, self._settings.ca_file)
            await self._open.enter_async_context(self._servers.running())
        return await self._servers.ask(origin, path, method=method, headers=headers, body=body, token=token)

    async def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        """To the MQTT broker. Raises CannotAnswer."""
        if self._publisher is None:
            from gateway.agents.commands.mqtt_publisher import publisher  # noqa: PLC0415

            self._publisher = publisher(self._name, self._settings.commands.mqtt)
            await self._open.enter_async_context(self._publisher.running())
        await self._publisher.publish(topic, payload, qos=qos, retain=retain)

    async def run(self, argv: tuple[str, ...], name: str) -> str:
        """A program: what it writes. Raises CannotAnswer."""
        from gateway.agents.commands.programs import run_program  # noqa: PLC0415

        return await run_program(argv, name)

    @property
    def _open(self) -> AsyncExitStack:
        if self._stack is None:
            raise CannotAnswer("it is not running")
        return self._stack
