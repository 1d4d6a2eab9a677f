"""The house as docs/architecture.md draws it: who imports whom, and what stays out."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("firmware_bridge", "transcription", "gateway")
SANS_IO = {
    "firmware_bridge.link.codecs",
    "firmware_bridge.link.events",
    "firmware_bridge.link.fleet",
    "firmware_bridge.link.frames",
    "firmware_bridge.link.framing",
    "firmware_bridge.link.link",
    "gateway.pipeline.sessions.requests",
    "gateway.contract.events",
    "gateway.access.limits",
    "gateway.contract.messages",
    "gateway.pipeline.sessions.names",
    "gateway.pipeline.sessions.session",
    "gateway.web.entrance.masks",
    "transcription.scheduling.drafts",
    "transcription.scheduling.partial_text",
    "transcription.utterance.segmenter",
}
IO_LIBRARIES = {"asyncio", "socket", "selectors", "threading", "serial", "paho", "aiohttp"}
CLIENT_LIBRARIES = {
    "serial", "paho", "amqtt", "faster_whisper", "ctranslate2", "onnxruntime", "av", "pocketsphinx",
    "sounddevice", "yaml", "redis", "nats", "aio_pika", "aiormq", "jwt", "cryptography",
}  # fmt: skip
ROOMS_THAT_MEET_ONLY_IN_THE_PIPELINE = ("session", "correlation", "broker", "hub", "journal")
TOP_LEVEL = {
    "pyproject.toml",
    "gateway",
    "transcription",
    "firmware_bridge",
    "tests",
    "systemd",
    "config.yaml",
}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_name(p): p for package in PACKAGES for p in sorted((ROOT / package).rglob("*.py"))}


def imports(path: Path) -> Iterator[str]:
    """Every module a file imports, wherever in the file, also for types only."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in SOURCES else node.module


IMPORTS = {name: set(imports(path)) for name, path in SOURCES.items()}


def test_the_seven_names_of_the_top_level_are_there() -> None:
    assert {path.name for path in ROOT.iterdir()} >= TOP_LEVEL


@pytest.mark.parametrize("leaf", ["firmware_bridge", "transcription"])
def test_a_leaf_package_knows_no_sibling(leaf: str) -> None:
    siblings = set(PACKAGES) - {leaf}
    for module, imported in IMPORTS.items():
        if module.split(".")[0] == leaf:
            assert not {name for name in imported if name.split(".")[0] in siblings}, module


def test_there_is_no_import_cycle() -> None:
    graph = {name: imported & SOURCES.keys() for name, imported in IMPORTS.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"cycle: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize("module", sorted(SANS_IO))
def test_a_sans_io_module_does_no_io(module: str) -> None:
    assert not {name.split(".")[0] for name in IMPORTS[module]} & IO_LIBRARIES


@pytest.mark.parametrize("library", sorted(CLIENT_LIBRARIES))
def test_a_client_library_is_imported_in_one_file_of_a_package(library: str) -> None:
    for package in PACKAGES:
        users = [
            module
            for module, imported in IMPORTS.items()
            if module.split(".")[0] == package and library in {name.split(".")[0] for name in imported}
        ]
        assert len(users) <= 1, users


def test_the_rooms_of_the_gateway_meet_only_in_the_pipeline() -> None:
    for module, imported in IMPORTS.items():
        room = module.removeprefix("gateway.").split(".")[0]
        if not module.startswith("gateway.") or room not in ROOMS_THAT_MEET_ONLY_IN_THE_PIPELINE:
            continue
        others = {f"gateway.{other}" for other in ROOMS_THAT_MEET_ONLY_IN_THE_PIPELINE if other != room}
        strays = {name for name in imported if any(name == o or name.startswith(o + ".") for o in others)}
        assert not strays, f"{module} imports {strays}"


def test_only_who_puts_the_gateway_together_knows_which_recognizer_it_is() -> None:
    knowing = {
        module for module, imported in IMPORTS.items() if "transcription.scheduling.scheduler" in imported
    }
    assert knowing == {"gateway.app"}


def test_importing_the_gateway_with_the_memory_broker_loads_no_optional_stack() -> None:
    code = (
        "import sys, gateway, gateway.pipeline.pipeline\n"
        "from gateway.broker import open_broker\n"
        "heavy = {'faster_whisper', 'ctranslate2', 'onnxruntime', 'av', 'pocketsphinx', 'paho', 'amqtt', 'aio_pika',"
        " 'redis', 'nats', 'sounddevice', 'jwt', 'cryptography'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_decisions_are_numbered_one_after_the_other() -> None:
    records = sorted((ROOT / "docs" / "adr").glob("*.md"))
    assert [int(record.name[:4]) for record in records] == list(range(1, len(records) + 1))
    for record in records:
        heading = record.read_text(encoding="utf-8").split("\n", 1)[0]
        assert heading.startswith(f"# {int(record.name[:4])}. "), record.name


def test_the_document_lists_every_module_and_no_other() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `([a-z_/]+\.py)` \|", text, flags=re.MULTILINE))
    present = {
        str(path.relative_to(ROOT))
        for path in SOURCES.values()
        if path.name not in {"__init__.py", "__main__.py"}
    }
    assert listed == present
