"""Programs that commands may run: by a list of arguments, in their time, with little around them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from contextlib import suppress

from firmware_bridge.servers import in_words
from gateway.orchestrators.answer import CannotAnswer

PROGRAM_SECONDS = 10.0
MOST_OUTPUT = 64 * 1024
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


async def run_program(argv: tuple[str, ...], name: str) -> str:
    """What it writes to its standard output. Raises CannotAnswer; it and what it started are ended then.

    It has no standard input, and of our environment nothing but PATH, HOME and the language.
    """
    starting = asyncio.create_task(asyncio.to_thread(_start, argv), name=f"program {name}")
    try:
        process = await asyncio.shield(starting)
    except (OSError, ValueError) as error:
        raise CannotAnswer(f"the program {name} cannot be run: {in_words(error)}") from error
    except asyncio.CancelledError:  # the thread goes on
        starting.add_done_callback(_not_wanted)
        raise
    try:
        async with asyncio.timeout(PROGRAM_SECONDS):
            output, status = await _written(process, name), await asyncio.to_thread(process.wait)
    except TimeoutError:
        raise CannotAnswer(f"the program {name} took longer than {PROGRAM_SECONDS:g} s") from None
    finally:
        _kill(process)
        await asyncio.shield(asyncio.to_thread(process.wait))
    if status:
        how = f"with status {status}" if status > 0 else f"by signal {-status}"
        raise CannotAnswer(f"the program {name} ended {how}")
    return output.decode("utf-8", "replace").strip()


def _start(argv: tuple[str, ...]) -> subprocess.Popen[bytes]:
    kept = {key: os.environ[key] for key in ("HOME", "LANG", "TZ") if key in os.environ}
    return subprocess.Popen(  # noqa: S603 - the configuration names it, and no shell reads what was said
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"PATH": os.environ.get("PATH", _PATH), **kept},
        cwd="/",
        start_new_session=True,
    )


async def _written(process: subprocess.Popen[bytes], name: str) -> bytes:
    reader, output = asyncio.StreamReader(), bytearray()
    loop = asyncio.get_running_loop()
    pipe, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), process.stdout)
    try:
        while part := await reader.read(8192):
            output += part
            if len(output) > MOST_OUTPUT:
                raise CannotAnswer(f"the program {name} writes more than {MOST_OUTPUT // 1024} KiB")
    finally:
        pipe.close()
    return bytes(output)


def _not_wanted(starting: asyncio.Task[subprocess.Popen[bytes]]) -> None:
    if not starting.cancelled() and starting.exception() is None:
        _kill(starting.result())


def _kill(process: subprocess.Popen[bytes]) -> None:
    """The whole group: what it left in the background, too."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
