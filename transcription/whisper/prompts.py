"""What a Whisper model is given to read before it listens: hotwords, names, the text before, and its task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

MOST_TOKENS = 223
"""Tokens of hotwords and text before, together: Whisper reads no more than half of its positions."""

POSITIONS = 448
"""Of a Whisper decoder, for what it reads and what it says together."""


def start_tokens(
    tokenizer: Any, prompt: str, hotwords: str, task: str = "transcribe", names: Sequence[str] = ()
) -> list[int]:
    """The tokens that a hypothesis begins with, as faster-whisper's ``get_prompt`` builds them.

    ``tokenizer`` is faster-whisper's, of the language spoken. What is too much of ``hotwords`` is cut
    from their end, then of ``names``, one by one, and of ``prompt`` from its beginning. Without any of them there is
    nothing before the task: no model is shown an empty past.
    """
    *start, asked = tokenizer.sot_sequence
    asked = tokenizer.translate if task == "translate" else asked
    begin = [*start, asked, tokenizer.no_timestamps]
    words = text_tokens(tokenizer, hotwords)[:MOST_TOKENS]
    words += text_tokens(tokenizer, listed(told_names(tokenizer, names, MOST_TOKENS - len(words))))
    room = MOST_TOKENS - len(words)
    before = text_tokens(tokenizer, prompt)[-room:] if room else []
    return [tokenizer.sot_prev, *words, *before, *begin] if words or before else begin


def told_names(tokenizer: Any, names: Sequence[str], most_tokens: int) -> tuple[str, ...]:
    """The first of these names, as many as their list is worth so many tokens."""
    if len(text_tokens(tokenizer, listed(names))) <= most_tokens:
        return tuple(names)
    fits, too_many = 0, len(names)
    while too_many - fits > 1:
        count = (fits + too_many) // 2
        if len(text_tokens(tokenizer, listed(names[:count]))) <= most_tokens:
            fits = count
        else:
            too_many = count
    return tuple(names[:fits])


def listed(names: Sequence[str]) -> str:
    """As a sentence that has ended: after a list that could go on, a model goes on with it."""
    return f"{', '.join(names)}." if names else ""


def text_tokens(tokenizer: Any, text: str) -> list[int]:
    """The text's tokens; what spells a special one (``<|endoftext|>``) is left out."""
    text = text.strip()
    return [token for token in tokenizer.encode(f" {text}") if token < tokenizer.eot] if text else []
