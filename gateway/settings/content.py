"""The section `content:` of config.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct


class ContentSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A word in between: what is looked for in what is said and answered, before anybody gets it.

    What becomes of a text that has something is the hardest that any of these want for it.
    """

    personal_data: Annotated[
        Literal["off", "flag", "mask", "drop"],
        Meta(
            description="What becomes of e-mail addresses, phone numbers, card and account numbers, and national ids "
            "that check digits make sure: flag lets them pass with a mark, mask puts '[phone number]' and the like in "
            "their place, drop keeps the whole text back. Found is what is written in digits and signs."
        ),
    ] = "off"
    forbidden_words: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=200)], ...],
        Meta(
            description="Words, and phrases of several, that are not to be said: whole ones, whatever their case and "
            "accents.",
        ),
    ] = ()
    forbidden: Annotated[
        Literal["flag", "mask", "drop"],
        Meta(description="What becomes of them: as for personal data; the mask is ***."),
    ] = "mask"
    applies_to: Annotated[
        Literal["both", "transcripts", "replies"],
        Meta(
            description="What all of this looks at: what is said and typed; what is answered and announced; or both. "
            "What may be changed or kept back is told nobody before its end: no partial texts, no pieces of replies."
        ),
    ] = "both"
    hook: Annotated[
        str,
        Meta(
            description="'module:name' is a function of your own that is asked about each text: it takes the "
            "text and whose it is (docs/security.md), and returns the text that is to go on, or None to keep it back. "
            "Empty: none."
        ),
    ] = ""
    hook_seconds: Annotated[
        float, Meta(gt=0, le=10, description="For so long it is waited for; then it has failed.")
    ] = 0.2
    hook_failed: Annotated[
        Literal["drop", "pass"],
        Meta(
            description="What becomes of a text when the function fails (it raises, takes too long, or returns "
            "something else): drop keeps it back, pass lets it go on with the mark 'unchecked'."
        ),
    ] = "drop"

    @property
    def is_on(self) -> bool:
        """Whether anything is looked for."""
        return self.personal_data != "off" or bool(self.forbidden_words) or bool(self.hook)
