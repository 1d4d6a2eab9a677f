"""The replies to one inquiry: written, and published under the same ids however often that takes."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
from contextlib import suppress
from typing import NamedTuple

import structlog

from firmware_bridge.pacing import Backoff
from gateway.broker.base import BrokerUnavailable, MessageBroker
from gateway.contract.messages import OrchestratorReply, decode_reply, encode, new_id
from gateway.contract.tracing import HEADER
from gateway.orchestrators.answer import Reply
from gateway.orchestrators.inquiry import Inquiry

log = structlog.get_logger(__name__)


class Written(NamedTuple):
    """A reply as it travels, each time under the same id."""

    message_id: str
    payload: bytes


class Replies:
    """Where the answer to one inquiry goes."""

    def __init__(self, broker: MessageBroker, inquiry: Inquiry, agent: str, retry_seconds: float) -> None:
        """A reply is published again after a tenth of ``retry_seconds``, and then after up to so long."""
        self.inquiry = inquiry
        self._broker = broker
        self._agent = agent
        self._retry_seconds = retry_seconds
        self._pieces = 0
        self._headers = {HEADER: trace} if (trace := inquiry.heard.traceparent) else None

    def piece(self, text: str, *, interim: bool = False, progress: str = "") -> Written:
        """One that is not the end. Raises as ``end``."""
        self._pieces += 1
        return self._write(str(self._pieces), Reply(text), final=False, interim=interim, progress=progress)

    def end(self, reply: Reply) -> Written:
        """The last. Raises TypeError and ValueError for what cannot be said, or would be refused at the other end."""
        return self._write("end", reply)

    def failure(self, error: str) -> Written:
        """The last: there is no answer, and why."""
        return self._write("end", Reply(), error=error)

    async def offer(self, written: Written) -> None:
        """Once: it does without where the broker is not there."""
        with suppress(BrokerUnavailable):
            await self._publish(written)

    async def send(self, written: Written) -> None:
        """As often as the broker is not there."""
        backoff = Backoff(self._retry_seconds / 10, self._retry_seconds)
        told = False
        while True:
            try:
                await self._publish(written)
            except BrokerUnavailable as error:
                if not told:
                    log.warning("the reply waits for the broker", reason=str(error))
                    told = True
                await asyncio.sleep(backoff.next())
            else:
                return

    def _write(
        self,
        which: str,
        reply: Reply,
        *,
        final: bool = True,
        interim: bool = False,
        progress: str = "",
        error: str | None = None,
    ) -> Written:
        heard = self.inquiry.heard
        message = OrchestratorReply(
            correlation_id=heard.correlation_id,
            session_id=heard.session_id,
            text=_checked(reply.text),
            final=final,
            error=error,
            agent=self._agent,
            message_id=self._name(which),
            timestamp=time.time(),
            hints=reply.hints,
            request_id=heard.request_id,
            interim=interim,
            progress=progress,
            understood=reply.understood,
            confidence=reply.confidence,
            data=reply.data,
            traceparent=heard.traceparent,
        )
        payload = encode(message)
        decode_reply(payload)
        return Written(message.message_id, payload)

    def _name(self, which: str) -> str:
        """The same for the same reply to the same request: whoever dies over it sends nothing twice."""
        heard = self.inquiry.heard
        if not heard.request_id:
            return new_id("m")
        name = f"{heard.request_id}/{self.inquiry.kind}/{heard.attempt}/{which}"
        digest = hashlib.sha256(name.encode("utf-8", "replace")).digest()[:16]
        return f"m_{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"

    async def _publish(self, written: Written) -> None:
        await self._broker.publish(
            self.inquiry.topic,
            self.inquiry.key,
            written.payload,
            correlation_id=self.inquiry.heard.correlation_id,
            message_id=written.message_id,
            headers=self._headers,
        )


def _checked(text: object) -> str:
    if not isinstance(text, str):
        raise TypeError(f"an answer is made of str; got {type(text).__name__}")
    return text
