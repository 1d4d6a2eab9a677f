"""The house as docs/architecture.md draws it: who imports whom, and what stays out."""

from __future__ import annotations

import ast
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from docs.plan.drawing import PICTURE, picture
from docs.plan.house import PACKAGES, ROOT, imports, sentence, sources, tree
from docs.plan.modules import DOCUMENT, filled, places, tables

pytestmark = pytest.mark.xdist_group("architecture")
"""All of it is parsed once."""
SANS_IO = {
    "firmware_bridge.link.admission",
    "gateway.firmware.deployment",
    "firmware_bridge.link.challenges",
    "firmware_bridge.images.serving",
    "firmware_bridge.images.taker",
    "firmware_bridge.link.clock_drift",
    "firmware_bridge.link.codecs",
    "firmware_bridge.link.events",
    "firmware_bridge.link.fleet",
    "firmware_bridge.link.frames",
    "firmware_bridge.link.framing",
    "firmware_bridge.link.link",
    "firmware_bridge.link.recording_faults",
    "firmware_bridge.link.voice_pitch",
    "gateway.pipeline.arbitration.arbiter",
    "gateway.pipeline.arbitration.claims",
    "gateway.pipeline.arbitration.likeness",
    "gateway.pipeline.arbitration.voice_track",
    "gateway.pipeline.agents.breaker",
    "gateway.pipeline.agents.copies",
    "gateway.pipeline.agents.roster",
    "gateway.pipeline.agents.track_record",
    "gateway.pipeline.teams.combining",
    "gateway.pipeline.teams.members",
    "gateway.pipeline.teams.plans",
    "gateway.pipeline.teams.teamwork",
    "gateway.pipeline.content.forbidden_words",
    "gateway.pipeline.content.personal_data",
    "gateway.pipeline.sessions.requests",
    "gateway.contract.events",
    "gateway.house.neighbours",
    "gateway.observing.machine.series",
    "gateway.access.limits",
    "gateway.agents.openai.pieces",
    "gateway.agents.openai.plain_words",
    "gateway.agents.openai.prompt",
    "gateway.agents.openai.stream",
    "gateway.agents.openai.thoughts",
    "gateway.agents.openai.token_budget",
    "gateway.agents.openai.tool_calls",
    "gateway.agents.tools.asking_first",
    "gateway.adapters.home_assistant.discovery",
    "gateway.adapters.home_assistant.house",
    "gateway.adapters.home_assistant.pace",
    "gateway.adapters.home_assistant.states",
    "gateway.adapters.home_assistant.topics",
    "gateway.adapters.wyoming.events",
    "gateway.adapters.wyoming.info",
    "gateway.adapters.wyoming.pace",
    "gateway.adapters.wyoming.wire",
    "gateway.names.discovered",
    "gateway.names.exposed",
    "gateway.names.tiers",
    "gateway.recognizers.pool.standing",
    "gateway.recognizers.pool.estimate",
    "gateway.recognizers.pool.jobs",
    "gateway.recognizers.pool.own_queue",
    "gateway.recognizers.pool.workers",
    "gateway.agents.commands.filling",
    "gateway.agents.commands.matching",
    "gateway.agents.commands.sentence",
    "gateway.agents.commands.words",
    "gateway.contract.messages",
    "gateway.pipeline.sessions.names",
    "gateway.pipeline.sessions.session",
    "gateway.web.entrance.masks",
    "gateway.web.openai.realtime_items",
    "gateway.web.openai.realtime_messages",
    "gateway.web.openai.realtime_settings",
    "transcription.scheduling.drafts",
    "transcription.scheduling.partial_text",
    "transcription.utterance.segmenter",
    "transcription.wake.gate",
    "transcription.wake.word_end",
}
IO_LIBRARIES = {"asyncio", "socket", "selectors", "threading", "serial", "paho", "aiohttp"}
CLIENT_LIBRARIES = {
    "serial", "paho", "amqtt", "faster_whisper", "ctranslate2", "onnxruntime", "av", "pocketsphinx",
    "sounddevice", "soxr", "pymicro_wakeword", "yaml", "redis", "nats", "aio_pika", "aiormq", "cryptography",
    "asyncpg", "aiokafka",
    "esptool", "esp_idf_nvs_partition_gen", "zeroconf", "mcp", "httpx2", "langgraph",
}  # fmt: skip
IN_ONE_FILE_OF_A_PACKAGE = {"serial", "av", "cryptography"}
"""Two packages that know nothing of each other use these."""
ROOMS_THAT_MEET_ONLY_IN_THE_PIPELINE = (
    "pipeline.sessions.session",
    "pipeline.sessions.requests",
    "broker",
    "hub",
    "journal",
)
TOP_LEVEL = {
    "pyproject.toml",
    "gateway",
    "transcription",
    "firmware_bridge",
    "tests",
    "systemd",
    "config.yaml",
}


