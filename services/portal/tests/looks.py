"""How a page looks in the sizes and colours in which it is seen, and what a machine finds at fault with it.

With ``COVEY_SCREENSHOTS`` set, the pages are kept as pictures in that folder (``make screenshots``).
"""

import os
import re
from importlib import resources
from pathlib import Path
from typing import Any

from .people import Visitor

AXE = (resources.files("axe_playwright_python") / "axe.min.js").read_text()
RUN_AXE = f"async (tags) => {{ {AXE}; return await window.axe.run(document, {{runOnly: tags}}) }}"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
"""Rules of WCAG 2.2, A and AA."""
LOOKS: dict[str, dict[str, Any]] = {
    "desktop": {"width": 1440},
    "phone": {"width": 390},
    "smallest": {"width": 320, "height": 256},  # as 1280 by 1024 at 400 %
    "dark": {"width": 1440, "dark": True},
    "spanish": {"width": 390, "language": "es-US"},
}


async def judge(visitor: Visitor, page: str, having: str) -> None:
    """The page that is open has this, and looks right in each size and colour; it is kept as pictures of this name."""
    assert await visitor.page.locator(having).first.is_visible(), f"{page}: {await visitor.title()}"
    language = await visitor.page.evaluate("document.documentElement.lang")
    found = []
    for look, how in LOOKS.items():
        if how.get("language", "en-US").startswith(language):
            await visitor.page.set_viewport_size({"width": how["width"], "height": how.get("height", 900)})
            await visitor.page.emulate_media(color_scheme="dark" if how.get("dark") else "light")
            found += await look_at(visitor, page, look)
    assert found == []


async def look_at(visitor: Visitor, page: str, look: str) -> list[str]:
    """What is wrong with the page that is open, which is kept as a picture."""
    if folder := os.environ.get("COVEY_SCREENSHOTS"):
        await visitor.page.screenshot(path=Path(folder) / f"{picture(page)}.{look}.png", full_page=True)
    return [f"{page}, {look}: {each}" for each in await faults(visitor)]


def picture(page: str) -> str:
    """What a page's picture is called: the same in each run, whatever is on it."""
    name = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9A-Z]{16}", "ID", page)
    name = re.sub(r"\d{4}-\d{2}(-\d{2})?", "DAY", name)
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")


async def faults(visitor: Visitor) -> list[str]:
    """What is wrong with the page that is open: barriers, too wide, without headings, landmarks or a way home."""
    page = visitor.page
    said: dict[str, Any] = await page.evaluate(RUN_AXE, TAGS)
    found = [f"{each['id']}: {each['nodes'][0]['html'][:200]}" for each in said["violations"]]
    wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    if wide > 0:
        found.append(f"{wide} px wider than the screen")
    lists = page.locator(".table:not(.wide)")
    off = await lists.evaluate_all("all => all.filter(each => each.scrollWidth > each.clientWidth).length")
    if off and await page.evaluate("innerWidth < 640"):
        found.append(f"{off} lists of which something is off the screen")
    headings = await page.locator("main h1").count()
    if headings != 1:
        found.append(f"{headings} headings of the first rank")
    found += [
        f"{count} of {landmark}"
        for landmark in ("banner", "main", "contentinfo")
        if (count := await page.get_by_role(landmark).count()) != 1
    ]
    names = await page.locator("nav").evaluate_all("all => all.map(each => each.ariaLabel)")
    if not names or not all(names) or len({*names}) < len(names):
        found.append(f"parts to navigate by that nobody can tell apart: {names}")
    if await page.locator("body > :first-child").get_attribute("href") != "#main":
        found.append("it does not begin with a way past the navigation")
    if not await page.locator("header a[href='/']").count():
        found.append("no way home")
    return found
