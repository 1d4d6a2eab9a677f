"""What programs of others import stays where it is: in the README, in docs/ and in these lists."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PUBLIC = {
    "gateway.orchestrator": (
        "AgentAnswer AgentAnswers Answer AnswerFunction BadOrchestrator CannotAnswer CannotAsk ComesLater "
        "ConversationTurn Heard NotUnderstood Orchestrator Rehearsal Rehearsed Reply Say TurnOver serve"
    ),
    "gateway.messages": (
        "AGENT_CHARACTERS DEAD_TOPIC ERROR_CHARACTERS MESSAGE_BYTES REPLIES_TOPIC RESULTS_TOPIC SCHEMA UNREADABLE "
        "AudioFacts BadMessage DeadUtterance HintText Id Language Line OrchestratorReply RecognizerFacts Text Timings "
        "TranscriptionMessage WantedHints WordTime decode_reply decode_transcription encode is_token new_id"
    ),
    "gateway.events": (
        "EVENT_KINDS FORGOTTEN MOST_NAMES MOST_TOKEN_CHARACTERS ArbitrationEvent Authenticate DeliveryEvent "
        "DeviceEvent ErrorEvent FirmwareEvent HealthEvent HeardAt HubEvent HubEventBase ListenerEvent PartialEvent "
        "ReplyEvent SaidEvent Say SnapshotEvent StatusEvent Subscribe TranscriptionEvent decode_event decode_first "
        "decode_say decode_subscribe"
    ),
    "gateway.listener": (
        "CONNECT_SECONDS HEARTBEAT_SECONDS MAX_EVENT_BYTES BadAddress GatewayUnreachable Listener ListenerError "
        "ListenerRefused"
    ),
}
BROUGHT = {
    "gateway.orchestrator": {"msgspec", "structlog"},
    "gateway.messages": {"msgspec"},
    "gateway.events": {"msgspec"},
    "gateway.listener": {"aiohttp", "msgspec"},
}
"""Which of what we depend on a public name needs: a program in the house is not to pay for a recognizer."""
PROSE = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "examples").rglob("*.py")),
]

PYTHON = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def imported() -> Iterator[tuple[str, str, str]]:
    """Every name that an example of ours takes from us: where it stands, and which."""
    for path in PROSE:
        text = path.read_text(encoding="utf-8")
        blocks = (
            [text]
            if path.suffix == ".py"
            else re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        )
        for node in (node for block in blocks for node in ast.walk(ast.parse(block))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "gateway":
                yield from ((path.name, node.module, alias.name) for alias in node.names)


def depended_on() -> set[str]:
    """Whatever pyproject.toml asks for, as it is imported."""
    asked = re.findall(
        r'^    "([a-z-]+)[>=\[].*"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE
    )
    names = {"pyyaml": "yaml", "paho-mqtt": "paho", "pyserial": "serial", "nats-py": "nats"}
    return {names.get(name, name.replace("-", "_")) for name in asked} | {
        "redis",
        "aio_pika",
        "cryptography",
        "amqtt",
    }


@pytest.mark.parametrize("module", PUBLIC)
def test_a_public_module_holds_just_what_it_promises(module: str) -> None:
    face = importlib.import_module(module)
    assert sorted(face.__all__) == sorted(PUBLIC[module].split())
    assert {name for name in vars(face) if not name.startswith("__")} == set(face.__all__)


def test_the_examples_use_public_names_only() -> None:
    used = list(imported())
    assert {module for _, module, _ in used} >= {
        "gateway.orchestrator",
        "gateway.messages",
        "gateway.listener",
    }
    assert [one for one in used if one[2] not in PUBLIC.get(one[1], "").split()] == []


@pytest.mark.parametrize("module", PUBLIC)
def test_a_public_name_is_light(module: str) -> None:
    code = f"import sys, {module}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # What one of those that it needs brings along (aiohttp its multidict, structlog its rich) is not ours to count.
    brought = {"aiohttp": {"multidict", "yarl"}, "structlog": {"rich"}}
    allowed = BROUGHT[module].union(*(brought.get(name, set()) for name in BROUGHT[module]))
    modules = done.stdout.split()
    loaded = {name.split(".")[0] for name in modules} & depended_on()
    assert BROUGHT[module] <= loaded <= allowed
    # Whose turn it is, is one rule for the whole house; it needs nothing.
    of_recognizer = {name for name in modules if name.split(".")[0] == "transcription"}
    assert of_recognizer <= {"transcription", "transcription.priority"}