WHO_MAY_ASK_WHOM = """
firmware_bridge:
firmware_bridge.link:           firmware_bridge
firmware_bridge.images:         firmware_bridge firmware_bridge.link
firmware_bridge.speech_files:   firmware_bridge firmware_bridge.link
firmware_bridge.embedded_broker:firmware_bridge firmware_bridge.link
firmware_bridge.carriers:       firmware_bridge firmware_bridge.link firmware_bridge.embedded_broker
firmware_bridge.microphones:    firmware_bridge firmware_bridge.link firmware_bridge.carriers
firmware_bridge.bridge:         firmware_bridge firmware_bridge.link firmware_bridge.embedded_broker
                                firmware_bridge.carriers firmware_bridge.microphones
firmware_bridge.flashing:       firmware_bridge firmware_bridge.link firmware_bridge.carriers firmware_bridge.bridge
firmware_bridge.line_test:      firmware_bridge firmware_bridge.link firmware_bridge.carriers
firmware_bridge.simulator:      firmware_bridge firmware_bridge.link firmware_bridge.speech_files
                                firmware_bridge.images firmware_bridge.carriers

transcription:
transcription.utterance:        transcription
transcription.models:           transcription
transcription.transcriber:      transcription transcription.utterance
transcription.recognizing:      transcription transcription.utterance transcription.transcriber
transcription.whisper:          transcription transcription.utterance transcription.models
                                transcription.transcriber
transcription.sphinx:           transcription transcription.utterance transcription.transcriber
                                transcription.whisper
transcription.process:          transcription transcription.utterance transcription.transcriber
transcription.sound_files:      transcription transcription.process
transcription.wake:             transcription transcription.utterance transcription.models transcription.transcriber
transcription.scheduling:       transcription transcription.utterance transcription.models
                                transcription.transcriber transcription.recognizing transcription.whisper
                                transcription.sphinx transcription.process

.contract:
.settings.agents:
.settings.observing:
.settings:                      .settings.agents
.process:                       firmware_bridge transcription
.access:                        firmware_bridge firmware_bridge.link firmware_bridge.embedded_broker
                                .contract .settings .process
.broker:                        firmware_bridge transcription .contract .settings
.broker.backends:               firmware_bridge.carriers transcription .contract .settings .broker
.broker.opening:                .settings .broker .broker.backends
.journal.errors:
.journal.records:               .contract
.journal.effects:               .journal.records
.journal.dead_letters:          .contract .journal.errors .journal.records .journal.effects
.journal.tables:                transcription .settings .process .access .journal.errors .journal.records
                                .journal.effects .journal.dead_letters
.journal:                       transcription .settings .process .access .journal.errors .journal.records
                                .journal.effects .journal.dead_letters .journal.tables
.config:                        firmware_bridge transcription .contract .settings.agents .settings.observing
                                .settings .access .broker .broker.opening .journal
.observing.metrics:             .contract
.hub:                           firmware_bridge .contract .settings .process .access .observing.metrics
.orchestrators:                 firmware_bridge transcription .contract .settings .process .access .broker
                                .broker.opening
.observing:                     firmware_bridge transcription transcription.recognizing .contract .settings
                                .process .access .broker .journal .orchestrators
.observing.machine:
.observing.requests:            .contract .observing.metrics
.backups:                       .access .journal .journal.tables
.tracing:                       firmware_bridge .contract .settings.observing .hub .observing.metrics
.shared_store:                  firmware_bridge .contract .settings .process .access .broker .broker.backends .config
                                .journal.errors .journal.records .journal.effects .journal.tables .journal .observing
.registry:                      firmware_bridge firmware_bridge.link .access .observing
.firmware:                      firmware_bridge firmware_bridge.link firmware_bridge.images .contract .access
                                .observing
.names:                         firmware_bridge firmware_bridge.carriers transcription transcription.models
                                .settings .config .observing
.house:                         firmware_bridge .contract .access .broker .hub
.pipeline.agents:               .contract .settings
.pipeline.arbitration:          firmware_bridge transcription transcription.utterance
.pipeline.sessions:             firmware_bridge transcription transcription.transcriber .contract .settings
                                .journal.records
.pipeline.teams:                firmware_bridge .contract .settings .pipeline.agents
.pipeline.recordings:           firmware_bridge transcription transcription.utterance
                                transcription.transcriber transcription.recognizing transcription.sound_files
                                .settings
.pipeline.dictation:            firmware_bridge transcription transcription.utterance
                                transcription.transcriber transcription.recognizing transcription.scheduling
                                .pipeline.sessions
.pipeline.content:              .contract .settings .process .pipeline.sessions
.pipeline.telling:              firmware_bridge firmware_bridge.link transcription transcription.scheduling .contract
                                .settings .process .access .journal.records .journal.effects .journal .hub
                                .observing .pipeline.sessions .pipeline.content .pipeline.arbitration
.pipeline.hearing:              firmware_bridge firmware_bridge.link transcription transcription.utterance
                                transcription.transcriber transcription.recognizing transcription.scheduling
                                transcription.wake .contract .settings .process .journal.records .journal.effects
                                .journal .observing .pipeline.sessions .pipeline.telling .pipeline.arbitration
.pipeline.asking:               firmware_bridge firmware_bridge.link transcription transcription.utterance
                                transcription.transcriber transcription.recognizing transcription.whisper
                                .contract .settings .process .access .broker .journal.records .journal.effects
                                .journal.dead_letters .journal .observing .pipeline.sessions .pipeline.telling
                                .pipeline.teams .pipeline.hearing .pipeline.content .pipeline.arbitration
.pipeline.by_name:              firmware_bridge .contract .settings .process .journal.records .journal.effects
                                .journal.dead_letters .journal .pipeline.sessions .pipeline.telling .pipeline.agents
                                .pipeline.teams .pipeline.asking
.pipeline:                      firmware_bridge firmware_bridge.link transcription transcription.utterance
                                transcription.transcriber transcription.recognizing transcription.wake .contract
                                .settings .process .access
                                .broker .broker.opening .journal.records .journal.effects .journal .observing
                                .pipeline.sessions .pipeline.agents .pipeline.recordings .pipeline.telling
                                .pipeline.hearing .pipeline.asking .pipeline.content .pipeline.by_name
                                .pipeline.dictation .pipeline.recordings .pipeline.arbitration
.house.row:                     firmware_bridge firmware_bridge.link .contract .process .broker
                                .journal.records .house .pipeline.sessions .pipeline
.adapters.doors:                firmware_bridge .access .observing
.web.entrance:                  firmware_bridge .settings .process .access .config
.alerting:                      firmware_bridge firmware_bridge.carriers .contract .settings.observing .access
                                .observing .observing.machine .observing.metrics .hub
.web.parts:                     firmware_bridge.bridge transcription.recognizing .settings .access .alerting .broker
                                .journal .config .hub .observing .observing.machine .observing.requests .registry
                                .pipeline.asking .pipeline
.planning:
.web.metrics:                   transcription.recognizing .contract .broker .journal
                                .observing .observing.machine .observing.metrics .pipeline.agents .planning
                                .web.parts
.web.explaining:                .journal .observing.requests .web.entrance .web.parts
.web.recordings:                transcription .contract .settings .pipeline .pipeline.recordings
                                .pipeline.asking .web.entrance .web.parts
.web.listeners:                 .contract .access .hub .pipeline.asking .web.entrance .web.parts
.web.api:                       firmware_bridge firmware_bridge.link firmware_bridge.speech_files
                                firmware_bridge.images .firmware
                                firmware_bridge.bridge transcription.models
                                transcription.transcriber .contract .settings .access .broker
                                .journal.records .journal.dead_letters .journal .config
                                .observing .observing.machine .planning .registry .alerting .pipeline.sessions
                                .pipeline.agents
                                .pipeline.recordings
                                .pipeline.telling .pipeline.asking .pipeline .web.entrance .web.parts
                                .web.recordings .web.metrics .process
.web.personal:              firmware_bridge firmware_bridge.speech_files .access .journal .journal.dead_letters
                                .web.entrance .web.api
.web.operations:                .contract .access .observing.requests .web.entrance .web.parts .web.explaining
                                .web.api .web.personal
.web.openai:                    transcription transcription.utterance transcription.scheduling
                                transcription.sound_files transcription.transcriber .contract .access
                                .observing.requests .adapters.doors
                                .pipeline.recordings .pipeline.dictation .pipeline.asking .web.entrance .web.parts
                                .web.listeners .web.explaining .web.recordings .web.api
.web.elsewhere:                 .contract .access .journal .house .observing.requests .pipeline.asking .web.entrance
                                .web.parts .web.api
                                .web.operations
.web:                           firmware_bridge firmware_bridge.link .contract .settings .access .observing
                                .observing.requests
                                .web.entrance .web.parts .web.listeners .web.metrics .web.api .web.operations
                                .web.openai
.agents.process.wire:           .contract .settings
.agents.process.watched:        firmware_bridge .contract .process .orchestrators .agents.process.wire
.agents.tools:                  .broker .settings.agents .orchestrators
.agents:                        firmware_bridge .contract .settings.agents .settings .orchestrators
.agents.openai:                 .settings.agents .settings .orchestrators .agents.tools .agents
.agents.commands:               firmware_bridge firmware_bridge.carriers .contract .config .settings.agents .settings
                                .orchestrators .agents.tools .agents
.agents.process.pipe_end:       .agents.process.wire
.agents.mcp:                    firmware_bridge .settings.agents .orchestrators .agents .agents.tools
                                .agents.process.wire .agents.process.watched .agents.process.pipe_end
.agents.home_assistant:         .settings .orchestrators .agents
.agents.webhook:                .contract .settings .orchestrators .agents
.agents.process:                .contract .settings .broker .broker.opening .orchestrators .agents
                                .agents.process.wire .agents.process.watched .agents.process.pipe_end
.answering:                     firmware_bridge .agents .agents.process .access .contract .settings .broker
                                .broker.opening .journal.effects .journal .orchestrators .observing
                                .pipeline.agents .pipeline.telling .pipeline.asking
                                .pipeline
.recognizers:                   transcription .contract .access .broker
.recognizers.pool:              transcription transcription.utterance transcription.transcriber
                                transcription.recognizing transcription.scheduling .contract .settings .process
                                .broker .broker.opening .recognizers
.adapters.parts:                firmware_bridge.bridge transcription.recognizing .config .hub .observing .registry
                                .pipeline
.adapters.asking:               .contract .settings .access .pipeline.telling
.adapters.languages:
.adapters.wyoming:              firmware_bridge firmware_bridge.link firmware_bridge.carriers firmware_bridge.bridge
                                transcription transcription.utterance transcription.models
                                transcription.recognizing transcription.sound_files transcription.transcriber
                                .contract .process .access .observing .pipeline.asking .pipeline.telling
                                .pipeline.dictation .adapters.doors .adapters.asking .adapters.languages
                                .adapters.parts
.adapters.home_assistant:       firmware_bridge firmware_bridge.carriers .access .contract .settings .hub .observing
                                .pipeline.telling .pipeline.asking .adapters.parts
.adapters:                      .adapters.parts .adapters.wyoming .adapters.home_assistant
.client:                        firmware_bridge firmware_bridge.link firmware_bridge.simulator .contract
.systemd:                       .contract .access .config
.recognizers.worker:            transcription transcription.utterance transcription.transcriber
                                transcription.recognizing transcription.scheduling .contract .settings .process
                                .observing.metrics .observing.requests .broker .broker.opening .recognizers .systemd
gateway:                        .contract .orchestrators .client
.house.copies:                  .contract .broker .journal.effects .journal.errors .journal.tables .journal
                                .house.row
.standby:                       .contract .access .broker .broker.opening .house .house.row .house.copies
                                .hub .journal .config .observing .process .web.entrance .web.parts .web .systemd
.app:                           firmware_bridge.link firmware_bridge.embedded_broker firmware_bridge.bridge
                                transcription transcription.utterance transcription.recognizing
                                transcription.scheduling .contract .recognizers .recognizers.pool
                                .process .access .broker .broker.opening .journal.errors .journal .config
                                .house.row .standby .house .house.copies .hub .orchestrators .observing
                                .observing.machine .observing.requests .registry
                                .firmware .names .shared_store .pipeline.telling .pipeline
                                .answering .alerting .adapters.parts .adapters .settings .pipeline.content
                                .pipeline.sessions .web.entrance
                                .web.parts .web.elsewhere .web .systemd .tracing
.house_hub:                     .contract .process .access .broker .broker.opening .journal.errors .journal
                                .config .house .hub .observing .observing.machine .shared_store .web.entrance
                                .web.parts .web.elsewhere
                                .web .systemd
.commands.orchestrator.agent_options: .contract .settings .config
.commands:                      firmware_bridge firmware_bridge.link firmware_bridge.speech_files
                                firmware_bridge.images .firmware
                                firmware_bridge.carriers firmware_bridge.microphones firmware_bridge.flashing
                                firmware_bridge.line_test
                                firmware_bridge.simulator transcription.process transcription.wake .contract .settings
                                .process .access .journal.errors .journal.records .journal.dead_letters .journal
                                .config .observing .registry .names .client .systemd .agents.commands .shared_store .app
                                .commands.orchestrator.agent_options transcription transcription.models
                                transcription.whisper
.commands.demo:                 firmware_bridge firmware_bridge.speech_files firmware_bridge.microphones
                                firmware_bridge.simulator
                                .contract .settings .config .observing .client .app
.commands.doctor:               firmware_bridge firmware_bridge.carriers firmware_bridge.microphones
                                transcription transcription.models transcription.whisper transcription.wake
                                transcription.transcriber .recognizers.pool
                                .contract .settings .process .access .broker .broker.opening .config
                                .orchestrators .observing .registry .shared_store .names .agents .agents.process
                                .agents.mcp .agents.tools
                                .adapters.home_assistant .web.entrance .commands
.commands.orchestrator:         .agents .broker .broker.opening .config .orchestrators .observing .commands
                                .commands.orchestrator.agent_options
.commands.house:                transcription.transcriber transcription.process .contract .planning .process .broker
                                .broker.opening .config .observing .recognizers.worker .house_hub .recognizers.pool
                                .commands
.commands.user:                 .contract .commands
.commands.trace:                .contract .access .config .journal.errors .journal.records .journal .commands
.commands.backups:              firmware_bridge .contract .config .journal .backups .commands
.commands.models:               firmware_bridge.speech_files transcription transcription.utterance
                                transcription.models transcription.whisper transcription.process .contract
                                .commands
.__main__:                      .commands

benchmarks.instruments:         transcription.utterance transcription.transcriber transcription.scheduling
                                .access
benchmarks.load:                firmware_bridge.speech_files firmware_bridge.simulator transcription
                                transcription.utterance transcription.models .contract
                                .access .broker .config .hub .orchestrators .client .app
                                benchmarks.instruments
benchmarks.peers:               firmware_bridge.link firmware_bridge.speech_files transcription .contract
                                benchmarks.instruments benchmarks.load
benchmarks:                     firmware_bridge firmware_bridge.link firmware_bridge.speech_files
                                firmware_bridge.bridge firmware_bridge.simulator transcription
                                transcription.utterance transcription.wake transcription.models
                                transcription.transcriber transcription.recognizing transcription.scheduling
                                transcription.whisper transcription.sphinx transcription.process .contract
                                .settings .broker .broker.opening .broker.backends .journal.records
                                .journal.effects .journal .hub .orchestrators .observing .observing.machine
                                .observing.metrics .pipeline.asking .process
                                .pipeline.arbitration .recognizers.pool
                                .names .web .client .planning .app benchmarks.instruments benchmarks.load
                                benchmarks.peers
benchmarks.fleet:               firmware_bridge.speech_files firmware_bridge.simulator .orchestrators .client
                                .planning benchmarks.instruments benchmarks.load benchmarks
"""
"""Each room, and those whose modules its modules may import. Nobody asks a room further down.

A room is a folder. Where a folder stands on two floors, a module in it has a row of its own, and the folder's row
is for the others. A dot in front stands for ``gateway``.
"""
TWO_THINGS = {
    "Heard": "an effect of the journal; what the process that decodes recordings says, by this name, to its owner; "
    "and, for programs of others, what an orchestrator is given",
    "Reply": "a frame of the device link; and, for programs of others, what an orchestrator ends with",
    "Refused": "a publication; and what that process says, too",
    "Say": "both are for programs of others: what a listener sends, and what an orchestrator says",
}
"""Names of two classes each, and why they stay."""
MOST_MODULES = 22
LONGEST_FUNCTION = 60
LONG_FUNCTION = 20
"""Nine of ten functions are shorter."""
TEST_LINES_PER_SOURCE_LINE = 1.2

