"""What of each answer its device has been told already, while it comes into being.

A device that wants pieces gets each as it comes; at the end it is told only what is missing, if all of them went out
to it and the answer begins with them, and all of it in their place otherwise. Others are told at the end. No I/O.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from gateway.pipeline.sessions.names import NO_BOOT, StreamName, UtteranceName
from gateway.pipeline.telling.devices import Devices

MAX_GROWING = 8
"""Answers of one device that grow at the same time; further ones are told at their end."""
MAX_CHARACTERS = 4 * 1024 * 1024
"""What all of them may have of text; beyond it they are told at their end, too."""
MAX_LIVE = 10_000
"""Answers that are remembered here; those that began first go first."""


@dataclass(slots=True, eq=False)
class _Live:
    """One answer. ``text``: all of its pieces. ``shown``: its device has exactly that, or it is on its way.

    ``grows`` false: it is told at its end only.
    """

    stream: StreamName
    text: str = ""
    shown: bool = False
    grows: bool = True


class LiveReplies:
    """Those that have begun and not ended, by correlation id, oldest first."""

    def __init__(self, devices: Devices) -> None:
        self._devices = devices
        self._live: OrderedDict[str, _Live] = OrderedDict()
        self._characters = 0

    def __len__(self) -> int:
        return len(self._live)

    # -- an answer grows

    def piece(self, name: UtteranceName, text: str) -> None:
        """``text`` goes behind what was told of it, on a device that wants that."""
        if name.boot == NO_BOOT:
            return  # whoever asked is a listener, and has it
        one = self._live.get(name.correlation_id) or self._begin(name)
        if not one.grows or not text:
            return
        if self._characters + len(text) > MAX_CHARACTERS:
            self._stop(one)
            return
        one.text += text
        self._characters += len(text)
        told, anew = (text, False) if one.shown else (one.text, True)
        one.shown = self._devices.send_piece(*name.stream, name.correlation_id, told, anew=anew)

    def interim(self, name: UtteranceName, text: str) -> bool:
        """A whole first answer, in place of whatever was told of it; a better one follows. False: there is no room."""
        self.forget(name.correlation_id)
        return self._devices.send_reply(*name.stream, name.correlation_id, text, final=False)

    def end(self, name: UtteranceName, text: str, *, error: bool = False, fallback: bool = False) -> bool:
        """The whole answer is ``text``. False: the device has rebooted, or takes nothing more; to be tried again."""
        one = self._live.get(name.correlation_id)
        goes_on = one is not None and self._is_beginning(one, text)
        rest = text[len(one.text) :] if one is not None and goes_on else text
        sent = self._devices.send_reply(
            *name.stream,
            name.correlation_id,
            rest,
            final=True,
            fallback=fallback,
            error=error,
            whole=not goes_on,
        )
        if sent:
            self.forget(name.correlation_id)
        return sent

    def _is_beginning(self, one: _Live, text: str) -> bool:
        """Whether what is shown is the beginning of that."""
        wanted = self._devices.wants_pieces(one.stream.device_id, one.stream.boot)
        return wanted and one.shown and text.startswith(one.text)

    # -- devices and gateways come and go

    def resume(self, name: UtteranceName, text: str) -> None:
        """An answer of which a gateway before this one had so much: what comes next is told with that."""
        if name.boot == NO_BOOT:
            return
        self._remember(name, _Live(name.stream, text))
        self._characters += len(text)

    def renew(self, device_id: str, boot: int) -> None:
        """What a device was sent and has not taken is lost: what comes next is told from the beginning."""
        for correlation_id, one in list(self._live.items()):
            if one.stream.device_id != device_id:
                continue
            one.shown = False
            if one.stream.boot != boot:
                self.forget(correlation_id)

    def forget(self, correlation_id: str) -> None:
        """It has its end, or will never have one."""
        one = self._live.pop(correlation_id, None)
        if one is not None:
            self._characters -= len(one.text)

    def _begin(self, name: UtteranceName) -> _Live:
        """Whoever does not want the first piece gets none, for the others would make no sense to it."""
        device_id, boot, _ = name.stream
        growing = sum(one.grows for one in self._live.values() if one.stream.device_id == device_id)
        grows = growing < MAX_GROWING and self._devices.wants_pieces(device_id, boot)
        return self._remember(name, _Live(name.stream, grows=grows))

    def _remember(self, name: UtteranceName, one: _Live) -> _Live:
        self._live[name.correlation_id] = one
        if len(self._live) > MAX_LIVE:
            self.forget(next(iter(self._live)))
        return one

    def _stop(self, one: _Live) -> None:
        self._characters -= len(one.text)
        one.text, one.shown, one.grows = "", False, False
