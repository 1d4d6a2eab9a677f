"""Signing in on the page, in a real Chromium."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page, expect

from gateway.access.principals import Role
from gateway.settings.web import WebSettings
from tests.gateway.access.keyring import Keyring
from tests.gateway.events import device, transcription
from tests.gateway.web.chromium import IN_CHROMIUM, clean_page
from tests.gateway.web.house import House
from tests.gateway.web.test_page_access import CONTRAST

pytestmark = IN_CHROMIUM


@pytest.fixture
def settings() -> WebSettings:
    return WebSettings(port=0, require_token=True)


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    # A browser reports every answer that is no success, and there is nothing here but the door.
    async with clean_page(
        browser, "status of 401", "status of 429", "status of 503", "status of 404"
    ) as page:
        yield page


async def test_in_with_the_keyboard_alone(page: Page, house: House, keyring: Keyring) -> None:
    token = keyring.token("ann")
    await page.goto(house.url)
    field = page.get_by_label("Your token")
    await expect(field).to_be_focused()
    await page.keyboard.type("not a token")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("will not do")
    await field.fill(token)
    await page.keyboard.press("Enter")
    await expect(page.locator("#connection")).to_have_attribute("data-state", "live")
    await page.reload()
    await expect(page.locator("#connection")).to_have_attribute("data-state", "live")
    assert token not in await page.content()
    assert await page.evaluate("document.cookie") == ""
    assert await page.evaluate("localStorage.length + sessionStorage.length") == 0


async def test_whose_token_is_revoked_is_back_at_the_form(page: Page, house: House, keyring: Keyring) -> None:
    token, text = keyring.make("ann")
    await page.goto(house.url)
    await page.get_by_label("Your token").fill(text)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.locator("#connection")).to_have_attribute("data-state", "live")
    keyring.file.revoke(token.token_id)
    await expect(page.get_by_label("Your token")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_fits_a_phone(page: Page, house: House, scheme: str) -> None:
    await page.set_viewport_size({"width": 320, "height": 568})
    await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    await page.goto(house.url)
    await expect(page.get_by_role("button", name="Sign in")).to_be_in_viewport()
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    texts = await page.evaluate(CONTRAST)
    assert texts
    assert [text for text in texts if text["ratio"] < text["least"]] == []


async def sign_in(page: Page, house: House, token: str) -> None:
    await page.goto(house.url)
    await page.get_by_label("Your token").fill(token)
    await page.get_by_role("button", name="Sign in").click()


async def test_a_token_opens_the_page_and_signing_out_closes_it(
    page: Page, house: House, keyring: Keyring
) -> None:
    house.publish(device(), transcription("turn on the light"))
    await sign_in(page, house, "nonsense")
    await expect(page.get_by_role("alert")).to_contain_text("this token will not do")
    await sign_in(page, house, f"  {keyring.token('ann')}\n")
    await expect(page.locator(".heard")).to_have_text("turn on the light")
    assert await page.evaluate("document.cookie + JSON.stringify({...localStorage})") == "{}"
    await page.goto(f"{house.url}#health")
    await expect(page.locator("#who-am-i")).to_have_text("Signed in as ann (listener)")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_label("Your token")).to_be_visible()
    await page.reload()
    await expect(page.get_by_label("Your token")).to_be_visible()


async def test_who_listens_to_one_device_sees_only_that_one(
    page: Page, house: House, keyring: Keyring
) -> None:
    house.publish(device(), device("study"), transcription("in the kitchen"))
    await sign_in(page, house, keyring.token("ann", devices=("study",)))
    await expect(page.locator(".device-name")).to_have_text(["study"])
    await expect(page.locator(".turn")).to_have_count(0)
    await expect(page.locator("#composer")).to_be_visible()


async def test_who_may_not_speak_is_offered_nothing_to_speak_with(
    page: Page, house: House, keyring: Keyring
) -> None:
    await sign_in(page, house, keyring.token("brain", Role.ORCHESTRATOR))
    await expect(page.locator("#connection")).to_have_attribute("data-state", "live")
    await expect(page.locator("#composer")).to_be_hidden()
    await page.keyboard.down("Space")
    await expect(page.locator("#talk-note")).to_be_empty()
