"""What is kept of people where the gateway cannot look for one of them, so that whoever asks is told."""

from __future__ import annotations

import glob
import re
from pathlib import Path

from msgspec import Struct

from firmware_bridge.url_secrets import masked
from gateway.web.api.operation import AnyCall

_OF_THE_JOURNAL = re.compile(r"\.(?!version-)[a-z-]+-\d{8}T\d{6}Z(-\d+)?$")


class Kept(Struct, frozen=True):
    """Something that may hold a person's words or name: what it is, where, and how it goes from there."""

    what: str
    where: str
    remedy: str


def kept_elsewhere(call: AnyCall, user_id: str, journal: Path) -> list[Kept]:
    """All that is known of. Looks at the disk."""
    config = call.parts.running().config
    devices = config.devices
    names = {name for name, user in devices.users.items() if user == user_id}
    names |= {name for name, known in devices.known.items() if known.user == user_id}
    kept = [
        Kept("a damaged journal that was put aside", str(path), "delete it when nobody needs it")
        for path in sorted(journal.parent.glob(f"{glob.escape(journal.name)}.*"))
        if _OF_THE_JOURNAL.search(path.name)
    ]
    state = journal.parent
    kept += [
        Kept("the house as it was before a restore", str(path), "delete it when nobody needs it")
        for path in sorted(state.parent.glob(f"{glob.escape(state.name)}.before-*"))
    ]
    if names:
        kept.append(
            Kept(
                f"whose devices these are: {', '.join(sorted(names))}",
                "config.yaml",
                "devices.users names them",
            )
        )
    kept += [
        Kept("ids, no words", "audit.log", "it goes by its size"),
        Kept(
            "lines of the log, with words where log.level is debug", "where the service logs (journalctl)",
            "journalctl --vacuum-time",
        ),
        Kept("what was backed up before", "files of `earshot backup`", "make a new one, delete the old ones"),
        Kept(
            "what the broker and agents were given", masked(config.broker.url),
            "they keep it by their own rules",
        ),
    ]  # fmt: skip
    if config.house.share:
        kept.append(
            Kept(
                "what other gateways have heard",
                "the house",
                "with house.store they forget it, too, those that are away when they are back; else ask each",
            )
        )
    return kept
