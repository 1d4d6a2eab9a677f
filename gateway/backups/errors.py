"""What can be wrong with a backup; the messages say what to do."""

from __future__ import annotations


class BackupError(Exception):
    """It cannot be made, or cannot be put back; nothing was changed."""
