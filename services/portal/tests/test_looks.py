"""Colours as one wants them, less motion, few colours, paper, and little to load."""

import pytest
from playwright.async_api import Response

from .people import Visitor, address

BACKGROUND = "getComputedStyle(document.body).backgroundColor"
KIB = 1024


def brightness(colour: str) -> int:
    """Of ``rgb(r, g, b)``, from 0 to 765."""
    return sum(int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(","))


@pytest.mark.timeout(100)
async def test_colours_are_the_devices_or_as_one_chooses_and_come_with_the_page(browser, platform, visit):
    visitor = await visit()
    await visitor.go("/sign-on")
    light = await visitor.page.evaluate(BACKGROUND)
    await visitor.page.emulate_media(color_scheme="dark")
    dark = await visitor.page.evaluate(BACKGROUND)
    assert brightness(dark) < 150 < 600 < brightness(light)

    await visitor.press("button[name=theme][value=light]")
    assert await visitor.page.evaluate(BACKGROUND) == light
    answer = await visitor.page.request.get("/sign-on")
    assert 'data-theme="light"' in await answer.text(), "a script would show the other colours first"

    await visitor.press("button[name=theme][value=system]")
    assert await visitor.page.evaluate(BACKGROUND) == dark


@pytest.mark.timeout(100)
async def test_what_needs_scripts_is_laid_out_as_everything_else_with_them_and_is_not_there_without(visit):
    for scripts in (True, False):
        visitor = await visit(scripts=scripts)
        await visitor.go("/sign-on")
        form = visitor.page.locator("form[data-passkey]")
        assert await form.is_visible() == scripts
        if scripts:
            assert await form.evaluate("each => getComputedStyle(each).display") == "flex"


@pytest.mark.timeout(200)
async def test_whoever_wants_no_motion_sees_none(visit):
    visitor = await visit()
    await visitor.go("/sign-on")
    await visitor.page.evaluate("document.querySelector('main').innerHTML += '<p class=\"progress\">It goes on.</p>'")
    moving = "document.getAnimations().length"
    assert await visitor.page.evaluate(moving) == 1

    await visitor.page.emulate_media(reduced_motion="reduce")

    assert await visitor.page.evaluate(moving) == 0


@pytest.mark.timeout(200)
async def test_with_few_colours_what_one_presses_has_an_edge(platform, visit):
    visitor = await visit()
    await visitor.become_primary(await platform.group(), address("prim"))
    await visitor.page.emulate_media(forced_colors="active")
    await visitor.go("/")

    bare = await visitor.page.evaluate(
        """() => [...document.querySelectorAll(".button, .tag, .card, .said, input:not([type=hidden])")]
             .filter(each => each.offsetParent && parseFloat(getComputedStyle(each).borderTopWidth) < 1)
             .map(each => each.outerHTML.slice(0, 100))"""
    )

    assert bare == []


@pytest.mark.timeout(200)
async def test_on_paper_there_is_what_the_page_says_and_nothing_to_press_around_it(platform, visit):
    visitor = await visit(dark=True)
    group = await platform.group()
    await visitor.become_primary(group, address("prim"))
    await visitor.go(f"/groups/{group['group_id']}")
    await visitor.page.emulate_media(media="print")

    assert await visitor.page.locator("main h1").is_visible()
    for around in ("header.bar", "footer.foot", ".skip"):
        assert not await visitor.page.locator(around).is_visible(), around
    colour = await visitor.page.evaluate("getComputedStyle(document.querySelector('main')).color")
    assert brightness(colour) < 300, "dark on white"


@pytest.mark.timeout(200)
@pytest.mark.parametrize("path", ["/sign-on", "/", "/groups/{group}", "/transactions"])
async def test_a_first_visit_loads_little(platform, browser, path):
    """100 kB and three requests beside the page itself, uncompressed."""
    group = await platform.group()
    known = await Visitor.open(browser, platform)
    await known.become_primary(group, address("prim"))
    cookies = await known.page.context.cookies()
    await known.page.context.close()
    visitor = await Visitor.open(browser, platform)  # with an empty cache
    await visitor.page.context.add_cookies(cookies)
    answers: list[Response] = []
    visitor.page.on("response", lambda answer: answers.append(answer))  # noqa: PLW0108 - playwright marks what it is given
    await visitor.page.goto(path.format(group=group["group_id"]), wait_until="networkidle")
    loaded = {each.url: len(await each.body()) for each in answers if "/live" not in each.url}
    await visitor.page.context.close()

    beside = {url for url in loaded if not url.endswith(visitor.path)}
    assert any(".css" in url for url in beside)
    assert len(beside) <= 3, sorted(beside)
    assert sum(loaded.values()) <= 100 * KIB, loaded
