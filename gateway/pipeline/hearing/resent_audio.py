"""Streams that were heard before: what of their audio comes again, and what would be more of them.

A stream of the gateway before this one is sent again from what its device still keeps; what is in utterances already is
cut off. More of a stream that has ended begins anew, as a session of its own.
"""

from __future__ import annotations

from collections import OrderedDict

from gateway.journal.records import StreamRow
from gateway.pipeline.sessions.names import StreamName
from gateway.pipeline.sessions.rows import stream_name
from gateway.pipeline.sessions.session import Session


class FormerStreams:
    """By their names; no more have lapsed than there may be sessions."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._left: dict[StreamName, StreamRow] = {}
        self.lapsed: OrderedDict[StreamName, bool] = OrderedDict()
        """Those that ended while their device was away, and whether silence ends their utterances."""

    def remember(self, row: StreamRow) -> None:
        """A stream of the gateway before this one, or of another; what is in its utterances is not heard again."""
        name = stream_name(row)
        known = self._left.get(name)
        if known is None or known.heard_to <= row.heard_to:
            self._left[name] = row
        self.lapsed.pop(name, None)

    def left(self, name: StreamName) -> StreamRow | None:
        """What the gateway before this one knew of it."""
        return self._left.get(name)

    def lapse(self, session: Session) -> None:
        """Should more come of its stream, that begins anew."""
        self.lapsed[session.name] = session.end_on_silence
        if len(self.lapsed) > self._most:
            self.lapsed.popitem(last=False)

    def goes_on(self, name: StreamName) -> None:
        """Audio comes that nobody has heard: from now on it is a stream as any other."""
        left = self.forget(name)
        if left is not None and left.ended:
            self.lapsed[name] = left.end_on_silence

    def begins_anew(self, name: StreamName) -> bool | None:
        """Whether silence ends the utterances of a stream that had ended, and of which more comes; None: of no such."""
        return self.lapsed.pop(name, None)

    def forget(self, name: StreamName) -> StreamRow | None:
        """What the gateway before this one knew of it, for the last time."""
        return self._left.pop(name, None)

    def forget_boots_before(self, device_id: str, boot: int) -> None:
        """The device was switched off: nothing more comes of what it said before."""
        for streams in (self.lapsed, self._left):
            for name in [name for name in streams if name.device_id == device_id and name.boot != boot]:
                del streams[name]
