"""The page in a real Chromium: it loads clean, shows what happens, and never runs what was said."""

from __future__ import annotations

import re
from pathlib import Path

from msgspec import structs
from playwright.async_api import Page, expect

from gateway.contract.events import ArbitrationEvent
from gateway.contract.messages import AudioFacts
from gateway.hub.hub import Hub
from gateway.observing.health import Health, HealthState
from gateway.pipeline.content.port import KEPT_BACK
from gateway.settings.web import WebSettings
from tests.gateway.events import delivery, device, partial, reply, status, transcription
from tests.gateway.web.chromium import IN_CHROMIUM, WHOLE, open_page
from tests.gateway.web.house import House, repeated, until, web_server

EVENTS_PAGE = Path(__file__).parents[3] / "docs" / "events.md"

pytestmark = IN_CHROMIUM


async def test_an_empty_house_says_what_to_do(page: Page, house: House) -> None:
    await open_page(page, house)
    await expect(page).to_have_title("Earshot")
    await expect(page.locator("#devices-empty")).to_contain_text("earshot simulate")
    await expect(page.locator("#feed-empty")).to_be_visible()
    await expect(page.locator("#headline")).to_have_text("Ready, and no device has called yet")
    await expect(page.locator("#health-badge")).to_be_hidden()
    house.publish(device())
    await expect(page.locator("#headline")).to_have_text("All is well")
    house.publish(device(state="disconnected"))
    await expect(page.locator("#headline")).to_have_text("No device is here")


async def test_who_heard_it_on_another_machine_is_shown(page: Page, house: House) -> None:
    await open_page(page, house)
    house.publish(device(), structs.replace(transcription("turn on the light"), worker="cellar"))
    await expect(page.locator(".speed")).to_have_text("410 ms to text by cellar")
    house.publish(structs.replace(transcription("and the fan", number=2), worker="<b>attic</b>"))
    await expect(page.locator(".speed").last).to_have_text("410 ms to text by <b>attic</b>")
    await expect(page.locator(".speed b")).to_have_count(0)


async def test_one_utterance_live(page: Page, house: House) -> None:
    await open_page(page, house)
    house.publish(device(), status("listening"), partial("turn"))
    await expect(page.locator(".device-state")).to_have_text("Listening")
    heard, tentative = page.locator(".heard"), page.locator(".tentative")
    await expect(heard).to_have_text("turn")
    await expect(heard).to_have_attribute("data-kind", "partial")
    house.publish(partial("turn on the lie", stable="turn on"))
    await expect(heard).to_have_text("turn on the lie")
    await expect(tentative).to_have_text("the lie")
    house.publish(partial("turn on", stable="turn on"))
    await expect(heard).to_have_text("turn on")
    await expect(tentative).to_be_hidden()

    house.publish(transcription("turn on the light"), status("thinking"), partial("much too late"))
    await expect(heard).to_have_text("turn on the light")
    await expect(tentative).to_be_hidden()
    await expect(page.locator(".speed")).to_have_text("410 ms to text")
    await expect(page.locator(".reply")).to_have_text("Thinking")
    await page.get_by_role("button", name="Copy correlation id c_correlation_1").click()
    await expect(page.locator(".ids .copy").last).to_have_text(re.compile("^(copied|c_correlation_1)$"))

    house.publish(reply("The light ", final=False), reply("is ", final=False))
    await expect(page.locator(".reply-text")).to_have_text("The light is ")
    house.publish(reply("The light is on."), delivery(), status("idle"))
    await expect(page.locator(".reply-text")).to_have_text("The light is on.")
    await expect(page.locator(".speed")).to_have_text("410 ms to text480 ms to reply")
    await expect(page.locator(".mark")).to_contain_text("delivered")
    await expect(page.locator("#figure-reply")).to_have_text("480 ms")
    await expect(page.locator("#announcer")).to_contain_text("Reply to kitchen: The light is on.")


async def test_what_the_content_filter_has_found_is_marked(page: Page, house: House) -> None:
    await open_page(page, house)
    house.publish(
        device(), structs.replace(transcription("my card is [card number]"), flags=("personal_data", "own"))
    )
    await expect(page.locator(".flags")).to_have_text("⚑ personal data, own")
    house.publish(structs.replace(reply("***, please"), flags=("forbidden_words", "unchecked")))
    await expect(page.locator(".mark")).to_have_text("orchestrator · ⚑ forbidden words, not checked")
    house.publish(transcription("", number=2, error=KEPT_BACK), transcription("plain", number=3))
    await expect(page.locator(".heard").nth(1)).to_have_text("Kept back by the content filter.")
    await expect(page.locator(".flags").nth(2)).to_be_hidden()


