"""RabbitMQ keeps the contract, against the real server; and what is its own."""

from __future__ import annotations

import asyncio
import re
import secrets
import shlex
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import aio_pika
import pytest
import pytest_asyncio
from msgspec import structs

from gateway.broker.backends import rabbitmq
from gateway.broker.base import (
    BrokerError,
    BrokerStatus,
    BrokerUnavailable,
    Durability,
    MessageBroker,
    Receipt,
)
from gateway.broker.opening import open_broker
from gateway.contract.messages import PRIORITY_HEADER, RESULTS_TOPIC
from gateway.settings.broker import BrokerSettings, BrokerTlsSettings
from tests.gateway.broker import contract
from tests.gateway.broker.contract import KITCHEN, SETTINGS, receive, soon, take, until
from tests.gateway.broker.network_contract import LeaseContract, NetworkContract, OnDemandContract, Open
from tests.record import PATIENCE
from tests.servers.certificates import Certificates
from tests.servers.rabbitmq import RabbitMQ

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("rabbitmq")]


@pytest.fixture
def server(rabbitmq: RabbitMQ, monkeypatch: pytest.MonkeyPatch) -> RabbitMQ:
    """The server, whose new queues are on its disk before it is killed.

    RabbitMQ 3.10 writes the names of new quorum queues some seconds later; killed before, it comes back
    with queues that never have a leader again.
    """
    kill = rabbitmq.kill

    def write_and_kill() -> None:
        if rabbitmq.running:
            rabbitmq.control("eval", "[dets:sync(Table) || Table <- dets:all()].")
        kill()

    monkeypatch.setattr(rabbitmq, "kill", write_and_kill)
    return rabbitmq


@pytest_asyncio.fixture
async def foreign(server: RabbitMQ) -> AsyncIterator[Any]:
    """A channel of somebody who knows nothing of Earshot."""
    connection = await aio_pika.connect(server.url)
    yield await connection.channel()
    await connection.close()


