"""Whose a file of the current folder is: what is taken from there unasked has to be the caller's own."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path

_ACCESS_LIST = "system.posix_acl_access"


def foreign(file: Path) -> str:
    """Why what stands there may be somebody else's work, in words that follow "it"; empty: it is ours.

    Ours is what belongs to the caller or to root, as its folder does, and what nobody else may write. Raises OSError.
    """
    real = file.resolve()
    for place in dict.fromkeys((file.parent, file, real.parent, real)):
        if reason := _reason(place, place.lstat()):
            return reason if place == file else f"is in {place.absolute()}, which {reason}"
    return ""


def _reason(place: Path, status: os.stat_result) -> str:
    if status.st_uid not in (os.geteuid(), 0):
        return f"belongs to {_user(status.st_uid)}"
    if stat.S_ISLNK(status.st_mode):
        return ""
    if status.st_mode & stat.S_IWOTH:
        return "everybody may change"
    if status.st_mode & stat.S_IWGRP and not _is_private(place, status):
        return f"the group {_group(status.st_gid)} may change"
    return ""


def _is_private(place: Path, status: os.stat_result) -> bool:
    """Whether a group that may write is its owner alone, as where each user has a group of their own (umask 002)."""
    try:
        owner, group = pwd.getpwuid(status.st_uid), grp.getgrgid(status.st_gid)
        shared = _ACCESS_LIST in os.listxattr(place)
    except (KeyError, OSError):
        return False
    return not shared and owner.pw_gid == group.gr_gid and set(group.gr_mem) <= {owner.pw_name}


def _user(number: int) -> str:
    try:
        return f"the user {pwd.getpwuid(number).pw_name}"
    except KeyError:
        return f"user {number}"


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
