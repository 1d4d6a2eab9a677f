"""What a Whisper model is given to read before it listens: hotwords, the text before, and its task."""

from __future__ import annotations

from typing import Any

MOST_TOKENS = 223
"""Tokens of hotwords and text before, together: Whisper reads no more than half of its positions."""

POSITIONS = 448
"""Of a Whisper decoder, for what it reads and what it says together."""


def start_tokens(tokenizer: Any, prompt: str, hotwords: str, task: str = "transcribe") -> list[int]:
    """The tokens that a hypothesis begins with, as faster-whisper's ``get_prompt`` builds them.

    ``tokenizer`` is faster-whisper's, of the language spoken. What is too much of ``hotwords`` is cut
    from their end, of ``prompt`` from its beginning. Without either there is nothing before the task: no
    model is shown an empty past.
    """
    *start, asked = tokenizer.sot_sequence
    asked = tokenizer.translate if task == "translate" else asked
    begin = [*start, asked, tokenizer.no_timestamps]
    words = _text_tokens(tokenizer, hotwords)[:MOST_TOKENS]
    room = MOST_TOKENS - len(words)
    before = _text_tokens(tokenizer, prompt)[-room:] if room else []
    return [tokenizer.sot_prev, *words, *before, *begin] if words or before else begin


def _text_tokens(tokenizer: Any, text: str) -> list[int]:
    """The text's tokens; what spells a special one (``<|endoftext|>``) is left out."""
    text = text.strip()
    return [token for token in tokenizer.encode(f" {text}") if token < tokenizer.eot] if text else []