async def published(broker: MessageBroker, payload: bytes) -> Receipt:
    """A server takes nothing (basic.nack) while a queue that is new has no leader yet; the gateway tries again, too."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with suppress(BrokerUnavailable):
                return await broker.publish(RESULTS_TOPIC, KITCHEN, payload)
            await asyncio.sleep(0.05)


class TestRabbitMQ(OnDemandContract, LeaseContract, NetworkContract):
    """The contract, and beyond."""

    async def test_the_receipt_names_the_durability(self, broker: MessageBroker) -> None:
        nobody = await broker.publish(contract.TOPIC, KITCHEN, b"nobody keeps it")
        async with broker.subscribe(contract.TOPIC, group="workers"):
            kept = await broker.publish(contract.TOPIC, KITCHEN, b"kept")
        left = await broker.publish(contract.TOPIC, KITCHEN, b"kept while nobody reads")
        assert nobody.durability is Durability.MEMORY
        assert kept.durability is left.durability is Durability.FSYNC

    async def test_what_a_dead_connection_swallowed_comes_in_order(
        self, opened: Open, server: RabbitMQ, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No client can have it back before the server has noticed: it comes late, and its timestamp says so."""
        monkeypatch.setattr(rabbitmq, "HEARTBEAT_SECONDS", 1)
        came = await self.through_a_dead_connection(opened, server)
        assert {message.payload for message in came} == {b"1", b"2", b"3", b"4"}
        by_time = sorted(came, key=lambda message: message.timestamp)
        assert [message.payload for message in by_time] == [b"1", b"2", b"3", b"4"]

    async def test_results_are_kept_before_their_group_has_ever_come(self, opened: Open) -> None:
        gateway = opened(keep_for_groups=("newcomers",))
        receipt = await published(gateway, b"early")
        assert receipt.durability is Durability.FSYNC
        async with opened().subscribe(RESULTS_TOPIC, group="newcomers") as subscription:
            assert await receive(subscription, 1) == [b"early"]

    async def test_a_server_counts_the_deliveries(self, opened: Open, foreign: Any) -> None:
        async with opened().subscribe(contract.TOPIC, group="workers"):
            pass
        queue = await foreign.get_queue(f"earshot.{contract.TOPIC}.workers")
        await opened().publish(contract.TOPIC, KITCHEN, b"twice")
        assert (await until_got(queue)).body == b"twice"
        await foreign.close()  # unsettled, as a process that dies
        async with opened().subscribe(contract.TOPIC, group="workers") as subscription:
            delivery = await take(subscription)
            assert (delivery.message.payload, delivery.attempt) == (b"twice", 2)
            await delivery.ack()

    async def test_another_programs_message_needs_only_topic_key_and_body(
        self, broker: MessageBroker, foreign: Any
    ) -> None:
        async with broker.subscribe(contract.TOPIC) as subscription:
            await publish_as(foreign, "ann.kitchen.s_1", b'{"correlation_id": "c_7"}')
            message = (await take(subscription)).message
            assert (message.routing_key, message.correlation_id) == (KITCHEN, "c_7")
            assert (message.content_type, dict(message.headers)) == ("application/json", {})

    @pytest.mark.parametrize("key", ["ann.kitchen", "ann.kitchen.s_1.x", "a b.c.d", ""])
    async def test_an_unreadable_key_is_a_dead_letter(
        self, broker: MessageBroker, foreign: Any, key: str
    ) -> None:
        async with broker.subscribe(contract.TOPIC, group="workers") as subscription:
            await publish_as(foreign, key, b"?")
            await publish_as(foreign, "ann.kitchen.s_1", b"!")
            assert await receive(subscription, 1) == [b"!"]
        assert [letter.message.payload for letter in broker.dead_letters()] == [b"?"]

    async def test_a_priority_queue_of_somebodys_own_honours_what_is_urgent(
        self, broker: MessageBroker, foreign: Any
    ) -> None:
        async with broker.subscribe(contract.TOPIC):  # the exchange is there
            queue = await foreign.declare_queue("", exclusive=True, arguments={"x-max-priority": 9})
            await queue.bind(f"earshot.{contract.TOPIC}", "#")
            for priority in ("background", "normal", "urgent"):
                headers = {PRIORITY_HEADER: priority}
                await broker.publish(contract.TOPIC, KITCHEN, priority.encode(), headers=headers)
            got = [await until_got(queue) for _ in range(3)]
        assert [message.body for message in got] == [b"urgent", b"background", b"normal"]

    async def test_what_another_program_calls_important_is_urgent(
        self, broker: MessageBroker, foreign: Any
    ) -> None:
        async with broker.subscribe(contract.TOPIC) as subscription:
            await publish_as(foreign, "ann.kitchen.s_1", b"", priority=4)
            await publish_as(foreign, "ann.kitchen.s_2", b"", priority=5)
            told = [dict((await take(subscription)).message.headers) for _ in range(2)]
        assert {} in told
        assert {PRIORITY_HEADER: "urgent"} in told

    async def test_headers_of_any_type_arrive_as_text(self, broker: MessageBroker, foreign: Any) -> None:
        async with broker.subscribe(contract.TOPIC) as subscription:
            await publish_as(foreign, "ann.kitchen.s_1", b"", headers={"n": 7, "list": [1], "none": None})
            assert dict((await take(subscription)).message.headers) == {
                "n": "7",
                "list": "[1]",
                "none": "None",
            }

    async def test_what_other_programs_see(self, broker: MessageBroker, foreign: Any) -> None:
        async with broker.subscribe(contract.TOPIC, group="workers"):
            pass
        await broker.publish(contract.TOPIC, KITCHEN, b"{}", correlation_id="c_1", headers={"a": "b"})
        message = await until_got(await foreign.get_queue(f"earshot.{contract.TOPIC}.workers"))
        await message.ack()
        assert (message.exchange, message.routing_key) == (f"earshot.{contract.TOPIC}", "ann.kitchen.s_1")
        assert (message.correlation_id, message.content_type) == ("c_1", "application/json")
        assert message.headers == {"a": "b", rabbitmq.TIMESTAMP_HEADER: ANY, "x-delivery-count": 0}
        assert message.delivery_mode is aio_pika.DeliveryMode.PERSISTENT

    async def test_a_queue_that_is_there_is_taken_as_it_is(self, broker: MessageBroker, foreign: Any) -> None:
        await foreign.declare_queue(f"earshot.{contract.TOPIC}.workers", durable=True)
        async with broker.subscribe(contract.TOPIC, group="workers") as subscription:
            await broker.publish(contract.TOPIC, KITCHEN, b"classic")
            assert await receive(subscription, 1) == [b"classic"]

    async def test_a_queue_that_is_deleted_is_declared_again(
        self, broker: MessageBroker, foreign: Any
    ) -> None:
        async with broker.subscribe(contract.TOPIC, group="workers") as subscription:
            await foreign.queue_delete(f"earshot.{contract.TOPIC}.workers")
            await until(lambda: not broker.status.connected)  # type: ignore[attr-defined]
            await until(lambda: broker.status.connected)  # type: ignore[attr-defined]
            await broker.publish(contract.TOPIC, KITCHEN, b"again")
            assert await receive(subscription, 1) == [b"again"]

    async def test_an_exchange_of_another_kind_is_a_state(self, opened: Open, foreign: Any) -> None:
        await foreign.declare_exchange(f"earshot.{contract.TOPIC}", "fanout")
        broker = opened()
        with pytest.raises(BrokerUnavailable) as caught:
            await broker.publish(contract.TOPIC, KITCHEN, b"")
        assert "another kind" in caught.value.remedy

    async def test_names_too_long_for_amqp_are_shortened(self, broker: MessageBroker) -> None:
        topic = ".".join(["x" * 60] * 6)
        async with broker.subscribe(topic, group="workers") as subscription:
            await broker.publish(topic, KITCHEN, b"long")
            assert await receive(subscription, 1) == [b"long"]

    @pytest.mark.parametrize("field", ["message_id", "correlation_id", "reply_to", "content_type"])
    async def test_a_text_too_long_for_amqp_is_refused(self, broker: MessageBroker, field: str) -> None:
        with pytest.raises(BrokerError, match="255"):
            await broker.publish(contract.TOPIC, KITCHEN, b"", **{field: "ö" * 128})
        await broker.publish(contract.TOPIC, KITCHEN, b"", message_id="the connection lives")


