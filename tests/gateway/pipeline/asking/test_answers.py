"""What becomes of replies where no agent is named."""

from __future__ import annotations

from gateway.access.principals import Principal, Role
from gateway.contract.events import ReplyEvent, StatusEvent
from tests.gateway.works import open_works

ANNA = Principal(name="anna", role=Role.LISTENER, users=frozenset({"anna"}), devices=frozenset({"kitchen"}))


async def test_progress_is_shown_and_no_piece_of_the_answer() -> None:
    async with open_works() as works:
        said = await works.pipeline.say("hello", ANNA)
        heard = await works.result()
        await works.reply(heard, "", final=False, progress="looking it up")
        shown = await works.events.first(StatusEvent, detail="looking it up")
        assert (shown.status, shown.session_id) == ("thinking", said.session_id)
        await works.reply(heard, "Hello.")
        await works.idle()
        assert [event.text for event in works.events.of(ReplyEvent)] == ["Hello."]
