"""Which languages a Whisper model knows, told by its description, without loading it."""

from __future__ import annotations

from typing import Final

from transcription.errors import ModelUnavailable
from transcription.models.models import description, find_model

# fmt: off
WHISPER_LANGUAGES: Final = (
    "en", "zh", "de", "es", "ru", "ko", "fr", "ja", "pt", "tr", "pl", "ca", "nl", "ar", "sv", "it", "id",
    "hi", "fi", "vi", "he", "uk", "el", "ms", "cs", "ro", "da", "hu", "ta", "no", "th", "ur", "hr", "bg",
    "lt", "la", "mi", "ml", "cy", "sk", "te", "fa", "lv", "bn", "sr", "az", "sl", "kn", "et", "mk", "br",
    "eu", "is", "hy", "ne", "mn", "bs", "kk", "sq", "sw", "gl", "mr", "pa", "si", "km", "sn", "yo", "so",
    "af", "oc", "ka", "be", "tg", "sd", "gu", "am", "yi", "lo", "uz", "fo", "ht", "ps", "tk", "nn", "mt",
    "sa", "lb", "my", "bo", "tl", "mg", "as", "tt", "haw", "ln", "ha", "ba", "jw", "su", "yue",
)
# fmt: on
"""In the order in which every multilingual Whisper has them; only the latest know the last one."""
ENGLISH: Final = ("en",)


def languages_of(name: str, models_dir: str = "") -> tuple[str, ...]:
    """The codes of the languages that the model of this name knows; of one that is not here, as its name tells."""
    try:
        folder = find_model(name, models_dir)
        told = description(folder).get("lang_ids") if folder else None
    except (ModelUnavailable, OSError, ValueError):
        told = None
    if isinstance(told, list):
        return WHISPER_LANGUAGES[: len(told)] if len(told) > 1 else ENGLISH
    return ENGLISH if name.endswith(".en") else WHISPER_LANGUAGES[:-1]
