"""Signing on, entering a code, giving access and taking it away, without a mouse; where one is can always be seen."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.async_api import Page

from .people import PASSWORD, address, eventually

STOPS_MAX = 120
HERE = """selector => {
  const here = document.activeElement;
  if (!here || here === document.body) return null;
  const box = here.getBoundingClientRect(), look = getComputedStyle(here);
  return {
    wanted: here.matches(selector),
    what: here.outerHTML.slice(0, 160),
    seen: look.outlineStyle !== "none" && parseFloat(look.outlineWidth) >= 2 && box.width > 0 && box.height > 0
      && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
  };
}"""


async def tab_to(page: Page, selector: str, *, stops: int = STOPS_MAX) -> None:
    """From stop to stop until there: each of them is on the screen, with a ring around it."""
    for _ in range(stops):
        await page.keyboard.press("Tab")
        here = await page.evaluate(HERE, selector)
        if here is None:
            continue  # the browser's own bar, between the last stop and the first
        assert here["seen"], f"nobody sees that one is at {here['what']}"
        if here["wanted"]:
            return
    raise AssertionError(f"{stops} stops do not lead to {selector} on {page.url}")


async def enter(page: Page, selector: str) -> None:
    """Go there and press Enter; another page comes."""
    await tab_to(page, selector)
    async with page.expect_navigation():
        await page.keyboard.press("Enter")


async def type_in(page: Page, **fields: str) -> None:
    for name, value in fields.items():
        await tab_to(page, f"main [name={name}]")
        await page.keyboard.type(value)


@pytest.mark.timeout(300)
async def test_all_of_it_by_keys_alone(platform, visit):
    group, prim = await platform.group(), address("prim")
    home = f"/groups/{group['group_id']}"
    visitor = await visit(width=390)
    await platform.approve_primary(group, prim)
    user_id = await visitor.register(prim, "Prim", "Ary")
    code = await platform.code(prim, group["legal_name"])
    page = visitor.page

    await visitor.go("/sign-on")
    await type_in(page, user_id=user_id, password=PASSWORD)
    await enter(page, "main form button.button")
    await type_in(page, code=code.lower())
    await enter(page, "main form[action='/access-code'] button")
    await enter(page, f"main a[href='{home}']")

    sec = address("sec")
    await enter(page, f"main a[href='{home}/users/new']")
    await type_in(page, first_name="Sec", last_name="Ondary", email=sec, email_again=sec)
    await enter(page, "main form button.button")
    await tab_to(page, "[name=rights][value='renewals.change']")
    await page.keyboard.press("Space")
    await enter(page, "main form button.button:not(.text)")
    assert sec in await page.inner_text("main .said.good")

    await tab_to(page, "main a[href$='/removal']")
    await page.keyboard.press("Enter")
    await page.locator("dialog[open]").wait_for()
    await enter(page, "dialog[open] button.grave")
    await page.locator("#progress .said.good").wait_for()
    await enter(page, f"main a[href='{home}']")
    assert sec not in await page.inner_text("main")


@pytest.mark.timeout(300)
async def test_while_a_change_is_on_its_way_one_stays_where_one_is(platform, visit):
    """The part that says how far it is comes anew; a service that stands still makes it last."""
    group, sec = await platform.group(), address("sec")
    home = f"/groups/{group['group_id']}"
    primary = await visit()
    await primary.become_primary(group, address("prim"))
    await primary.add_user(group, sec, "Sec", "Ondary")
    page = primary.page
    await primary.go(home)
    await tab_to(page, "main a[href$='/removal']")
    await page.keyboard.press("Enter")
    await page.locator("dialog[open]").wait_for()

    with standing_still(platform.run["pids"]["renewals"]):
        await enter(page, "dialog[open] button.grave")
        await page.locator("#progress .progress").wait_for()
        back = f"main a[href='{home}']"
        await tab_to(page, back)
        async with page.expect_response(lambda answer: "/changes/" in answer.url):
            pass
        assert await page.locator("#progress .progress").is_visible()
        assert (await page.evaluate(HERE, back))["wanted"], "it came anew under who is elsewhere"
    await page.locator("#progress .said.good").wait_for()

    here = await page.evaluate(HERE, back)
    assert here["wanted"]
    assert here["seen"]
    async with page.expect_navigation():
        await page.keyboard.press("Enter")
    assert sec not in await page.inner_text("main")

    async def answers_again() -> bool | None:
        async with platform.api("renewals") as api:
            return (await api.get("/v1/book")).is_success or None

    await eventually(answers_again, "renewals, which stood still")


@contextmanager
def standing_still(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.timeout(100)
async def test_the_first_stop_leads_past_the_navigation(visit):
    visitor = await visit()
    await visitor.go("/sign-on")

    await tab_to(visitor.page, "a.skip", stops=1)
    await visitor.page.keyboard.press("Enter")

    await tab_to(visitor.page, "main [name=user_id]", stops=1)
