"""What the gateway and the process that decodes a recording say to each other.

The process asks for bytes when it needs some, and gets a :class:`Given` for each :class:`Want`, the last one
empty. So neither end ever has more than one slice of the other's in its hands.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta, Struct

from transcription.audio import Samples
from transcription.process.pipe import decoder

REASON_CHARACTERS = 300

Reason = Annotated[str, Meta(max_length=REASON_CHARACTERS)]


class Given(Struct, frozen=True):
    """To the process: what comes next of the recording; nothing: its end."""

    data: bytes


class Want(Struct, frozen=True, tag=True):
    """From the process: at most so many bytes."""

    size: int


class Heard(Struct, frozen=True, tag=True):
    """From the process: a slice of what was decoded."""

    samples: Samples


class Lacking(Struct, frozen=True, tag=True):
    """From the process: something of the recording is not among the samples."""

    reason: Reason


class Refused(Struct, frozen=True, tag=True):
    """From the process, last: nothing of it can be decoded."""

    reason: Reason


class Costly(Struct, frozen=True, tag=True):
    """From the process, last: it takes more memory than a recording may."""


class Unkept(Struct, frozen=True, tag=True):
    """From the process, last: there is no room on the disk to keep it until its end."""

    reason: Reason


class Broken(Struct, frozen=True, tag=True):
    """From the process, last: it failed over it, which is a mistake of ours."""

    reason: Reason


class Over(Struct, frozen=True, tag=True):
    """From the process, last: that was all."""


Said: TypeAlias = Want | Heard | Lacking | Refused | Costly | Unkept | Broken | Over

GIVEN: msgspec.msgpack.Decoder[Given] = decoder(Given)
SAID: msgspec.msgpack.Decoder[Said] = decoder(
    Want | Heard | Lacking | Refused | Costly | Unkept | Broken | Over
)
