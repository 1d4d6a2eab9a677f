"""What the pipeline wants of devices, whoever keeps the lines to them.

A device is spoken to by its own numbers (``StreamName``): one that has been switched off since, or is not known any
more, is told nothing. What is true or false of a ``send_`` is whether it is on its way.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

from firmware_bridge.link.events import DeviceStatus


class Devices(Protocol):
    """The port behind which the links stand (`firmware_bridge/bridge.py`). Nothing here waits."""

    # -- about a stream of one boot of a device

    def settle(self, device_id: str, boot: int, stream: int, position: int) -> None:
        """Audio before ``position`` (in samples) is safe; the device may forget it."""

    def send_status(self, device_id: str, boot: int, stream: int, status: DeviceStatus) -> bool:
        """What is happening."""

    def wants_partials(self, device_id: str, boot: int) -> bool:
        """Whether it wants what ``send_partial`` sends."""

    def send_partial(self, device_id: str, boot: int, stream: int, text: str, stable: str = "") -> bool:
        """What was understood so far; ``stable``: its beginning that will not change."""

    def send_transcript(self, device_id: str, boot: int, stream: int, correlation_id: str, text: str) -> bool:
        """What was said."""

    def send_reply(
        self,
        device_id: str,
        boot: int,
        stream: int,
        correlation_id: str,
        text: str,
        *,
        final: bool,
        fallback: bool = False,
        error: bool = False,
        whole: bool = True,
    ) -> bool:
        """An answer, or (``final`` false) a first one, which the next takes the place of.

        That the device has taken the last one is told to :meth:`Pipeline.delivered`. ``whole`` false: it goes behind
        what ``send_piece`` has sent since the device was connected anew.
        """

    def wants_pieces(self, device_id: str, boot: int) -> bool:
        """Whether it wants what ``send_piece`` sends."""

    def send_piece(
        self, device_id: str, boot: int, stream: int, correlation_id: str, text: str, *, anew: bool
    ) -> bool:
        """What an answer grows by; ``anew``: all of it so far, in place of what was told."""

    # -- about a device

    def visitor(self, device_id: str) -> str:
        """Who speaks as this device; "" of a board."""

    def renew(self, device_id: str, boot: int) -> None:
        """Ask it for everything that is not safe yet, from the beginning."""

    def forget(self, device_id: str) -> bool:
        """Give up one that is away; False when it is here."""

    # -- about all of them

    def set_busy(self, is_busy: Callable[[str], bool]) -> None:
        """For which of them there is no time now: they keep what they record and send none of it."""

    def blank(self, correlation_ids: Collection[str]) -> None:
        """Of what goes by these ids the words are told to no device any more."""
