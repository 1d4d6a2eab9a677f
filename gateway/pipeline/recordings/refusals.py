"""Why a recording is not transcribed.

::

    FileRefused
      TooManyFiles     so many are being transcribed already, or so many of one owner
      TooLarge         more bytes, or more seconds, than are taken, or what takes too much to be decoded
      TooSlow          it did not come on, or so slowly that it only kept a place
      NoRecording      it is nothing that can be decoded
      NoDisk           it has to be kept until its end, and there is no room for it
      Stopped          the gateway is stopping, or whoever sent it has gone
"""

from __future__ import annotations


class FileRefused(Exception):
    """Base of why a recording is not transcribed; its words are for whoever sent it."""


class TooManyFiles(FileRefused):
    """So many are being transcribed already, or so many of one owner."""


class TooLarge(FileRefused):
    """More than is taken of one."""


class TooSlow(FileRefused):
    """Nothing, or next to nothing, came for too long."""


class NoRecording(FileRefused):
    """Nothing that can be decoded."""


class NoDisk(FileRefused):
    """No room where it has to be kept until its end."""


class Stopped(FileRefused):
    """It is not wanted any more."""
