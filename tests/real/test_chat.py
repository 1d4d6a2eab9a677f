"""A language model as an agent, against real servers: one that misbehaves as providers do, and a real small model."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.orchestrator import ConversationTurn
from gateway.settings.agents.tools import ToolSettings
from tests.gateway.agents.openai.scripted import stage, why
from tests.real.chat_servers import Llama, Llmock
from tests.real.things import LLAMA, LLMOCK
from tests.real.weights import SMOLLM2

pytestmark = pytest.mark.slow

CUT = [
    {"type": "stream_fault", "kind": "disconnect", "after_chunks": 3},
    {"type": "stream_fault", "kind": "truncate", "after_chunks": 3},
    {"type": "stream_fault", "kind": "malformed", "after_chunks": 3},
    {"type": "fail", "status": 500},
    {"type": "fail", "status": 401},
    {"type": "fail", "status": 429, "times": 2},
]


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Llmock]:
    server = Llmock(tmp_path_factory.mktemp("llmock")).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Llama]:
    server = Llama(tmp_path_factory.mktemp("llama")).start()
    yield server
    server.stop()


@pytest.mark.real(LLMOCK)
async def test_llmock_is_heard_to_the_end_and_nothing_of_what_is_cut_counts(mock: Llmock) -> None:
    mock.forget()
    async with stage(mock.url, model="") as brain:
        said = await brain.say("hello")
        assert "gpt-4o" in said.text
        assert len(said.pieces) > 1
        for fault in CUT:
            await asyncio.to_thread(mock.next, fault)
            assert why(await brain.say(f"hello {fault}")), fault
    verdict = await asyncio.to_thread(mock.verdict)
    errors = [one["code"] for one in verdict["findings"] if one["severity"] == "error"]
    assert errors == ["truncated_stream_accepted"], (
        verdict
    )  # it sees that we did not ask again, not that we failed


@pytest.mark.real(LLMOCK)
async def test_llmock_is_waited_for_as_long_as_it_wants(mock: Llmock) -> None:
    mock.forget()
    async with stage(mock.url) as brain:
        await asyncio.to_thread(mock.next, {"type": "fail", "status": 429, "retry_after": 1})
        assert (await brain.say("hello")).text
        await asyncio.to_thread(mock.next, {"type": "fail", "status": 503, "times": 2})
        assert (await brain.say("hello again")).text
    verdict = await asyncio.to_thread(mock.verdict)
    assert (verdict["errors"], verdict["faults_injected"]) == (0, 3), verdict


@pytest.mark.real(LLMOCK)
async def test_llmock_calls_tools(mock: Llmock) -> None:
    mock.forget()
    async with stage(mock.url, tools=ToolSettings(builtin=("time",))) as brain:
        assert (await brain.say("what time is it?")).text
        for fault in ("malformed_arguments", "unknown_tool"):
            await asyncio.to_thread(mock.next, {"type": "tool_fault", "kind": fault})
            assert (await brain.say(f"the time, {fault}?")).end.error is None


@pytest.mark.real(LLAMA)
@pytest.mark.real(SMOLLM2)
async def test_a_real_model_answers_in_pieces_and_in_its_conversation(llama: Llama) -> None:
    async with stage(llama.url, model="", timeout_seconds=60, temperature=0.0, max_tokens=24) as brain:
        said = await brain.say("What is the capital of France?", seconds=60)
        assert "Paris" in said.text
        assert said.pieces
        assert "\n" not in said.text


@pytest.mark.real(LLAMA)
@pytest.mark.real(SMOLLM2)
async def test_a_real_model_is_told_less_where_it_is_too_much(llama: Llama) -> None:
    turns = tuple(ConversationTurn(text="word " * 300, reply="word " * 300) for _ in range(3))
    settings = {"temperature": 0.0, "max_tokens": 16, "context_tokens": 100_000, "timeout_seconds": 60}
    async with stage(llama.url, **settings) as brain:
        assert (await brain.say("Say yes.", seconds=60, conversation=turns)).text
        said = await brain.say("word " * 2_000, seconds=60)
    assert why(said) == "what was said is more than the model takes at once"


@pytest.mark.real(LLAMA)
@pytest.mark.real(SMOLLM2)
async def test_a_real_server_that_is_gone_in_the_middle_and_comes_back_loading(tmp_path: Path) -> None:
    server = await asyncio.to_thread(Llama(tmp_path).start)
    try:
        async with stage(server.url, temperature=0.0, max_tokens=400, timeout_seconds=60) as brain:
            asked = asyncio.create_task(brain.say("Tell me a very long story.", seconds=60))
            await asyncio.sleep(2.0)
            await asyncio.to_thread(server.kill)
            assert why(await asked)
            assert "is not there" in why(await brain.say("hello", seconds=60))
            await asyncio.to_thread(server.start)
            said = await brain.say("Say yes.", seconds=60)
            assert said.text
    finally:
        await asyncio.to_thread(server.stop)