async def test_a_voice_that_another_device_answers_says_so(page: Page, house: House) -> None:
    await open_page(page, house)
    reason = "heard by sofa: 9 dB clearer there"
    told = ArbitrationEvent(
        session_id="s-kitchen", user_id="anna", device_id="kitchen", correlation_id="c1", utterance_id="u1",
        answers="sofa", reason=reason,
    )  # fmt: skip
    house.publish(device(), told)
    await expect(page.locator(".heard")).to_have_text("Heard by sofa: 9 dB clearer there.")


async def test_an_end_without_a_text_leaves_its_pieces(page: Page, house: House) -> None:
    await open_page(page, house)
    house.publish(device(), transcription("turn on the light"))
    late = [
        reply(text, final=final, late=True)
        for text, final in (("Here ", False), ("at last", False), ("", True))
    ]
    house.publish(*late)
    await expect(page.locator(".reply-text")).to_have_text("Here at last")
    await expect(page.locator(".mark")).to_contain_text("late")


async def test_an_answer_after_all_takes_the_place_of_the_fallback(page: Page, house: House) -> None:
    await open_page(page, house)
    house.publish(device(), transcription("what time is it"))
    house.publish(structs.replace(reply("Nobody is there."), fallback=True, agent="gateway"), delivery())
    await expect(page.locator(".mark")).to_contain_text("nobody answered")
    house.publish(structs.replace(reply("It is 7:00.", late=True), agent="clock"))
    await expect(page.locator(".reply-text")).to_have_text("It is 7:00.")
    await expect(page.locator(".mark")).to_have_text("clock · late")
    house.publish(delivery())
    await expect(page.locator(".mark")).to_have_text("clock · late · ✓ delivered")


async def test_a_better_answer_takes_the_place_of_the_first(page: Page, house: House) -> None:
    await open_page(page, house)
    house.publish(device(), transcription("what time is it"))
    house.publish(structs.replace(reply("About seven.", final=False), interim=True, agent="clock"))
    await expect(page.locator(".reply-text")).to_have_text("About seven.")
    await expect(page.locator(".mark")).to_have_text("clock · a first answer, a better one follows")
    await expect(page.locator(".reply")).to_have_attribute("data-kind", "interim")  # whole: no dots behind it
    whole = {"agent": "house", "agents": ("clock", "news"), "partial": True, "missing": ("weather",)}
    house.publish(structs.replace(reply("It is 6:58. No news."), **whole))
    await expect(page.locator(".reply-text")).to_have_text("It is 6:58. No news.")
    await expect(page.locator(".mark")).to_have_text("clock + news, without weather")
    await open_page(page, house)
    await expect(page.locator(".reply-text")).to_have_text("It is 6:58. No news.")


async def test_who_comes_later_sees_the_same(page: Page, house: House) -> None:
    house.publish(device(), transcription("turn on the light"), reply(), delivery())
    house.publish(
        transcription("", 2, error="out of memory"), device("attic", "disconnected", reason="unplugged")
    )
    house.health.set("mqtt", HealthState.DEGRADED, "nobody answers", "start mosquitto")
    await open_page(page, house)
    await expect(page.locator(".heard")).to_have_text(["turn on the light", "Not understood: out of memory"])
    await expect(page.locator(".device-state")).to_have_text(["unplugged", "Ready"])
    await expect(page.locator("#figure-devices")).to_have_text("1 of 2")
    await expect(page.locator("#headline")).to_have_text("mqtt works less well")
    await expect(page.locator("#subline")).to_have_text("nobody answers. What to do: start mosquitto")
    house.health.set("recognizer", HealthState.UNHEALTHY, "no memory")
    await expect(page.locator("#headline")).to_have_text("recognizer does not work, and 1 more problem")
    await expect(page.locator("#health-badge")).to_have_text("2")
    house.health.set("mqtt", HealthState.HEALTHY)
    house.health.set("recognizer", HealthState.HEALTHY)
    await expect(page.locator("#headline")).to_have_text("All is well")
    await expect(page.locator("#health-badge")).to_be_hidden()