SOURCES = sources(*PACKAGES)
EVERYTHING = sources(*PACKAGES, "benchmarks")


@cache
def imported_by() -> dict[str, set[str]]:
    """What each module imports. Seconds of parsing: for the tests that look at it, not for all who collect them."""
    return {name: set(imports(path, EVERYTHING)) for name, path in EVERYTHING.items()}


def direction() -> dict[str, set[str]]:
    """The table, read."""
    rooms: dict[str, set[str]] = {}
    for line in WHO_MAY_ASK_WHOM.replace("\n ", " ").split("\n"):
        asker, _, asked = line.partition(":")
        if asker:
            rooms[full(asker)] = {full(room) for room in asked.split()}
    return rooms


def full(room: str) -> str:
    return f"gateway{room}" if room.startswith(".") else room


MAY_ASK = direction()


def room_of(module: str) -> str:
    """The row of the table that a module falls under: its own, or that of its folder."""
    if module in MAY_ASK:
        return module
    path = EVERYTHING[module]
    return ".".join(path.parent.relative_to(ROOT).parts)


def test_a_room_asks_only_those_above_it_in_the_table() -> None:
    above: set[str] = set()
    for asker, asked in MAY_ASK.items():
        assert asked <= above, f"{asker} may not ask {sorted(asked - above)}: they stand further down"
        above.add(asker)


