"""A whole gateway in a network namespace from which nothing gets out, and every packet that tries to.

Run in new network and mount namespaces (`unshare --net --mount`): the only way out is a cable whose other end this
program listens on, the resolver included. Prints one JSON line: what the gateway did, and the packets.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import wave
from pathlib import Path

import msgspec
from aiohttp import ClientSession

from firmware_bridge.simulator.wires import PseudoTerminal
from gateway.app import Gateway
from gateway.config.configuration import GatewayConfig
from tests.record import passes
from tests.servers.process import free_port
from tests.system.house import Board, open_house, pcm, settings
from transcription.audio import SAMPLE_RATE

ETH_P_ALL = 0x0003
SETTINGS = {
    "transcription": {"isolation": "process"},
    "devices": {"mqtt": {"url": "embedded", "embedded_port": 0}},
}


def close_the_world(folder: Path) -> socket.socket:
    """All ways lead into a cable at whose end nobody is; what comes out of it is heard here."""
    resolver = folder / "resolv.conf"
    resolver.write_text("nameserver 192.0.2.53\noptions timeout:1 attempts:1\n")
    for command in (
        f"mount --bind {resolver} /etc/resolv.conf",
        "ip link set lo up",
        "ip link add out type veth peer name wall",
        "ip link set out arp off",
        "ip link set wall arp off",
        "ip addr add 192.0.2.1/24 dev out",
        "ip link set out addrgenmode none",
        "ip link set wall addrgenmode none",
        "ip link set wall up",
        "ip link set out up",
        "ip route add default via 192.0.2.254 dev out",
    ):
        subprocess.run(command.split(), check=True)
    ear = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    ear.bind(("wall", 0))
    ear.setblocking(False)
    return ear


def heard(ear: socket.socket) -> list[str]:
    packets = []
    while True:
        try:
            packets.append(ear.recv(2048).hex())
        except BlockingIOError:
            return packets


def ask_for_somebody() -> None:
    """That it would be heard is no assumption."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.sendto(b"?", ("192.0.2.53", 53))


async def live(folder: Path) -> dict[str, object]:
    """What a gateway does on a day: starts, hears a board, answers, takes a recording, keeps it, ends."""
    recording = folder / "recording.wav"
    with wave.open(str(recording), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(pcm("u05"))
    async with open_house(folder, **SETTINGS) as house, ClientSession() as client:  # type: ignore[arg-type]
        async with Board("kitchen", PseudoTerminal(folder / "usb-kitchen")) as board:
            said = await board.say(pcm("u05"))
        url, headers = f"{house.gateway.url}api/v1/transcriptions", {"Content-Type": "audio/wav"}
        async with client.post(url, data=recording.read_bytes(), headers=headers) as response:
            transcription = await response.json()
        return {"heard": said.transcript, "answered": said.reply, "read": transcription.get("text")}


async def start_with_everything(folder: Path) -> list[str]:
    """Every other extra: each client looks for its broker, where it is said to be, and nowhere else."""
    tried = []
    for kind in ("mqtt", "amqp", "redis", "nats"):
        parts = {
            "broker": {"url": f"{kind}://127.0.0.1:{free_port()}"},
            "transcription": {"engine": "pocketsphinx"},
        }
        config = msgspec.convert(settings(folder, **parts), GatewayConfig)  # type: ignore[arg-type]
        async with Gateway(config) as gateway:
            await passes(lambda gateway=gateway: gateway.health.report().components["broker"].reason)
            await passes(
                lambda gateway=gateway: gateway.health.report().components["recognizer"].state == "healthy"
            )
            tried.append(kind)
    return tried


def main() -> None:
    folder = Path(sys.argv[1])
    ear = close_the_world(folder)
    ask_for_somebody()
    probe = heard(ear)
    done = asyncio.run(live(folder))
    tried = asyncio.run(start_with_everything(folder))
    print(json.dumps({**done, "tried": tried, "probe": len(probe), "packets": heard(ear)}))


if __name__ == "__main__":
    main()
