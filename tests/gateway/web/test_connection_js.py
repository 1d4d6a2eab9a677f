"""``connection.js`` in a real browser: it resumes after the last event, and what answers itself is none."""

from __future__ import annotations

import pytest
from playwright.async_api import Page

from tests.gateway.events import reply
from tests.gateway.web.chromium import IN_CHROMIUM
from tests.gateway.web.site import open_site

pytestmark = IN_CHROMIUM

CONNECT = """
async () => {
  const { Connection } = await import("/static/connection.js");
  window.got = [];
  window.connection = new Connection((event) => got.push(event), () => {});
  connection.open();
}
"""
GOT = "(what) => window.got.some(({ type, code, text }) => [type, code, text].includes(what))"
REPLIES = "() => window.got.filter(({ type }) => type === 'reply').map(({ text }) => text)"


@pytest.mark.parametrize(("text", "answer"), [("what time is it", "said"), ("", "not_said")])
async def test_a_resume_after_an_answer_loses_and_doubles_nothing(page: Page, text: str, answer: str) -> None:
    async with open_site() as site:
        await page.goto(f"{site.url}api/")  # a page of the gateway's that has no connection of its own
        await page.evaluate(CONNECT)
        await page.wait_for_function(GOT, arg="snapshot")
        site.parts.hub.publish(reply("before"))
        await page.wait_for_function(GOT, arg="before")
        await page.evaluate("(text) => connection.say(text, '7')", text)
        await page.wait_for_function(GOT, arg=answer)
        await page.evaluate("() => connection.socket.close()")
        for missed in ("one", "two"):
            site.parts.hub.publish(reply(missed))
        await page.wait_for_function(GOT, arg="two")
        site.parts.hub.publish(reply("after"))
        await page.wait_for_function(GOT, arg="after")
        assert await page.evaluate(REPLIES) == ["before", "one", "two", "after"]
        assert await page.evaluate("() => got.filter(({ type }) => type === 'snapshot').length") == 1