@pytest.mark.parametrize("room", MAY_ASK)
def test_a_room_asks_whom_it_may(room: str) -> None:
    for module in (name for name in EVERYTHING if room_of(name) == room):
        asked = {room_of(name) for name in imported_by()[module] & EVERYTHING.keys()} - {room}
        strays = sorted(asked - MAY_ASK[room])
        assert not strays, f"{module} asks {strays}: if it may, {room}'s row in WHO_MAY_ASK_WHOM says so"


def test_a_permission_that_nobody_needs_is_gone() -> None:
    used: dict[str, set[str]] = {room: set() for room in MAY_ASK}
    for module in EVERYTHING:
        used[room_of(module)] |= {room_of(name) for name in imported_by()[module] & EVERYTHING.keys()}
    unused = {room: sorted(may - used[room]) for room, may in MAY_ASK.items() if may - used[room]}
    assert unused == {}, "strike them from WHO_MAY_ASK_WHOM"


def test_the_rooms_are_those_of_the_table() -> None:
    folders = {".".join(path.parent.relative_to(ROOT).parts) for path in EVERYTHING.values()}
    assert folders <= MAY_ASK.keys()
    assert {room_of(name) for name in EVERYTHING} == MAY_ASK.keys()


def test_a_folder_shows_its_idea() -> None:
    rooms = [path.parent for path in SOURCES.values() if path.name != "__init__.py"]
    assert {str(room) for room in rooms if rooms.count(room) > MOST_MODULES} == set()
    assert {str(room) for room in rooms if not sentence(room / "__init__.py")} == set()


