"""A primary appoints the group's broker of record, and ends the appointment, on pages alone (R-11)."""

import pytest

from .people import address, firm_number

WAYS = [
    pytest.param("en-US", True, "Appoint the firm", "Changed everywhere", "Removed everywhere", id="english"),
    pytest.param(
        "es-US",
        False,
        "Nombrar la agencia",
        "Cambiado en todas partes",
        "Acceso quitado en todas partes",
        id="spanish-without-scripts",
    ),
]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("language", "scripts", "does", "changed", "removed"), WAYS)
async def test_a_firm_is_appointed_in_the_place_of_another_and_its_appointment_ended(
    platform, visit, language, scripts, does, changed, removed
):
    former, new = firm_number(), firm_number()
    group = await platform.group(broker=former)
    await platform.group(broker=new)
    broker_page = f"/groups/{group['group_id']}/broker"
    primary = await visit(language=language, scripts=scripts)
    await primary.become_primary(group, address("prim"))

    await primary.go(broker_page)
    assert former in await primary.page.inner_text("main dl")
    for wrong in ("", "nobody-has-this", former):
        await primary.fill(firm_number=wrong)
        await primary.press()
        assert await primary.page.input_value("#firm_number") == wrong
        assert await primary.page.locator("#firm_number-complaint").count() == 1
    await primary.fill(firm_number=new)
    await primary.press()
    assert new[-4:] in await primary.title()
    await primary.press("main dd a[href*='firm_number=']")
    assert await primary.page.input_value("#firm_number") == new, "to be changed"
    await primary.press()
    assert new[-4:] in await primary.title()
    assert await primary.page.inner_text("main form button.button") == does
    await primary.press()
    await primary.page.locator("#progress .said.good").wait_for()
    assert changed in await primary.page.inner_text("#progress")

    await primary.go(broker_page)
    assert new in await primary.page.inner_text("main dl")
    assert former in await primary.page.inner_text("main table")
    await primary.confirm("main a[href$='/end']", "/end")
    await primary.page.locator("#progress .said.good").wait_for()
    assert removed in await primary.page.inner_text("#progress")
    await primary.go(broker_page)
    assert await primary.page.locator("main .empty").count() == 1
    assert await primary.page.locator("main tbody tr").count() == 2
