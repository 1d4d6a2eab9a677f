"""The boards of earshot_boards.h as docs/firmware.md shows them: a table, and a drawing of the wires for three of them.

``python -m tests.firmware_bridge.esp32.boards`` writes both.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from html import escape
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
DOCUMENT = ROOT / "docs" / "firmware.md"
INCLUDE = ROOT / "firmware_bridge" / "esp32" / "esp_idf" / "include"
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror")
Row = dict[str, Any]

RED, BLACK, BLUE, GREEN, ORANGE = "#c0392b", "#333333", "#2563a8", "#2e7d4f", "#b8860b"
STEP, TOP = 36, 84


def boards(compiler: str) -> list[Row]:
    """Every row of the table, as the compiler read it."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "boards"
        source = Path(__file__).with_name("boards.c")
        subprocess.run([compiler, *STRICT, f"-I{INCLUDE}", "-o", program, source], check=True)
        said = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in said.splitlines()]


def table(rows: list[Row]) -> str:
    """Markdown: where each board has what."""
    head = "| board | microphone | loudspeaker | button | light | |\n|---|---|---|---|---|---|\n"
    return head + "".join(_line(row) for row in rows)


def with_table(document: str, rows: list[Row]) -> str:
    """The document with the table as it is now."""
    made = f"<!-- generated: boards -->\n\n{table(rows)}\n<!-- end -->"
    return re.sub(r"<!-- generated: boards -->.*?<!-- end -->", lambda _: made, document, flags=re.DOTALL)


def drawings(rows: list[Row]) -> dict[str, str]:
    """For each board that is wired by hand the name of its drawing, and the drawing."""
    wired = [row for row in rows if "INMP441" in row["name"]]
    return {f"wiring-{row['chip']}.svg": drawing(row) for row in wired}


def drawing(row: Row) -> str:
    """SVG: the microphone at the left, the amplifier at the right, the button below."""
    pins = row["pins"]
    left = [
        ("VDD", "3V3", RED),
        ("GND", "GND", BLACK),
        ("L/R", "GND", BLACK),
        ("SCK", _gpio(pins["in.bclk"]), BLUE),
        ("WS", _gpio(pins["in.ws"]), GREEN),
        ("SD", _gpio(pins["in.data"]), ORANGE),
    ]
    right = [
        ("VIN", "5V", RED),
        ("GND", "GND", BLACK),
        ("BCLK", _gpio(pins["out.bclk"]), BLUE),
        ("LRC", _gpio(pins["out.ws"]), GREEN),
        ("DIN", _gpio(pins["out.data"]), ORANGE),
    ]
    parts = [
        _box(20, "INMP441", "microphone"),
        _box(300, row["name"].split(",")[0], "board"),
        _box(580, "MAX98357A", "amplifier, loudspeaker"),
        *(_wire((150, 300), place, wire) for place, wire in enumerate(left)),
        *(_wire((580, 430), place, wire) for place, wire in enumerate(right)),
        *_button(pins["button"]),
    ]
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 730 390" font-family="sans-serif" font-size="13">\n'
        f"<title>{escape(row['name'])}: wiring</title>\n"
        '<rect width="730" height="390" fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _line(row: Row) -> str:
    pins = row["pins"]
    clock = "clock" if row["mic"] == "PDM" else "WS"
    microphone = _named(pins, {"in.mclk": "MCLK", "in.bclk": "SCK", "in.ws": clock, "in.data": "data"})
    converter = _named(pins, {"codec.sda": "SDA", "codec.scl": "SCL"})
    speaker = _named(pins, {"out.bclk": "BCLK", "out.ws": "LRC", "out.data": "DIN", "out.amplifier": "on"})
    light = "-" if pins["led"] < 0 else f"{pins['led']} ({row['led']})"
    heard = f"{row['mic']}: {microphone}" + (f"; I²C {converter}" if converter else "")
    where = f"| **{row['name']}** | {heard} | {speaker or '-'} | {pins['button']} | {light} |"
    return f"{where} {row['remark']}. *{row['source']}* |\n"


def _named(pins: dict[str, int], names: dict[str, str]) -> str:
    return ", ".join(f"{name} {pins[key]}" for key, name in names.items() if pins[key] >= 0)


def _gpio(pin: int) -> str:
    return f"GPIO{pin}"


def _box(x: int, name: str, what: str) -> str:
    middle = x + 65
    return (
        f'<rect x="{x}" y="24" width="130" height="{STEP * 7 + 20}" rx="8" fill="#f3f4f6" stroke="{BLACK}"/>\n'
        f'<text x="{middle}" y="46" text-anchor="middle" font-weight="bold" font-size="11">{escape(name)}</text>\n'
        f'<text x="{middle}" y="61" text-anchor="middle" font-size="11" fill="#666666">{what}</text>'
    )


def _wire(ends: tuple[int, int], place: int, wire: tuple[str, str, str]) -> str:
    part, board = ends
    pin, to, colour = wire
    y = TOP + STEP * place
    inwards = -1 if part < board else 1
    anchors = ("end", "start") if inwards < 0 else ("start", "end")
    return (
        f'<line x1="{part}" y1="{y}" x2="{board}" y2="{y}" stroke="{colour}" stroke-width="3"/>\n'
        f'<text x="{part + 8 * inwards}" y="{y + 4}" text-anchor="{anchors[0]}">{pin}</text>\n'
        f'<text x="{board - 8 * inwards}" y="{y + 4}" text-anchor="{anchors[1]}">{to}</text>'
    )


def _button(pin: int) -> list[str]:
    bottom = 24 + STEP * 7 + 20
    ends = [(340, _gpio(pin), BLUE), (390, "GND", BLACK)]
    lines = [
        f'<line x1="{x}" y1="{bottom}" x2="{x}" y2="340" stroke="{colour}" stroke-width="3"/>\n'
        f'<text x="{x}" y="{bottom - 8}" text-anchor="middle" font-size="12">{name}</text>'
        for x, name, colour in ends
    ]
    return [
        *lines,
        f'<rect x="325" y="340" width="80" height="30" rx="6" fill="#f3f4f6" stroke="{BLACK}"/>',
        '<text x="365" y="360" text-anchor="middle">button</text>',
        '<text x="420" y="360" font-size="11" fill="#666666">or the BOOT button, which is there already</text>',
    ]


if __name__ == "__main__":
    found = boards(shutil.which("cc") or "cc")
    DOCUMENT.write_text(with_table(DOCUMENT.read_text(encoding="utf-8"), found), encoding="utf-8")
    for name, drawn in drawings(found).items():
        (DOCUMENT.parent / name).write_text(drawn, encoding="utf-8")
