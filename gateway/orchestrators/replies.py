"""The replies to one inquiry, as they travel."""

from __future__ import annotations

import base64
import hashlib
import time

from gateway.contract.agents import Wanted
from gateway.contract.messages import OrchestratorReply, decode_reply, encode, new_id
from gateway.orchestrators.answer import Reply
from gateway.orchestrators.inquiry import Inquiry
from gateway.orchestrators.post import Letter


class Replies:
    """Written, ready to be sent."""

    def __init__(self, inquiry: Inquiry, agent: str) -> None:
        self.inquiry = inquiry
        self.agent = agent
        self._pieces = 0

    def piece(self, text: str, *, interim: bool = False, progress: str = "") -> Letter:
        """One that is not the end. Raises as ``end``."""
        self._pieces += 1
        return self._write(str(self._pieces), Reply(text), final=False, interim=interim, progress=progress)

    def end(self, reply: Reply) -> Letter:
        """The last. Raises TypeError and ValueError for what cannot be said, or would be refused at the other end."""
        return self._write("end", reply)

    def failure(self, error: str) -> Letter:
        """The last: there is no answer, and why."""
        return self._write("end", Reply(), error=error)

    def _write(
        self,
        which: str,
        reply: Reply,
        *,
        final: bool = True,
        interim: bool = False,
        progress: str = "",
        error: str | None = None,
    ) -> Letter:
        heard = self.inquiry.heard
        message = OrchestratorReply(
            correlation_id=heard.correlation_id,
            session_id=heard.session_id,
            text=_checked(reply.text),
            final=final,
            error=error,
            agent=self.agent,
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
            acted=reply.acted,
            compensation=self.inquiry.kind is Wanted.COMPENSATE,
        )
        payload = encode(message)
        decode_reply(payload)
        return Letter(
            self.inquiry.topic,
            self.inquiry.key,
            payload,
            message.message_id,
            heard.correlation_id,
            heard.traceparent,
            heard.priority,
        )

    def _name(self, which: str) -> str:
        """The same for the same reply to the same request: whoever dies over it sends nothing twice."""
        heard = self.inquiry.heard
        if not heard.request_id:
            return new_id("m")
        name = f"{heard.request_id}/{self.inquiry.kind}/{heard.attempt}/{which}"
        digest = hashlib.sha256(name.encode("utf-8", "replace")).digest()[:16]
        return f"m_{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def _checked(text: object) -> str:
    if not isinstance(text, str):
        raise TypeError(f"an answer is made of str; got {type(text).__name__}")
    return text
