"""The doctor's look at the word in between: what it looks for, and whether the user's own function is there."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.commands.doctor.finding import Finding, fail, ok
from gateway.orchestrators.loading import load_function
from gateway.orchestrators.sdk import BadOrchestrator
from gateway.settings.content import ContentSettings


def content(settings: ContentSettings) -> Iterator[Finding]:
    """Nothing, where nothing is configured."""
    if not settings.is_on:
        return
    parts = []
    if settings.personal_data != "off":
        parts.append(f"personal data ({settings.personal_data})")
    if settings.forbidden_words:
        parts.append(f"{len(settings.forbidden_words)} forbidden words or phrases ({settings.forbidden})")
    if settings.hook:
        try:
            load_function(settings.hook)
        except BadOrchestrator as error:
            yield fail("content", str(error), "correct content.hook, or what it names")
            return
        parts.append(f"{settings.hook} is asked")
    where = "transcripts and replies" if settings.applies_to == "both" else settings.applies_to
    yield ok("content", f"looked for in {where}: {', '.join(parts)}")