async def test_markup_is_only_text(page: Page, house: House) -> None:
    said = '<script>document.title="owned"</script><img src=x onerror="document.title=1"><b>bold</b>'
    await open_page(page, house)
    house.publish(device(reason=said), status(said), transcription(said), reply(said))
    house.health.set("recognizer", HealthState.UNHEALTHY, said, said)
    await expect(page.locator(".heard")).to_have_text(said)
    await expect(page.locator(".reply-text")).to_have_text(said)
    await expect(page.locator("#subline")).to_have_text(f"{said}. What to do: {said}")
    for view in ("history", "latency", "health"):
        await page.goto(f"{house.url}#{view}")
        await expect(page.locator(f"#view-{view}")).to_be_visible()
    await expect(page.locator(".problem .remedy")).to_have_text(said)
    assert await page.locator("body script, main img, main b, aside b").count() == 0
    await expect(page).to_have_title("Health \u2013 Earshot")


async def test_choosing_a_device_narrows_the_conversations(page: Page, house: House) -> None:
    await open_page(page, house)
    house.publish(device(), device("study"), transcription(), status(device="study"))
    other = structs.replace(transcription("good night", 2), device_id="study", session_id="s-study")
    house.publish(other)
    await expect(page.locator(".turn")).to_have_count(2)
    await page.get_by_role("button", name=re.compile("study")).first.focus()
    await page.keyboard.press("Enter")
    await expect(page.locator(".who-device")).to_have_text(["study"])
    await expect(page.locator('.device[aria-pressed="true"] .device-name')).to_have_text("study")
    await page.get_by_role("button", name="Only study. Show all").locator("visible=true").click()
    await expect(page.locator(".turn")).to_have_count(2)


async def test_the_page_stays_small(page: Page, house: House) -> None:
    await open_page(page, house)
    house.publish(device())
    for number in range(200):
        house.publish(device(f"room-{number}"))
        house.publish(transcription(f"sentence {number}", number), status(device=f"room-{number}"))
    await expect(page.locator(".heard").last).to_have_text("sentence 199")
    await expect(page.locator(".turn")).to_have_count(60)
    await expect(page.locator("#announcer p")).to_have_count(4)
    await expect(page.locator(".device")).to_have_count(201)


async def test_what_visitors_say_makes_no_device_and_one_that_is_forgotten_goes(
    page: Page, house: House
) -> None:
    await open_page(page, house)
    house.publish(device("kitchen"), device("bath"), device("web-tab"))
    house.publish(device("web-tab", "disconnected", reason="its socket is closed"))
    house.publish(status("thinking", device="web-tab"), status("idle", device="web-local"))
    house.publish(structs.replace(transcription("said on a page"), device_id="web-local"))
    house.publish(device("bath", "disconnected", reason="unplugged"))
    names = page.locator(".device-name")
    await expect(page.locator(".heard").last).to_have_text("said on a page")
    await expect(names).to_have_text(["bath", "kitchen"])
    await expect(page.locator("#figure-devices")).to_have_text("1 of 2")
    house.publish(device("bath", "forgotten"))
    await expect(names).to_have_text(["kitchen"])
    await page.reload()
    await expect(names).to_have_text(["kitchen"])


async def test_devices_stand_by_room_and_stay_where_they_are(page: Page, house: House) -> None:
    await open_page(page, house)
    rooms = {"oven": "Kitchen", "fridge": "Kitchen", "bedside": "Bedroom", "loose": ""}
    for name, room in rooms.items():
        house.publish(structs.replace(device(name), room=room))
    await expect(page.locator(".room")).to_have_text(["Bedroom", "Kitchen", "Elsewhere"])
    names = page.locator(".device-name")
    await expect(names).to_have_text(["bedside", "fridge", "oven", "loose"])
    house.publish(structs.replace(device("bedside", "disconnected", reason="unplugged"), room="Bedroom"))
    await expect(page.locator(".device-state").first).to_have_text("unplugged")
    await expect(names).to_have_text(["bedside", "fridge", "oven", "loose"])


async def test_long_names_and_why_a_device_is_away_stand_there_as_a_whole(page: Page, house: House) -> None:
    names = ["esp32.kitchen.001", "esp32.kitchen.002", "x" * 63 + "1", "x" * 63 + "2"]
    for number, name in enumerate(names):
        said = structs.replace(transcription(number=number), device_id=name, session_id=f"s-{name}")
        house.publish(device(name, "disconnected", reason="its socket is closed"), said)
    places = (
        ("live", ".device-name"),
        ("live", ".device-state"),
        ("live", ".who-device"),
        ("latency", ".strip-who"),
    )
    for width, height in ((1100, 900), (390, 800)):
        await page.set_viewport_size({"width": width, "height": height})
        for view, place in places:
            await open_page(page, house, view)
            await expect(page.locator(place)).to_have_count(len(names))
            for line in await page.locator(place).all():
                assert await line.evaluate(WHOLE), (width, await line.text_content())
    assert await page.locator("#devices").evaluate("one => one.clientHeight") < 120


