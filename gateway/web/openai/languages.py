"""Languages by their names in English, as OpenAI's answers name them, and by the codes that Whisper knows them by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.web.openai.errors import WrongRequest

NAMES: Final = {
    "af": "afrikaans", "am": "amharic", "ar": "arabic", "as": "assamese", "az": "azerbaijani", "ba": "bashkir",
    "be": "belarusian", "bg": "bulgarian", "bn": "bengali", "bo": "tibetan", "br": "breton", "bs": "bosnian",
    "ca": "catalan", "cs": "czech", "cy": "welsh", "da": "danish", "de": "german", "el": "greek", "en": "english",
    "es": "spanish", "et": "estonian", "eu": "basque", "fa": "persian", "fi": "finnish", "fo": "faroese",
    "fr": "french", "gl": "galician", "gu": "gujarati", "ha": "hausa", "haw": "hawaiian", "he": "hebrew",
    "hi": "hindi", "hr": "croatian", "ht": "haitian creole", "hu": "hungarian", "hy": "armenian",
    "id": "indonesian", "is": "icelandic", "it": "italian", "ja": "japanese", "jw": "javanese", "ka": "georgian",
    "kk": "kazakh", "km": "khmer", "kn": "kannada", "ko": "korean", "la": "latin", "lb": "luxembourgish",
    "ln": "lingala", "lo": "lao", "lt": "lithuanian", "lv": "latvian", "mg": "malagasy", "mi": "maori",
    "mk": "macedonian", "ml": "malayalam", "mn": "mongolian", "mr": "marathi", "ms": "malay", "mt": "maltese",
    "my": "myanmar", "ne": "nepali", "nl": "dutch", "nn": "nynorsk", "no": "norwegian", "oc": "occitan",
    "pa": "punjabi", "pl": "polish", "ps": "pashto", "pt": "portuguese", "ro": "romanian", "ru": "russian",
    "sa": "sanskrit", "sd": "sindhi", "si": "sinhala", "sk": "slovak", "sl": "slovenian", "sn": "shona",
    "so": "somali", "sq": "albanian", "sr": "serbian", "su": "sundanese", "sv": "swedish", "sw": "swahili",
    "ta": "tamil", "te": "telugu", "tg": "tajik", "th": "thai", "tk": "turkmen", "tl": "tagalog", "tr": "turkish",
    "tt": "tatar", "uk": "ukrainian", "ur": "urdu", "uz": "uzbek", "vi": "vietnamese", "yi": "yiddish",
    "yo": "yoruba", "yue": "cantonese", "zh": "chinese",
}  # fmt: skip

_OTHERWISE: Final = {
    "burmese": "my", "castilian": "es", "fil": "tl", "filipino": "tl", "flemish": "nl", "haitian": "ht",
    "in": "id", "iw": "he", "jv": "jw", "letzeburgesch": "lb", "mandarin": "zh", "moldavian": "ro",
    "moldovan": "ro", "nb": "no", "panjabi": "pa", "pushto": "ps", "sinhalese": "si", "valencian": "ca",
}  # fmt: skip
_CODES: Final = {name: code for code, name in NAMES.items()} | _OTHERWISE


def name_of(code: str) -> str:
    """What OpenAI calls it; a code that nobody knows is its own name."""
    return NAMES.get(code, code)


def code_of(text: str) -> str | None:
    """The language that is meant by ``de``, ``de-AT``, ``de_AT`` or ``German``; None: nobody knows."""
    plain = text.strip().lower()
    code = plain.replace("_", "-").partition("-")[0]
    return next((found for one in (plain, code) if (found := one if one in NAMES else _CODES.get(one))), None)


def asked_language(text: str | None, possible: Sequence[str], known: Sequence[str]) -> str | None:
    """``auto``: it is found out, also where several are possible; None: as configured. Raises WrongRequest.

    ``known``: those that the model knows; none: nobody knows.
    """
    if text:
        return _code("language", text, known)
    if not possible:
        return None
    codes = {_code("languages", one, ()) for one in possible}
    here = {code for code in codes if not known or code in (*known, "auto")}
    if not here:
        raise WrongRequest(
            f"`languages`: the model here knows none of {', '.join(sorted(codes))}", "languages"
        )
    return here.pop() if len(here) == 1 else "auto"


def _code(name: str, text: str, known: Sequence[str]) -> str:
    if text.strip().lower() == "auto":
        return "auto"
    code = code_of(text)
    if code is None:
        raise WrongRequest(f"`{name}`: there is no language {text[:40]!r}", name, "unsupported_language")
    if known and code not in known:
        raise WrongRequest(f"`{name}`: the model here does not know {code}", name, "unsupported_language")
    return code