# -- who may come in


@pytest.mark.parametrize(
    ("change", "reason", "remedy"),
    [
        (("not-a-secret", "wrong"), "ACCESS_REFUSED", "password"),
        (("gateway:", "nobody:"), "ACCESS_REFUSED", "password"),
        (("127.0.0.1:{port}", "127.0.0.1:{port}/nowhere"), "Close", "virtual host"),
        (("amqp:", "amqps:"), "WRONG_VERSION_NUMBER", "ca_file"),
    ],
)
async def test_being_refused_is_a_state_with_a_remedy(
    server: RabbitMQ, change: tuple[str, str], reason: str, remedy: str
) -> None:
    old, new = (part.format(port=server.port) for part in change)
    status = await first_status(server.url.replace(old, new))
    assert not status.connected
    assert reason in status.reason
    assert remedy in status.remedy
    assert "wrong" not in status.reason.replace("wrong version", "")
    assert "not-a-secret" not in status.reason


async def test_a_user_with_the_rights_that_the_guide_gives(server: RabbitMQ) -> None:
    guide = (Path(__file__).parents[4] / "docs" / "brokers.md").read_text(encoding="utf-8")
    (rights,) = re.findall(r"set_permissions gateway (.*)", guide)
    server.control("add_user", "modest", "s3cret")
    server.control("set_permissions", "modest", *shlex.split(rights))
    broker = open_broker(f"amqp://modest:s3cret@127.0.0.1:{server.port}", SETTINGS)
    async with (
        broker.subscribe(contract.TOPIC) as everything,
        broker.subscribe(contract.TOPIC, group="workers") as worker,
    ):
        await broker.publish(contract.TOPIC, KITCHEN, b"allowed")
        assert await receive(everything, 1) == await receive(worker, 1) == [b"allowed"]
    await broker.close()
    server.control("set_permissions", "modest", "", "", "")
    statuses: list[BrokerStatus] = []
    refused = open_broker(f"amqp://modest:s3cret@127.0.0.1:{server.port}", SETTINGS, statuses.append)
    with pytest.raises(BrokerUnavailable) as caught:
        await refused.publish(contract.TOPIC, KITCHEN, b"refused")
    assert "rights" in caught.value.remedy
    assert "rights" in statuses[0].remedy
    await refused.close()
    server.control("delete_user", "modest")


async def test_tls_with_a_certificate_of_ours(server: RabbitMQ, certificates: Certificates) -> None:
    ours = BrokerTlsSettings(
        ca_file=str(certificates.ca),
        cert_file=str(certificates.client_cert),
        key_file=str(certificates.client_key),
    )
    assert (await first_status(server.tls_url, tls=ours)).connected


async def test_tls_without_knowing_the_authority(server: RabbitMQ) -> None:
    status = await first_status(server.tls_url)
    assert "CERTIFICATE_VERIFY_FAILED" in status.reason
    assert "ca_file" in status.remedy


async def test_tls_without_the_certificate_that_the_server_wants(
    server: RabbitMQ, certificates: Certificates
) -> None:
    status = await first_status(server.tls_url, tls=BrokerTlsSettings(ca_file=str(certificates.ca)))
    assert not status.connected
    assert "cert_file" in status.remedy


def certificate(certificates: Certificates, cert: Path, key: Path) -> BrokerTlsSettings:
    return BrokerTlsSettings(ca_file=str(certificates.ca), cert_file=str(cert), key_file=str(key))