async def test_a_level_moves_its_meter_and_fades(page: Page, house: House) -> None:
    await open_page(page, house)
    house.publish(device(), device("study"))
    await expect(page.locator(".meter")).to_have_count(2)
    bar = page.locator(".bar-level").first
    # One level is seen for less than half a second; devices send ten a second.
    async with repeated(house, structs.replace(device(notice="level"), value=-30)):
        await expect(bar).to_have_attribute("data-level", "0.50")
    await expect(bar).to_have_attribute("data-level", "0.00")
    async with repeated(house, structs.replace(device(notice="level"), value=0)):
        await expect(bar).to_have_attribute("data-level", "1.00")
    async with repeated(house, structs.replace(device(notice="level"), value=-96)):
        await expect(bar).to_have_attribute("data-level", "0.00")
    await expect(page.locator(".bar-level").last).to_have_attribute("data-level", "0.00")


async def test_losses_are_added_up(page: Page, house: House) -> None:
    await open_page(page, house)
    house.publish(structs.replace(device(), lost_frames=3))
    await expect(page.locator(".losses")).to_have_text("3 lost")
    gaps = AudioFacts(seconds=1.5, gaps=1, lost_ms=40)
    for number in (1, 2):
        house.publish(structs.replace(transcription(number=number), audio=gaps))
    await expect(page.locator(".losses")).to_have_text("3 lost, 2 gaps")
    await expect(page.locator(".device")).to_have_attribute("title", "mqtt · 80 ms of speech lost")


async def test_the_end_stays_in_view_unless_somebody_reads_on_above(page: Page, house: House) -> None:
    await open_page(page, house)
    for number in range(40):
        house.publish(transcription(f"sentence {number}", number))
    await expect(page.locator(".heard").last).to_be_in_viewport()
    await page.locator("#feed-scroll").hover()
    await page.mouse.wheel(0, -600)
    await expect(page.locator("#newest")).to_be_visible()
    house.publish(transcription("the latest", 41))
    await expect(page.locator(".heard").last).to_have_text("the latest")
    await expect(page.locator(".heard").last).not_to_be_in_viewport()
    await page.locator("#newest").click()
    await expect(page.locator(".heard").last).to_be_in_viewport()
    await expect(page.locator("#newest")).to_be_hidden()


async def test_a_crowd_does_not_drown_the_screen_reader(page: Page, house: House) -> None:
    await open_page(page, house)
    await page.evaluate(
        """() => {
          window.said = 0;
          const count = (changes) => { for (const change of changes) window.said += change.addedNodes.length; };
          new MutationObserver(count).observe(document.getElementById("announcer"), { childList: true });
        }"""
    )
    for number in range(100):
        house.publish(transcription(f"sentence {number}", number))
    await expect(page.locator(".heard").last).to_have_text("sentence 99")
    assert await page.evaluate("window.said") <= 4


async def test_a_restarted_gateway_is_found_again(page: Page) -> None:
    hub = Hub(WebSettings(port=0))
    health = Health(hub.publish)
    async with web_server(hub, health) as server:
        house = House(hub, health, server)
        await open_page(page, house)
        hub.publish(transcription("before"))
        await expect(page.locator(".heard")).to_have_text(["before"])
        port = house.port
    await expect(page.locator("#connection")).to_have_attribute("data-state", "lost")
    hub.publish(transcription("meanwhile", 2))
    async with web_server(hub, health, port=port):
        await expect(page.locator(".heard")).to_have_text(["before", "meanwhile"])
        await expect(page.locator("#connection")).to_have_attribute("data-state", "live")
    new = Hub(WebSettings(port=port))
    new.publish(transcription("a new run"))
    async with web_server(new):
        await expect(page.locator(".heard")).to_have_text(["a new run"], timeout=10_000)


async def test_the_javascript_listener_runs_as_written(page: Page, house: House) -> None:
    (program,) = re.findall(r"```javascript\n(.*?)```", EVENTS_PAGE.read_text(), re.DOTALL)
    await open_page(page, house)
    async with page.expect_console_message(lambda message: "The light is on." in message.text):
        await page.evaluate(program.replace("127.0.0.1:8080", f"127.0.0.1:{house.port}") + ";0")
        await until(lambda: house.hub.stats().listeners == 2)
        house.publish(reply())
