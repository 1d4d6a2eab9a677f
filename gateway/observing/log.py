"""How the gateway logs: structlog, and the libraries' stdlib logging through the same renderer.

Text for a terminal, JSON lines otherwise; under systemd each line carries its level for the journal.
A value from a device or a listener cannot forge a line: control characters are escaped. A transcript
shows at debug only. What libraries say is cut, paced and without secrets (``foreign_log``).
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from firmware_bridge.url_secrets import masked
from gateway.contract.escaping import one_line
from gateway.observing.foreign_log import Pace, bridled
from gateway.settings.log import LogSettings

PRIVATE_KEYS = frozenset({"text", "transcript", "partial", "reply", "segments"})
"""Keywords whose values are what people said or were told."""

CHATTY_LIBRARIES = (
    "aiohttp.access",
    "amqtt",
    "asyncio",
    "faster_whisper",
    "httpx",
    "huggingface_hub",
    "transitions",
)
"""Loggers that report their daily business at info; their warnings are shown."""

TALKATIVE_LIBRARIES = ("aio_pika", "aiormq")
"""Loggers that report what we report ourselves (a lost connection, with a traceback); shown at debug only."""

UTTERANCE = "utterance"
"""The event of the one canonical line of each utterance."""
_FIRST_KEYS = ("timestamp", "level", "event")
_TRACEBACK_KEYS = ("exception", "stack")
_JOURNAL_LEVELS = {
    logging.CRITICAL: 2,
    logging.ERROR: 3,
    logging.WARNING: 4,
    logging.INFO: 6,
    logging.DEBUG: 7,
}


def configure(
    settings: LogSettings, stream: TextIO | None = None, environ: Mapping[str, str] = os.environ
) -> None:
    """Log to ``stream`` (standard error). Replaces what was configured before."""
    stream = stream or sys.stderr
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    as_text = settings.format == "text" or (settings.format == "auto" and stream.isatty())
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False)
        if as_text
        else structlog.processors.TimeStamper(fmt="iso"),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        withhold_transcripts,
        hide_passwords,
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.PositionalArgumentsFormatter(), *before, bridled],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            *_renderer(stream, as_text=as_text),
        ],
    )
    handler = logging.StreamHandler(stream)
    handler.addFilter(Pace())
    handler.setFormatter(_ForJournal(formatter) if _is_journal(stream, environ) else formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in CHATTY_LIBRARIES:
        logging.getLogger(name).setLevel(logging.NOTSET if level == logging.DEBUG else logging.WARNING)
    for name in TALKATIVE_LIBRARIES:
        logging.getLogger(name).setLevel(logging.NOTSET if level == logging.DEBUG else logging.CRITICAL)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *before,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def withhold_transcripts(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace what people said by its length, except at debug."""
    if event.get("level") != "debug":
        for key in PRIVATE_KEYS & event.keys():
            event[key] = f"<{len(str(event[key]))} characters, shown at debug only>"
    return event


def hide_passwords(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """No URL is logged with the password in it, whoever logs it."""
    return {key: masked(value) if isinstance(value, str) else value for key, value in event.items()}


def escape_controls(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """No value begins a new line or steers the terminal; a traceback's lines are indented."""
    escaped = {one_line(str(key)): _escaped(value) for key, value in event.items()}
    for key in _TRACEBACK_KEYS:
        if key in event:
            escaped[key] = "\n".join(f"    {one_line(line)}" for line in str(event[key]).split("\n"))
    return escaped


def utterance_in_words(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The canonical line of an utterance for somebody at a terminal; at debug, and as JSON, it stays whole."""
    if event["event"] != UTTERANCE or logging.getLogger().isEnabledFor(logging.DEBUG):
        return event
    short = {key: event[key] for key in ("timestamp", "level", "error") if key in event}
    times = f"text after {event['text_ms']} ms, {event['outcome']} after {event['answer_ms']} ms"
    return {**short, "event": f"{event['device_id']} spoke for {event['seconds']} s: {times}"}


def event_first(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """When, how serious and what stand at the line's beginning, for whoever reads JSON by eye."""
    return {**{key: event[key] for key in _FIRST_KEYS if key in event}, **event}


class _ForJournal(logging.Formatter):
    """Puts ``<level>`` before each line, as sd-daemon(3) has it."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        level = max((known for known in _JOURNAL_LEVELS if known <= record.levelno), default=logging.DEBUG)
        prefix = f"<{_JOURNAL_LEVELS[level]}>"
        return prefix + self._inner.format(record).replace("\n", f"\n{prefix}")


def _renderer(stream: TextIO, *, as_text: bool) -> list[Processor]:
    if not as_text:
        return [event_first, structlog.processors.JSONRenderer()]
    console = structlog.dev.ConsoleRenderer(
        colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    return [utterance_in_words, escape_controls, console]


def _escaped(value: Any) -> Any:
    return one_line(value if isinstance(value, str) else repr(value))


def _is_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether systemd says that this stream goes to the journal ($JOURNAL_STREAM is device:inode)."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
