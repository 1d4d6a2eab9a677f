"""How many names a model would be told, without loading it: by its tokenizer alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from transcription.whisper.prompts import told_names


class ModelTokens:
    """The tokens of a model on this disk."""

    def __init__(self, folder: Path) -> None:
        """Raises whatever tokenizers does for a file that is none."""
        from tokenizers import Tokenizer  # noqa: PLC0415 - some MB that only a command needs

        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.eot: int = self._tokenizer.token_to_id("<|endoftext|>") or self._tokenizer.get_vocab_size()

    def encode(self, text: str) -> list[int]:
        """Without the special ones."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids


def names_within(folder: Path, names: Sequence[str], most_tokens: int) -> int:
    """How many of these names, from the first on, the model in that folder has room for."""
    return len(told_names(ModelTokens(folder), names, most_tokens))