@pytest.mark.parametrize("login", ["", "somebody:else@"])
async def test_a_certificate_is_a_login(server: RabbitMQ, certificates: Certificates, login: str) -> None:
    """Whoever the url names: the certificate's ``gateway`` is who comes in, with his rights."""
    tls = certificate(certificates, certificates.client_cert, certificates.client_key)
    url = f"amqps://{login}127.0.0.1:{server.tls_port}"
    house = f"house-{secrets.token_hex(4)}"
    broker = open_broker(url, structs.replace(SETTINGS, amqp_sasl="EXTERNAL", tls=tls, namespace=house))
    async with broker.subscribe(contract.TOPIC, group="workers") as subscription:
        await broker.publish(contract.TOPIC, KITCHEN, b"let in")
        assert await receive(subscription, 1) == [b"let in"]
    await broker.close()


async def test_a_certificate_of_nobody_is_told_with_its_remedy(
    server: RabbitMQ, certificates: Certificates
) -> None:
    tls = certificate(certificates, certificates.stranger_cert, certificates.stranger_key)
    status = await first_status(f"amqps://127.0.0.1:{server.tls_port}", amqp_sasl="EXTERNAL", tls=tls)
    assert not status.connected
    assert "ssl_cert_login_from" in status.remedy


async def test_a_certificate_without_tls_is_no_login(server: RabbitMQ) -> None:
    """The server offers the login, and there is no certificate."""
    status = await first_status(f"amqp://127.0.0.1:{server.port}", amqp_sasl="EXTERNAL")
    assert not status.connected
    assert status.remedy


@pytest.mark.parametrize(
    ("host", "spelled"),
    [
        ("annex", "annex"),
        ("/annex", "%2Fannex"),
        ("our house/\u00fc %", "our%20house%2F%C3%BC%20%25"),
        ("a.b?c#d", "a.b%3Fc%23d"),
    ],
)
async def test_a_virtual_host_is_the_urls_path(server: RabbitMQ, host: str, spelled: str) -> None:
    server.control("add_vhost", host)
    server.control("set_permissions", "-p", host, "gateway", ".*", ".*", ".*")
    here, there = open_broker(server.url, SETTINGS), open_broker(f"{server.url}/{spelled}", SETTINGS)
    async with here.subscribe(contract.TOPIC) as ours, there.subscribe(contract.TOPIC) as theirs:
        await there.publish(contract.TOPIC, KITCHEN, b"there")
        await here.publish(contract.TOPIC, KITCHEN, b"here")
        assert await receive(ours, 1) == [b"here"]
        assert await receive(theirs, 1) == [b"there"]
    await here.close()
    await there.close()
    server.control("delete_vhost", host)


@pytest.mark.parametrize("path", ["", "/", "/%2F"])
async def test_without_a_virtual_host_it_is_the_servers_own(server: RabbitMQ, path: str) -> None:
    assert (await first_status(f"{server.url}{path}")).connected


async def test_a_namespace_is_in_the_names_of_exchanges_and_queues_and_in_the_remedy(
    server: RabbitMQ,
) -> None:
    server.control("add_user", "annexed", "s3cret")
    server.control("set_permissions", "annexed", *[r"^(annex\..*|amq\..*)$"] * 3)
    url = f"amqp://annexed:s3cret@127.0.0.1:{server.port}"
    broker = open_broker(url, structs.replace(SETTINGS, namespace="annex"))
    async with broker.subscribe(contract.TOPIC, group="workers") as subscription:
        await broker.publish(contract.TOPIC, KITCHEN, b"allowed")
        assert await receive(subscription, 1) == [b"allowed"]
    await broker.close()
    other = open_broker(url, structs.replace(SETTINGS, namespace="shed"))
    with pytest.raises(BrokerUnavailable) as caught:
        await other.publish(contract.TOPIC, KITCHEN, b"refused")
    assert "shed.*" in caught.value.remedy
    await other.close()
    server.control("delete_user", "annexed")


async def test_a_password_from_a_file(server: RabbitMQ, tmp_path: Any) -> None:
    (tmp_path / "password").write_text("not-a-secret\n")
    url = server.url.replace(":not-a-secret", "")
    assert (await first_status(url, password_file=str(tmp_path / "password"))).connected


async def first_status(url: str, **changes: Any) -> BrokerStatus:
    statuses: list[BrokerStatus] = []
    broker = open_broker(url, BrokerSettings(url=url, keep_for_groups=(), **changes), statuses.append)
    try:
        await soon(broker.publish(contract.TOPIC, KITCHEN, b""))
    except BrokerUnavailable:
        pass
    finally:
        await broker.close()
    return statuses[0]


async def publish_as(channel: Any, key: str, body: bytes, **properties: Any) -> None:
    exchange = await channel.get_exchange(f"earshot.{contract.TOPIC}")
    await exchange.publish(aio_pika.Message(body, **properties), key)


async def until_got(queue: Any) -> Any:
    """The next message of a queue; a quorum queue may need a moment to have it."""
    async with asyncio.timeout(10):
        while (message := await queue.get(fail=False)) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return message
