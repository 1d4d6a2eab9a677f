"""What the ESP-IDF component, its Kconfig, its manifests and its table of boards say of each other is true."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.firmware_bridge.esp32.boards import DOCUMENT, boards, drawings, with_table
from tests.firmware_bridge.esp32.made import COMPONENT, compiler

ROOT = COMPONENT.parents[1]
KCONFIG = (COMPONENT / "Kconfig").read_text(encoding="utf-8")
SYMBOLS = set(re.findall(r"^\s*(?:config|choice) (EARSHOT_\w+)", KCONFIG, re.MULTILINE))
C_FILES = [
    path for folder in ("esp_idf", "examples") for path in sorted((COMPONENT / folder).rglob("*.[ch]"))
]
VERSION = "0.1.0"


def read(name: str) -> str:
    return (COMPONENT / name).read_text(encoding="utf-8")


def properties() -> dict[str, str]:
    lines = read("library.properties").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_all_say_the_same_version() -> None:
    library: str = re.findall(r'#define EARSHOT_VERSION "(.*)"', read("src/earshot.h"))[0]
    manifests = (
        yaml.safe_load(read("idf_component.yml"))["version"],
        json.loads(read("library.json"))["version"],
        properties()["version"],
    )
    assert {library, *manifests} == {VERSION}
    assert f"## {VERSION}" in read("CHANGELOG.md")


def test_every_option_is_in_kconfig_and_every_one_there_is_asked_for() -> None:
    asked = {
        name
        for path in C_FILES
        for name in re.findall(r"\bCONFIG_(EARSHOT_\w+)", path.read_text(encoding="utf-8"))
    }
    choices = set(re.findall(r"^\s*choice (EARSHOT_\w+)", KCONFIG, re.MULTILINE))
    defaults = {"EARSHOT_PUSH_TO_TALK", "EARSHOT_CARRIER_SERIAL", "EARSHOT_CODEC_AUTO"}
    """What a choice is where nothing else of it was chosen."""
    assert asked <= SYMBOLS
    assert SYMBOLS - asked == choices | defaults


@pytest.mark.parametrize(
    "path", [*COMPONENT.glob("examples/*/sdkconfig*"), *COMPONENT.glob("tools/sdkconfig*")], ids=str
)
def test_settings_of_examples_are_options(path: Path) -> None:
    assert (
        set(re.findall(r"^CONFIG_(EARSHOT_\w+)=", path.read_text(encoding="utf-8"), re.MULTILINE)) <= SYMBOLS
    )


def test_cmake_builds_every_file_of_the_component() -> None:
    named = set(re.findall(r"esp_idf/\w+\.c", read("CMakeLists.txt")))
    assert named == {f"esp_idf/{path.name}" for path in COMPONENT.glob("esp_idf/*.c")}


def test_every_example_builds_the_files_it_has() -> None:
    for cmake in COMPONENT.glob("examples/*/main/CMakeLists.txt"):
        sources = re.findall(r"\w+\.c\b", cmake.read_text(encoding="utf-8"))
        assert sorted(sources) == sorted(path.name for path in cmake.parent.glob("*.c"))


def test_the_boards_of_kconfig_are_those_of_the_table() -> None:
    table = read("esp_idf/include/earshot_boards.h")
    rows = set(re.findall(r"\[EARSHOT_BOARD_(\w+)\] = \{", table))
    assert rows == set(re.findall(r"config EARSHOT_BOARD_(\w+)", KCONFIG)) - {"OTHER"}
    assert rows == set(re.findall(r"CONFIG_EARSHOT_BOARD_(\w+)", read("esp_idf/board.c"))) - {"OTHER"}
    for row in rows:
        name, chip = re.findall(rf'EARSHOT_BOARD_{row}\] = \{{\s*\.name = "(.*?)", \.chip = "(.*?)"', table)[
            0
        ]
        target = f"IDF_TARGET_{chip.upper()}"
        option = rf'config EARSHOT_BOARD_{row}\s+bool "{re.escape(name)}"\s+depends on {target}\n'
        assert re.search(option, KCONFIG), f"{row}: Kconfig has another name or chip"


def test_a_portable_file_includes_nothing_of_esp_idf() -> None:
    allowed = {"stdbool.h", "stddef.h", "stdint.h", "string.h"}
    for path in COMPONENT.glob("src/*.[ch]"):
        if path.name != "EarshotDevice.h":
            included = set(re.findall(r"#include [<\"](.*?)[>\"]", path.read_text(encoding="utf-8")))
            assert {name for name in included if not name.startswith("earshot")} <= allowed, path.name


ARDUINO: dict[str, Any] = {
    "type": "object",
    "required": [
        "name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url", "architectures",
    ],
    "properties": {
        "name": {"pattern": "^(?!Arduino)[A-Za-z0-9][A-Za-z0-9 _.-]{0,62}$"},
        "version": {"pattern": r"^\d+\.\d+\.\d+$"},
        "sentence": {"pattern": r"^[^\n]{1,200}$"},
        "category": {
            "enum": [
                "Display", "Communication", "Signal Input/Output", "Sensors", "Device Control", "Timing",
                "Data Storage", "Data Processing", "Other",
            ]
        },
        "url": {"pattern": "^https?://"},
        "architectures": {"pattern": r"^(\*|\w+(,\w+)*)$"},
        "includes": {"pattern": r"^\w+\.h(,\w+\.h)*$"},
    },
}  # fmt: skip
"""The library specification 1.5 (rev. 2.2) of Arduino."""


def test_arduino_takes_it() -> None:
    jsonschema.validate(properties(), ARDUINO)
    assert (COMPONENT / "src" / properties()["includes"]).is_file()
    for line in read("keywords.txt").splitlines():
        assert re.fullmatch(r"\w+\t(KEYWORD[123]|LITERAL1)", line), "one tab, no spaces"


def test_every_file_that_a_manifest_names_is_there() -> None:
    manifest = json.loads(read("library.json"))
    assert (COMPONENT / "src" / manifest["headers"]).is_file()
    for example in manifest["examples"]:
        for file in example["files"]:
            assert (COMPONENT / example["base"] / file).is_file()
    for name in ("README.md", "CHANGELOG.md", "LICENSE"):
        assert (COMPONENT / name).is_file()
    assert read("LICENSE") == (ROOT / "LICENSE").read_text(encoding="utf-8")


PINS = {
    "esp32": set(range(40)) - {6, 7, 8, 9, 10, 11, 20, 24, 28, 29, 30, 31},
    "esp32c3": set(range(22)) - set(range(11, 18)),
    "esp32s3": set(range(49)) - set(range(22, 33)),
}
"""GPIOs that there are and that the flash does not take."""


def test_pins_of_a_board_are_the_chips_and_only_clocks_are_shared() -> None:
    for row in boards(compiler()):
        used = {name: pin for name, pin in row["pins"].items() if pin >= 0}
        assert set(used.values()) <= PINS[row["chip"]], row["name"]
        if row["chip"] == "esp32":
            outputs = {pin for name, pin in used.items() if name not in {"button", "in.data"}}
            assert max(outputs) < 34, "the ESP32's 34 to 39 are inputs only"
        shared = {pin for pin in used.values() if list(used.values()).count(pin) > 1}
        assert shared <= {used.get(name) for name in ("in.bclk", "in.ws", "out.bclk", "out.ws")}, row["name"]
        assert row["source"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_it_compiles_against_the_headers_of_esp_idf() -> None:
    if "IDF_PATH" not in os.environ:
        pytest.skip("IDF_PATH names no checkout of ESP-IDF (make esp-idf IDF_PATH=... IDF_EXTRA=...)")
    if shutil.which("riscv64-unknown-elf-gcc") is None:
        pytest.skip("there is no riscv64-unknown-elf-gcc")
    checked = subprocess.run([ROOT / ".ci" / "esp-idf"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout.count("files read") == 6


def test_the_documentation_shows_the_table_of_boards_and_its_wires() -> None:
    rows = boards(compiler())
    document = DOCUMENT.read_text(encoding="utf-8")
    assert with_table(document, rows) == document, "python -m tests.firmware_bridge.esp32.boards"
    for name, drawn in drawings(rows).items():
        assert (DOCUMENT.parent / name).read_text(encoding="utf-8") == drawn, name
        assert f"({name})" in document