def test_nobody_in_the_house_uses_a_public_name() -> None:
    """The faces are for programs of others: what lies behind one may be reached in one way only."""
    faces = {name for name, path in SOURCES.items() if path.parent == ROOT / "gateway"} - {
        "gateway",
        "gateway.app",
    }
    assert {
        module for module, imported in imported_by().items() if imported & faces and module in SOURCES
    } == set()


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Every function of a file, and its lines."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            yield node.name, node.end_lineno - node.lineno + 1


def test_a_function_fits_a_glance() -> None:
    lengths = {f"{module}.{name}": n for module, path in SOURCES.items() for name, n in functions(path)}
    assert {name for name, length in lengths.items() if length > LONGEST_FUNCTION} == set()
    every = [length for path in SOURCES.values() for _, length in functions(path)]
    assert statistics.quantiles(every, n=10)[-1] < LONG_FUNCTION


def test_a_class_has_a_name_of_its_own() -> None:
    """But for the API's, which say what the published document says."""
    homes: dict[str, set[str]] = defaultdict(set)
    for module, path in SOURCES.items():
        if not module.startswith("gateway.web.api."):
            for node in tree(path).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    homes[node.name].add(module)
    assert {name for name, modules in homes.items() if len(modules) > 1} == TWO_THINGS.keys()


