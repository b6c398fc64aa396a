"""Transactions as their owners find them: what is to be done comes first, with who helps (page point 13)."""

import pytest

from .people import PASSWORD, address

WAYS = [
    pytest.param("en-US", True, "Action required", id="english"),
    pytest.param("es-US", False, "Acción requerida", id="spanish-without-scripts"),
]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("language", "scripts", "asked"), WAYS)
async def test_what_was_sent_back_comes_first_with_what_to_do_and_who_helps(platform, visit, language, scripts, asked):
    group = await platform.group()
    primary = await visit(language=language, scripts=scripts)
    await primary.become_primary(group, address("prim"))
    user_id = (await primary.page.inner_text("header .soft")).strip()
    said = 'Add the W-9 & sign "it" <b>here</b>.'
    transaction_id = await platform.sent_back(group, (user_id, PASSWORD), said)

    await primary.go("/transactions")

    sections = primary.page.locator("main section")
    first = await sections.first.inner_text()
    assert asked in await sections.first.locator("h2").inner_text()
    assert said in first
    assert "Odalys Brenner" in first
    assert group["legal_name"] in first
    assert await sections.first.locator("a[href^='tel:']").count() == 1
    everything = primary.page.locator("main .table").last
    assert await everything.locator("tbody tr").count() == 1
    assert await sections.first.locator(f"a[href='/transactions/{transaction_id}']").count() == 1
    await primary.go(f"/transactions/{transaction_id}")
    assert said in await primary.page.inner_text("main")
    await primary.go("/transactions?status=completed")
    assert await primary.page.locator("main section").count() == 0
    assert await primary.page.locator("main .empty a[href='/transactions']").count() == 1
    await primary.go("/")
    assert said in await primary.page.inner_text("main")
