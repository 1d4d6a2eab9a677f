"""The process that works with sound devices: it looks, listens or plays, as it is told, and ends.

Each runs in a process of its own, so that it sees what is plugged in now, and so that whatever a driver does to it
happens to one microphone alone. It owns nothing that outlives it; whoever started it ends it by ending the process.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import TypeAlias

from firmware_bridge.microphones.records import (
    GaveUp,
    Listen,
    Listening,
    Look,
    Order,
    Play,
    Played,
    SoundDevices,
    SoundRecord,
    encode_record,
    read_order,
)
from firmware_bridge.microphones.sound_devices import OpenMicrophone, SoundUnavailable, play, sound_devices

_Say: TypeAlias = Callable[[SoundRecord], None]


def main() -> int:
    """``capture.py DESCRIPTOR ORDER``: the socket that it answers on, and what it is to do."""
    descriptor, line = sys.argv[1:]
    # Ctrl-C and a service's stop reach the whole process group; the gateway goes on listening while it drains.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(2, 1)  # whatever a driver prints is for the log; nobody reads standard output
    with socket.socket(fileno=int(descriptor)) as answers:

        def say(record: SoundRecord) -> None:
            answers.send(encode_record(record))

        try:
            _obey(read_order(line), say)
        except SoundUnavailable as error:
            say(GaveUp(error.reason, error.remedy))
            return 1
        except OSError:  # nobody listens any more
            return 1
    return 0


def _obey(order: Order, say: _Say) -> None:
    match order:
        case Look():
            say(SoundDevices(sound_devices()))
        case Listen():
            _listen(order, say)
        case Play():
            from firmware_bridge.microphones.tone import RATE, tone  # noqa: PLC0415 - numpy

            play(order.name, tone(order.seconds), RATE)
            say(Played())


def _listen(order: Listen, say: _Say) -> None:
    from firmware_bridge.microphones.listening import SoundListener  # noqa: PLC0415 - numpy, which looking does not need

    with OpenMicrophone(order) as microphone:
        listener = SoundListener(microphone, order, say)
        say(Listening(microphone.rate, microphone.channels))
        listener.run()


if __name__ == "__main__":
    sys.exit(main())