def test_there_are_more_lines_of_tests_than_of_what_they_test() -> None:
    ours, tests = (
        sum(len(path.read_text(encoding="utf-8").splitlines()) for path in paths)
        for paths in (SOURCES.values(), (ROOT / "tests").rglob("*.py"))
    )
    assert tests >= TEST_LINES_PER_SOURCE_LINE * ours


def test_the_seven_names_of_the_top_level_are_there() -> None:
    assert {path.name for path in ROOT.iterdir()} >= TOP_LEVEL


@pytest.mark.parametrize("leaf", ["firmware_bridge", "transcription"])
def test_a_leaf_package_knows_no_sibling(leaf: str) -> None:
    siblings = set(PACKAGES) - {leaf}
    for module, imported in imported_by().items():
        if module.split(".")[0] == leaf:
            assert not {name for name in imported if name.split(".")[0] in siblings}, module


def test_there_is_no_import_cycle() -> None:
    graph = {name: imported & EVERYTHING.keys() for name, imported in imported_by().items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"cycle: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize("module", sorted(SANS_IO))
def test_a_sans_io_module_does_no_io(module: str) -> None:
    assert not {name.split(".")[0] for name in imported_by()[module]} & IO_LIBRARIES


@pytest.mark.parametrize("library", sorted(CLIENT_LIBRARIES))
def test_a_client_library_is_imported_in_one_file(library: str) -> None:
    users = [
        module
        for module, imported in imported_by().items()
        if library in {name.split(".")[0] for name in imported}
        and not module.startswith("benchmarks.")  # they measure the bare libraries beside
    ]
    assert len(users) <= 1 or library in IN_ONE_FILE_OF_A_PACKAGE, users
    packages = [module.split(".")[0] for module in users]
    assert len(packages) == len(set(packages)), users


def test_the_rooms_of_the_gateway_meet_only_in_the_pipeline() -> None:
    """The table says so, too; but that they know nothing of one another is no matter of taste."""
    for room in (f"gateway.{name}" for name in ROOMS_THAT_MEET_ONLY_IN_THE_PIPELINE):
        others = {f"gateway.{name}" for name in ROOMS_THAT_MEET_ONLY_IN_THE_PIPELINE} - {room}
        for module in (name for name in SOURCES if f"{name}.".startswith(f"{room}.")):
            strays = {
                name for name in imported_by()[module] if any(f"{name}.".startswith(f"{o}.") for o in others)
            }
            assert not strays, f"{module} imports {strays}"


def test_only_who_puts_the_gateway_together_knows_which_recognizer_it_is() -> None:
    knowing = {
        module
        for module, imported in imported_by().items()
        if "transcription.scheduling.scheduler" in imported
    }
    put_together = {"gateway.app", "gateway.recognizers.worker.process"}
    assert knowing == put_together | {"benchmarks.processes", "benchmarks.pool"}  # which measure it by itself


def test_importing_the_gateway_with_the_memory_broker_loads_no_optional_stack() -> None:
    code = (
        "import sys, gateway, gateway.pipeline.pipeline\n"
        "from gateway.broker.opening import open_broker\n"
        "heavy = {'faster_whisper', 'ctranslate2', 'onnxruntime', 'av', 'pocketsphinx', 'paho', 'amqtt', 'aio_pika',"
        " 'redis', 'nats', 'asyncpg', 'aiokafka', 'sounddevice', 'soxr', 'cryptography', 'pymicro_wakeword',"
        " 'firmware_bridge.microphones'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_command_that_runs_the_gateway_loads_nothing_that_is_not_configured() -> None:
    """Its idle memory is a bar: firmware without images, other people's programs, and tracebacks in colour."""
    code = (
        "import sys\n"
        "from gateway.commands.cli import main\n"
        "assert main.get_command(None, 'run')\n"
        "ours = {'firmware_bridge.images.serving', 'gateway.firmware.at_work', 'gateway.firmware.deployment',"
        " 'gateway.firmware.room'}\n"
        "others = {name for name in sys.modules if name.startswith(('gateway.web.openai', 'gateway.adapters.'))}\n"
        "print(sorted((ours | {'rich', 'pygments'}) & sys.modules.keys() | others))\n"
        "import rich.console"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_decisions_are_numbered_one_after_the_other() -> None:
    records = sorted((ROOT / "docs" / "adr").glob("*.md"))
    assert [int(record.name[:4]) for record in records] == list(range(1, len(records) + 1))
    for record in records:
        heading = record.read_text(encoding="utf-8").split("\n", 1)[0]
        assert heading.startswith(f"# {int(record.name[:4])}. "), record.name


@pytest.mark.parametrize("module", sorted(SOURCES))
def test_no_cancellation_is_lost_to_wait_for(module: str) -> None:
    """Before Python 3.12 it forgets one that meets the result: `asyncio.timeout` does not."""
    assert "asyncio.wait_for" not in SOURCES[module].read_text(encoding="utf-8").replace(
        "``asyncio.wait_for``", ""
    )


def test_the_document_shows_every_room_as_it_is() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert sorted(places(text)) == sorted(tables()), "a room of docs/architecture.md for each folder"
    assert text == filled(text), "make plan writes it anew"


def test_the_way_is_a_chain_of_files_that_are_there() -> None:
    """From a frame to the reply: each is numbered, and `pipeline.py` knows all those of its room."""
    way = DOCUMENT.read_text(encoding="utf-8").split("## The way\n")[1].split("\n## ")[0]
    steps = [line.split(" ", 1) for line in way.splitlines() if line[:1].isdigit()]
    assert [number for number, _ in steps] == [f"{number}." for number in range(1, len(steps) + 1)]
    chain = [text.split("`")[1] for _, text in steps]
    assert {path for path in chain if not (ROOT / path).is_file()} == set()
    assert chain[0].startswith("firmware_bridge/")
    ours = {
        path.removesuffix(".py").replace("/", ".") for path in chain if path.startswith("gateway/pipeline/")
    }
    assert ours <= imported_by()["gateway.pipeline.pipeline"] | {"gateway.pipeline.pipeline"}


@pytest.mark.slow
def test_the_picture_is_drawn_from_the_code() -> None:
    assert PICTURE.read_text(encoding="utf-8") == picture(), "make plan draws it anew"
