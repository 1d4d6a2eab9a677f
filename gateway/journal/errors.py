"""What the journal raises.

::

    JournalError
      JournalInUse      another process has it open
      NoHome            where it is to lie is not known: nothing names a place, and this user has no home folder
      NotDurable        it could not be written: what was to be kept is in memory only, and tried again
      RoomFull          a class of rows is full of what may not be given up
"""

from __future__ import annotations


class JournalError(Exception):
    """Base of what the journal raises."""


class JournalInUse(JournalError):
    """Another process has the journal open."""


class NoHome(JournalError):
    """Nothing says where the journal is to lie."""


class NotDurable(JournalError):
    """The effects could not be written. They are kept in memory and written when that is possible again."""


class RoomFull(JournalError):
    """There is no room for more of its kind, and nothing of it that may be given up."""
