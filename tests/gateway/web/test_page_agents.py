"""The page's agents: who is there, how each does, and who is left alone; live, and without anybody's markup."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Page, expect

from gateway.answering.agents_health import AgentsHealth
from gateway.contract.agents import AgentPresence
from gateway.pipeline.agents.roster import AgentRoster
from tests.gateway.web.chromium import IN_CHROMIUM
from tests.gateway.web.site import Site, open_site

pytestmark = IN_CHROMIUM

MARKUP = '<img src=x onerror="document.title=1">'
AGENTS: dict[str, Any] = {
    "agents": {"lights": {}, "weather": {"app": "builtin"}, "judge": {"breaker": {"failures": 1}}},
    "teams": {"house": {"agents": ["lights", "weather"]}, "late": {"agents": ["lights"]}},
}


class Agents:
    """Those of a site, as the gateway hears of them."""

    def __init__(self, site: Site) -> None:
        self.site, self.now = site, site.parts.pipeline._now
        assert site.parts.pipeline.agents is not None
        self.roster: AgentRoster = site.parts.pipeline.agents
        self.watch = AgentsHealth(
            site.parts.health, self.roster, ["weather"], connected=lambda: True, now=self.now
        )

    def come(self, agent: str, instance: str = "i_1", *, state: str = "here", **facts: Any) -> None:
        said = AgentPresence(
            agent=agent, instance=instance, state=state, timestamp=time.time(), concurrency=16, **facts
        )
        # From a future in which they are still there when the slowest of browsers looks.
        self.roster.seen(said, self.now() + 3_600.0 if state == "here" else self.now())

    def look(self) -> None:
        self.watch.look()


@pytest.fixture
async def agents() -> AsyncIterator[Agents]:
    async with open_site(orchestrator=AGENTS) as site:
        yield Agents(site)


async def open_health(page: Page, agents: Agents) -> None:
    await page.goto(f"{agents.site.url}#health")
    await expect(page.locator("#connection")).to_have_attribute("data-state", "live")


async def test_who_is_there_and_how_they_do(page: Page, agents: Agents) -> None:
    agents.come("lights", description=MARKUP, version="1.4", answering=2)
    agents.come("lights", "i_2", description=MARKUP, version="1.4")
    agents.come("weather")
    agents.come("light")
    for _ in range(3):
        agents.roster.asked("lights", agents.now())
        agents.roster.answered("lights", 0.25, agents.now())
    agents.roster.failed("lights", MARKUP, timed_out=False, now=agents.now())
    await open_health(page, agents)
    rows = page.locator("#agents .board")
    await expect(rows.locator("h4")).to_have_text(["lights", "weather", "judge"])
    await expect(rows.locator(".state")).to_have_text(["Here", "Here", "Not seen yet"])
    lights = rows.nth(0)
    await expect(lights.locator(".detail")).to_have_text(
        f"{MARKUP} · 1.4 · 2 copies · teams house, late · 3 asked · 1 failed (25 %) · "
        "half within 250 ms, 95 % within 250 ms · 2 at work"
    )
    await expect(lights.locator(".reason")).to_have_text(f"Last error: {MARKUP}")
    await expect(rows.nth(1).locator(".detail")).to_have_text("inside the gateway · team house · 0 asked")
    await expect(page.locator("#strangers")).to_have_text("There, but named in no setting: light")


async def test_what_changes_is_seen_without_reloading(page: Page, agents: Agents) -> None:
    agents.come("lights")
    agents.come("judge")
    agents.look()
    await open_health(page, agents)
    states = page.locator("#agents .state")
    await expect(states.nth(0)).to_have_text("Here")
    await expect(page.locator(".problem h3", has_text="agent")).to_have_count(0)
    agents.roster.failed("judge", "boom", timed_out=False, now=agents.now())
    agents.come("lights", state="leaving")
    agents.look()
    await expect(states.nth(2)).to_have_text("Left alone")
    await expect(states.nth(0)).to_have_text("Not there")
    await expect(page.locator("#agents .since").nth(0)).to_contain_text("since ")
    await expect(page.locator(".problem h3", has_text="agent")).to_have_text(["agent judge", "agent lights"])
    await expect(page.locator("#headline")).to_have_text("agent judge does not work, and 1 more problem")


async def test_nothing_is_wider_than_the_screen(page: Page, agents: Agents) -> None:
    agents.come("lights", description="Switches the lights of the whole house and of the garden, too. " * 3)
    agents.roster.failed("lights", "Connection_refused_" * 30, timed_out=False, now=agents.now())
    for width in (1280, 820, 360):
        await page.set_viewport_size({"width": width, "height": 800})
        await open_health(page, agents)
        await expect(page.locator("#agents .board")).to_have_count(3)
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
        panel = page.locator("#agents-panel")
        assert await panel.evaluate("one => one.scrollWidth <= one.clientWidth"), width


async def test_where_none_are_named_there_is_no_panel(page: Page) -> None:
    async with open_site() as site:
        await page.goto(f"{site.url}#health")
        await expect(page.locator("#gateway")).to_contain_text("Up for")
        await expect(page.locator("#agents-panel")).to_be_hidden()
