"""What waits at a buffer: urgent first, a session in its order, and nobody for ever."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.broker.backends.memory import MemoryBroker
from gateway.broker.base import BufferPolicy, Message, RoutingKey
from gateway.broker.buffer import Bounds, Buffer, BufferedDelivery, Counters, Readership
from gateway.broker.patterns import EVERYTHING
from gateway.broker.rejected import DeadLetters
from gateway.broker.waiting import Undelivered
from gateway.contract.messages import PRIORITY_HEADER
from gateway.settings.broker import BrokerSettings
from transcription.priority import TURNS, Priority

U, N, B = Priority
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from("abcd"), st.sampled_from(Priority)),
        st.tuples(st.just("get"), st.just(""), st.just(N)),
        st.tuples(st.just("back"), st.just(""), st.just(N)),
    ),
    max_size=100,
)


def message(number: int, session: str, priority: Priority) -> Message:
    headers = {} if priority is N else {PRIORITY_HEADER: priority.value}
    key = RoutingKey("ann", "kitchen", session)
    return Message(topic="a", routing_key=key, payload=b"x", message_id=f"m_{number}", headers=headers)


def buffer(policy: BufferPolicy = BufferPolicy.WAIT, messages: int = 9) -> Buffer:
    bounds, counters = Bounds(messages=messages, bytes=1 << 20), Counters()
    return Buffer(Readership("a", EVERYTHING, "g"), bounds, policy, counters, DeadLetters())


@settings(deadline=None)
@given(STEPS)
def test_a_session_keeps_its_order_whatever_its_messages_say(steps: list[tuple[str, str, Priority]]) -> None:
    """Of what waits the oldest of a session is its next; all comes out."""
    queue: Undelivered[BufferedDelivery] = Undelivered()
    house, sequence = buffer(), 0
    waiting: dict[str, list[int]] = defaultdict(list)
    hands: list[BufferedDelivery] = []

    def get() -> None:
        one = queue.get()
        if one is None:
            assert not any(waiting.values())
            return
        session = one.message.routing_key.session
        assert one.sequence == min(waiting[session])
        waiting[session].remove(one.sequence)
        hands.append(one)

    for what, session, priority in steps:
        if what == "put":
            sequence += 1
            queue.append(BufferedDelivery(message(sequence, session, priority), 1, sequence, house))
            waiting[session].append(sequence)
        elif what == "get":
            get()
        elif hands:
            back = hands.pop(0)
            queue.put_back(back)
            waiting[back.message.routing_key.session].append(back.sequence)
        assert len(queue) == sum(map(len, waiting.values()))
    while queue:
        get()
    get()


def test_urgent_ones_are_next_and_each_class_has_its_tenth() -> None:
    queue: Undelivered[BufferedDelivery] = Undelivered()
    house = buffer()
    for number in range(60):
        priority = N if number < 5 else B if number < 10 else U
        queue.append(BufferedDelivery(message(number, f"s_{number}", priority), 1, number, house))
    order = [queue.get() for _ in range(60)]
    kinds = [Priority(one.message.headers.get(PRIORITY_HEADER, N)) for one in order if one]
    assert kinds[:8] == [U] * 8
    for lower in (N, B):
        own = [-1, *(turn for turn, one in enumerate(kinds) if one is lower)]
        assert len(own) == 6
        assert all(after - before <= TURNS for before, after in pairwise(own))


def test_what_is_dropped_is_the_oldest_of_the_least_urgent() -> None:
    house = buffer(BufferPolicy.DROP_OLDEST, messages=3)
    for number, priority in enumerate((U, B, N, U, B, N, U)):
        house.put(message(number, f"s_{number}", priority))
    left = [house.take({}), house.take({}), house.take({}), house.take({})]
    assert [one.message.message_id if one else "" for one in left] == ["m_0", "m_3", "m_6", ""]
    assert house.dropped == 4


async def test_an_urgent_publisher_is_let_in_before_others() -> None:
    house = buffer(messages=1)
    assert house.put(message(0, "s_0", B)) is None
    places = [house.put(message(number, f"s_{number}", one)) for number, one in ((1, B), (2, N), (3, U))]
    member = house.join()
    came = []
    for _ in range(4):
        taken = house.take(member)
        assert taken is not None
        came.append(taken.message.message_id)
        await taken.ack()
    assert came == ["m_0", "m_3", "m_2", "m_1"]
    assert [await place for place in places if place is not None] == [True] * 3


async def test_over_the_broker_an_alarm_is_delivered_before_what_waits() -> None:
    broker = MemoryBroker(BrokerSettings())
    async with broker.subscribe("a", group="g") as readers:
        for number in range(5):
            key = RoutingKey("ann", "desk", f"s_{number}")
            await broker.publish("a", key, b"dictation", headers={PRIORITY_HEADER: "background"})
        alarm = RoutingKey("ann", "alarm", "s_alarm")
        await broker.publish("a", alarm, b"help", headers={PRIORITY_HEADER: "urgent"})
        assert (await anext(readers)).message.payload == b"help"
    await broker.close(0)
