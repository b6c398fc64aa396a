"""A carrier's own name and colours are settings, and readable ones: on the pages, in light and in the dark."""

import pytest

from .looks import faults

ACCENT, ACCENT_DARK = "#7a1f5c", "#f0a5d4"


def rgb(colour: str) -> str:
    return f"rgb({', '.join(str(int(colour[at : at + 2], 16)) for at in (1, 3, 5))})"


@pytest.mark.timeout(200)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_name_and_colours_are_the_carriers(another_portal, visit, dark):
    async with another_portal(brand='Alder & "Ash"', accent=ACCENT, accent_dark=ACCENT_DARK) as platform:
        visitor = await visit(at=platform, dark=dark)
        await visitor.go("/sign-on")
        page = visitor.page

        assert (await page.title()).endswith(' – Alder & "Ash"')
        assert 'Alder & "Ash"' in await page.inner_text("header .brand")
        assert "Covey" not in await page.inner_text("body")
        button = page.locator("main form button.button").first
        colour = await button.evaluate("each => getComputedStyle(each).backgroundColor")
        assert colour == rgb(ACCENT_DARK if dark else ACCENT)
        assert await faults(visitor) == []
