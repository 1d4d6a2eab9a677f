"""Who gets in at /v1, under which names the model may be asked for, and how is told what is wrong."""

from __future__ import annotations

from pathlib import Path

import openai
import pytest

from gateway.access.principals import Role
from gateway.settings.web import WebSettings
from tests.gateway.access.keyring import Keyring
from tests.gateway.web.api.served import open_served
from tests.gateway.web.openai.v1 import FILLER, V1, error, open_v1

TOKENS = {"web": {"port": 0, "require_token": True}}


async def test_where_it_is_off_there_is_nothing(tmp_path: Path) -> None:
    async with open_served(tmp_path) as served, served.raw("GET", "v1/models") as response:
        assert response.status == 404
        assert "error" not in await response.text()


async def test_the_client_lists_the_names_of_the_model(v1: V1) -> None:
    found = [model async for model in await v1.client.models.list()]
    assert found[0].id == "none"  # what the works' engine calls its model
    assert {"whisper-1", "gpt-transcribe"} < {model.id for model in found}
    one = await v1.client.models.retrieve("whisper-1")
    assert (one.object, one.owned_by, one.model_extra) == ("model", "earshot", {"root": "none"})


async def test_names_that_are_written_down_are_ours_too(tmp_path: Path) -> None:
    name = "Systran/faster-whisper-base"
    async with open_v1(tmp_path, models=(name,)) as v1:
        assert (await v1.client.models.retrieve(name)).id == name
        with pytest.raises(openai.NotFoundError) as refused:
            await v1.client.models.retrieve("another/model")
    assert (refused.value.code, refused.value.param) == ("model_not_found", "model")
    async with open_v1(tmp_path / "any", models=("*",), journal=None) as v1:
        assert (await v1.client.models.retrieve("another/model")).id == "another/model"
        with pytest.raises(openai.NotFoundError, match="speakers"):
            await v1.client.models.retrieve("gpt-4o-transcribe-diarize")
        assert "*" not in [model.id async for model in await v1.client.models.list()]


async def test_without_tokens_any_key_is_none(v1: V1, tmp_path: Path) -> None:
    for key in (FILLER, "sk-proj-" + "x" * 100, "EMPTY"):
        assert await v1.with_key(key).models.list()
    token = Keyring(tmp_path).token("program")
    assert await v1.with_key(token).models.list()


async def test_what_was_a_token_lets_nobody_in_who_needs_none(v1: V1) -> None:
    """Whoever shows one that has ended shall learn so, and not be somebody else."""
    for key in ("earshot_" + "x" * 48, "eyJh.eyJh.abc"):
        with pytest.raises(openai.AuthenticationError):
            await v1.with_key(key).models.list()


async def test_a_filler_is_a_wrong_token_elsewhere(v1: V1) -> None:
    async with v1.served.raw("GET", "api/v1/session", headers={"Authorization": "Bearer x"}) as response:
        assert response.status == 401


async def test_where_tokens_are_needed_it_takes_ours(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    speaker, other = keyring.token("program"), keyring.token("app", Role.ORCHESTRATOR)
    async with open_v1(tmp_path, **TOKENS) as v1:
        assert await v1.with_key(speaker).models.list()
        with pytest.raises(openai.PermissionDeniedError) as refused:
            await v1.with_key(other).models.list()
        assert refused.value.body == {
            "message": "this token does not let you do that",
            "type": "permission_error",
            "param": None,
            "code": "insufficient_permissions",
        }
        with pytest.raises(openai.AuthenticationError) as unknown:
            await v1.client.models.list()
        assert unknown.value.code == "invalid_api_key"
        assert unknown.value.request_id
        async with v1.raw("GET", "/models", headers={"X-API-Key": speaker}) as response:
            assert response.status == 200
        async with v1.raw("GET", "/models", headers={"X-API-Key": "sk-none"}) as response:
            assert (response.status, (await error(response))["code"]) == (401, "invalid_api_key")
            assert response.headers["WWW-Authenticate"].startswith("Bearer")
        async with v1.served.raw("GET", "api/v1/session", headers={"X-API-Key": speaker}) as response:
            assert response.status == 401  # there it means nothing


async def test_a_token_in_the_url_is_refused_in_openai_s_form(v1: V1) -> None:
    async with v1.raw("GET", "/models?api_key=abc") as response:
        told = await error(response)
        assert (response.status, told["type"]) == (400, "invalid_request_error")
        assert "never stands in a URL" in told["message"]


async def test_who_asks_too_often_is_told_when_to_come_again(tmp_path: Path) -> None:
    async with open_v1(tmp_path, web={"port": 0, "limits": {"requests_per_second": 0.1}}) as v1:
        assert await v1.client.models.list()
        with pytest.raises(openai.RateLimitError) as refused:
            await v1.client.models.list()
        assert refused.value.type == "rate_limit_error"
        assert int(refused.value.response.headers["Retry-After"]) >= 1


async def test_what_is_not_there_is_told_so(v1: V1) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        await v1.client.audio.speech.create(input="hello", model="tts-1", voice="alloy")
    assert refused.value.code == "unknown_url"
    async with v1.raw("DELETE", "/models") as response:
        assert (response.status, (await error(response))["type"]) == (405, "invalid_request_error")


async def test_a_request_has_the_id_that_it_came_with(v1: V1) -> None:
    async with v1.raw("GET", "/models", headers={"X-Correlation-ID": "mine-1"}) as response:
        assert response.headers["X-Request-Id"] == "mine-1"
    assert (await v1.client.models.with_raw_response.list()).request_id is not None


async def test_a_gateway_that_is_starting_says_when_to_come_again(tmp_path: Path) -> None:
    from gateway.hub.hub import Hub
    from gateway.settings.openai import OpenAISettings
    from tests.gateway.web.house import web_server

    hub = Hub(WebSettings(port=0))
    async with (
        web_server(hub, folder=tmp_path, openai=OpenAISettings(enabled=True)) as server,
        openai.AsyncOpenAI(base_url=f"{server.url}v1", api_key=FILLER, max_retries=0) as client,
    ):
        with pytest.raises(openai.InternalServerError) as refused:
            await client.models.list()
    assert refused.value.status_code == 503
    assert refused.value.response.headers["Retry-After"] == "2"
