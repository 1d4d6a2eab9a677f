"""Writes the floor plan anew: the picture, and what the document shows of each room."""

from __future__ import annotations

from docs.plan.drawing import PICTURE, picture
from docs.plan.modules import DOCUMENT, filled

PICTURE.write_text(picture(), encoding="utf-8")
DOCUMENT.write_text(filled(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
