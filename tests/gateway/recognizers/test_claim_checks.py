"""Audio too large for its job is left at one place and collected at another, by whoever does the job, once or again."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gateway.broker.base import BadRoutingKey, BufferFull, MessageBroker, NoDeposits
from gateway.broker.network import NetworkBroker
from gateway.broker.opening import open_broker
from gateway.contract.messages import MESSAGE_BYTES
from gateway.contract.recognition import ClaimCheck
from gateway.recognizers.claim_checks import MOST_TIMES, ClaimChecks, HeldAudio, NotThere, audio_address
from gateway.settings.broker import BrokerSettings

AUDIO = bytes(range(256)) * 2_000  # half a megabyte: more than one chunk of NATS's
GATEWAY = "https://earshot.home:8443"


@pytest_asyncio.fixture(
    params=[pytest.param("redis", marks=pytest.mark.slow), pytest.param("nats", marks=pytest.mark.slow)]
)
async def brokers(request: pytest.FixtureRequest) -> AsyncIterator[tuple[NetworkBroker, NetworkBroker]]:
    """As a gateway has it, and as a worker."""
    server = request.getfixturevalue(request.param)
    both = open_broker(server.url, BrokerSettings()), open_broker(server.url, BrokerSettings())
    yield both  # type: ignore[misc]
    for broker in both:
        await broker.close(0.0)


@pytest_asyncio.fixture
async def memory() -> AsyncIterator[MessageBroker]:
    broker = open_broker("memory://", BrokerSettings())
    yield broker
    await broker.close(0.0)


def claim(key: str, place: str = "https", data: bytes = AUDIO) -> ClaimCheck:
    return ClaimCheck(place=place, key=key, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


async def test_a_broker_that_keeps_things_keeps_audio(brokers: tuple[NetworkBroker, NetworkBroker]) -> None:
    gateway, worker = map(ClaimChecks, brokers)
    left = await gateway.leave(AUDIO, 60.0)
    assert left.place == "store"
    assert await worker.collect(left) == AUDIO
    assert await worker.collect(left) == AUDIO, "another worker, for the first one died"
    await gateway.discard(left)
    await gateway.discard(left)
    with pytest.raises(NotThere, match="no longer"):
        await worker.collect(left)


async def test_what_is_not_what_was_left_is_refused(brokers: tuple[NetworkBroker, NetworkBroker]) -> None:
    checks = ClaimChecks(brokers[0])
    left = await checks.leave(AUDIO, 60.0)
    await brokers[1].deposit(left.key, AUDIO[:-1] + b"x", 60.0)
    with pytest.raises(NotThere, match="not what was left"):
        await checks.collect(left)
    await brokers[1].deposit(left.key, AUDIO + b"x", 60.0)
    with pytest.raises(NotThere, match="no longer"):  # larger than told: it is not even fetched
        await checks.collect(left)


async def test_a_deposit_has_a_key_of_the_documented_form(
    brokers: tuple[NetworkBroker, NetworkBroker],
) -> None:
    for key in ("", "a b", "../x", "a" * 65):
        with pytest.raises(BadRoutingKey):
            await brokers[0].deposit(key, b"", 1.0)
        with pytest.raises(NotThere):
            await ClaimChecks(brokers[0]).collect(claim(key or "*", "store"))


@pytest.mark.slow
async def test_a_deposit_in_redis_goes_by_itself(redis: object) -> None:
    broker = open_broker(redis.url, BrokerSettings())  # type: ignore[attr-defined]
    assert isinstance(broker, NetworkBroker)
    await broker.deposit("soon-gone", b"x", 0.001)
    while await broker.deposited("soon-gone", 1) is not None:
        pass
    await broker.close(0.0)


async def test_a_gateway_keeps_what_its_broker_does_not(memory: MessageBroker) -> None:
    held = HeldAudio(GATEWAY)
    checks = ClaimChecks(memory, held=held)
    left = await checks.leave(AUDIO, 60.0)
    assert left.place == "https"
    assert left.key.startswith(f"{GATEWAY}/recognition/audio/")

    async def fetch(address: str, most: int) -> bytes:
        assert most == len(AUDIO)
        found = held.give(address.rpartition("/")[2])
        if found is None:
            raise NotThere("gone")
        return found

    worker = ClaimChecks(memory, fetch=fetch)
    for _ in range(MOST_TIMES):
        assert await worker.collect(left) == AUDIO
    with pytest.raises(NotThere):
        await worker.collect(left)
    await checks.discard(left)


@pytest.mark.slow
async def test_over_mqtt_a_gateway_keeps_it_too(mosquitto: object) -> None:
    broker = open_broker(mosquitto.url, BrokerSettings())  # type: ignore[attr-defined]
    assert (await ClaimChecks(broker, held=HeldAudio(GATEWAY)).leave(AUDIO, 60.0)).place == "https"
    with pytest.raises(NoDeposits, match="messages only"):
        await ClaimChecks(broker).leave(AUDIO, 60.0)
    with pytest.raises(NotThere):
        await ClaimChecks(broker).collect(claim("anything", "store"))
    await broker.close(0.0)


async def test_what_a_gateway_keeps_is_bounded_and_for_a_while(memory: MessageBroker) -> None:
    held = HeldAudio(GATEWAY, most_bytes=len(AUDIO))
    first = held.keep(AUDIO, 60.0)
    with pytest.raises(BufferFull, match="wait to be fetched"):
        held.keep(b"x", 60.0)
    held.discard(first)
    secret = held.keep(AUDIO, 0.0).rpartition("/")[2]
    assert held.give(secret) is None
    held.keep(AUDIO, 60.0)  # what nobody fetched in time has gone
    assert held.give("nothing") is None
    with pytest.raises(BufferFull, match="no address"):
        HeldAudio("").keep(b"x", 1.0)
    with pytest.raises(BufferFull, match="any job"):
        await ClaimChecks(memory, held=held).leave(bytes(MESSAGE_BYTES + 1), 1.0)
    with pytest.raises(NotThere, match="any job"):
        await ClaimChecks(memory).collect(claim("x", data=bytes(MESSAGE_BYTES + 1)))
    with pytest.raises(NotThere, match="fetches nothing"):
        await ClaimChecks(memory).collect(claim("x"))


SECRET = "s" * 43


@pytest.mark.parametrize(
    "address",
    [
        f"https://gateway/recognition/audio/{SECRET}",
        f"https://[::1]:8443/behind/a/proxy/recognition/audio/{SECRET}",
        f"http://127.0.0.1:8080/recognition/audio/{SECRET}",
        f"http://[::1]:8080/recognition/audio/{SECRET}",
        f"http://localhost/recognition/audio/{SECRET}",
        f"http://127.0.0.2/recognition/audio/{SECRET}",
    ],
)
def test_addresses_of_gateways(address: str) -> None:
    assert audio_address(address) == address


@pytest.mark.parametrize(
    "address",
    [
        "",
        "x",
        f"http://gateway/recognition/audio/{SECRET}",
        f"http://127.0.0.1.evil.org/recognition/audio/{SECRET}",
        f"http://127.0.0.1@evil.org/recognition/audio/{SECRET}",
        f"https://user@gateway/recognition/audio/{SECRET}",
        f"https://gateway/api/v1/audio/{SECRET}",
        f"https://gateway/recognition/audio/{SECRET}?x=1",
        "https://gateway/recognition/audio/../../api/v1/stop",
        "https://gateway/recognition/audio/short",
        f"https:///recognition/audio/{SECRET}",
        f"https://[::1/recognition/audio/{SECRET}",
        f"https://gateway:99999/recognition/audio/{SECRET}",
        f"file:///recognition/audio/{SECRET}",
    ],
)
def test_a_job_sends_its_worker_nowhere_else(address: str) -> None:
    with pytest.raises(NotThere):
        audio_address(address)
