"""Writes the floor plan anew."""

from __future__ import annotations

from docs.plan.modules import DOCUMENT, filled

DOCUMENT.write_text(filled(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
