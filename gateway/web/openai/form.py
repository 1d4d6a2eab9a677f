"""A form with a recording in it, received whole: its fields, and its file in a spool.

In which order the parts come is the sender's affair: some clients send the file first, some last. So nothing is
transcribed before the form has ended, and nothing has to be done again because of what a last field says. What is
said to a program takes no longer to arrive than its last byte; and a long recording takes longer to be understood.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from gateway.pipeline.recordings.spool import Spool
from gateway.web.openai.errors import WrongRequest
from gateway.web.openai.fields import MOST_OF_A_FIELD, FormFields
from gateway.web.openai.multipart import BadForm, FormDecoder, FormEvent, PartBegan, PartData, PartEnded

RECORDING = "file"


@dataclass(slots=True)
class _Part:
    name: str
    data: bytearray


async def received(pieces: AsyncIterator[bytes], boundary: bytes, spool: Spool) -> FormFields:
    """The form's fields; the file is in ``spool``. Raises WrongRequest, and what ``pieces`` and ``spool`` do."""
    decoder, receiving = FormDecoder(boundary), _Receiving(spool)
    try:
        async for piece in pieces:
            for event in decoder.feed(piece):
                await receiving.take(event)
        decoder.finish()
    except BadForm as error:
        raise WrongRequest(str(error), code="invalid_multipart") from error
    if not receiving.has_file:
        raise WrongRequest(
            "`file` is missing: the recording, with a file's name", RECORDING, "missing_required_parameter"
        )
    if not spool.size:
        raise WrongRequest("`file` is empty", RECORDING)
    return receiving.fields


class _Receiving:
    """What has come of a form."""

    def __init__(self, spool: Spool) -> None:
        self.fields = FormFields()
        self.has_file = False
        self._spool = spool
        self._part: _Part | None = None
        """The field that is coming; None: the file is."""

    async def take(self, event: FormEvent) -> None:
        """Some more of it. Raises WrongRequest and NoDisk."""
        match event:
            case PartBegan(name, is_file):
                self._part = None if self._is_recording(name, is_file=is_file) else _Part(name, bytearray())
            case PartData(data):
                await self._take(data)
            case PartEnded() if self._part is not None:
                self._end(self._part)

    def _is_recording(self, name: str, *, is_file: bool) -> bool:
        if name != RECORDING:
            return False
        if not is_file:
            raise WrongRequest("`file` has no file's name: it has to be sent as a file", RECORDING)
        if self.has_file:
            raise WrongRequest("`file` stands there more than once", RECORDING)
        self.has_file = True
        return True

    async def _take(self, data: bytes) -> None:
        part = self._part
        if part is None:
            await self._spool.put(data)
            return
        part.data += data
        if len(part.data) > MOST_OF_A_FIELD:
            name = part.name[:64]
            raise WrongRequest(f"`{name}` has more than {MOST_OF_A_FIELD} bytes", name)

    def _end(self, part: _Part) -> None:
        try:
            self.fields.add(part.name, part.data.decode())
        except UnicodeDecodeError as error:
            raise WrongRequest(f"`{part.name[:64]}` is not UTF-8", part.name[:64]) from error
