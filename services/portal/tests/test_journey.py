"""From the officer's form to a secondary user who is removed: on pages and by emails alone."""

import pytest

from .people import address

WAYS = [
    pytest.param("en-US", True, id="english"),
    pytest.param("es-US", False, id="spanish-without-scripts"),
    pytest.param("en-US", False, id="english-without-scripts"),
    pytest.param("es-US", True, id="spanish"),
]
REMOVED = {"en-US": "Removed everywhere", "es-US": "Acceso quitado en todas partes"}
MAILED_CODE = {"en-US": "Your access begins when", "es-US": "Su acceso comienza cuando"}
MAILED_END = {"en-US": "has ended", "es-US": "ha terminado"}
ADDED = {"en-US": "User added successfully", "es-US": "Usuario agregado"}
GONE = {"en-US": "You no longer have access to this group", "es-US": "Ya no tiene acceso a este grupo"}


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("language", "scripts"), WAYS)
async def test_from_the_officers_form_to_a_removed_user(platform, visit, language, scripts):
    group = await platform.group()
    home = f"/groups/{group['group_id']}"
    how = {"language": language, "scripts": scripts}

    # The officer asks, and is told a number to look by.
    officer, prim = await visit(**how), address("prim")
    reference = await officer.ask_for_access(group, prim)
    assert len(reference) == 16

    # Staff compare the form with what they know, and approve.
    staff = await visit(**how)
    await staff.sign_on_as_staff()
    await staff.go(f"/staff/access-requests/{reference}")
    assert group["legal_name"] in await staff.page.inner_text("main table")
    await staff.press("main form[action$='/approval'] button")
    assert await staff.page.locator("form[action$='/approval']").count() == 0
    await officer.page.reload()
    assert await officer.page.locator(".tag.good").count() == 1

    # The primary registers, and types the code as people type.
    primary = await visit(**how)
    await primary.register_and_sign_on(prim, "Prim", "Ary")
    code = await platform.code(prim, group["legal_name"])
    assert MAILED_CODE[language] in await platform.mail(prim, code)
    await primary.fill(code=code.lower().replace("-", " "))
    await primary.press("main form[action='/access-code'] button")
    await primary.press(f"main a[href='{home}']")
    assert await primary.title() == group["legal_name"]

    # In two steps the primary adds somebody, who gets a code of their own.
    second = address("sec")
    await primary.press(f"main a[href='{home}/users/new']")
    await primary.fill(first_name="Sec", last_name="Ondary", email=second, email_again=second)
    await primary.press()
    await primary.page.check("[name=rights][value='renewals.change']")
    await primary.press()
    added = await primary.page.inner_text("main .said.good")
    assert ADDED[language] in added
    assert second in added
    assert "Sec Ondary" in added

    secondary = await visit(**how)
    await secondary.register_and_sign_on(second, "Sec", "Ondary")
    code = await platform.code(second, group["legal_name"])
    assert MAILED_CODE[language] in await platform.mail(second, code)
    await secondary.fill(code=code)
    await secondary.press("main form[action='/access-code'] button")
    await secondary.press(f"main a[href='{home}']")
    await secondary.press(f"main a[href='{home}/renewals']")
    await secondary.go(home)
    assert await secondary.title() == group["legal_name"]
    own = await secondary.page.inner_text("main")
    assert "Prim Ary" in own, "who gave it"
    assert "California" in own

    # The primary looks at who can see the group, who could once, and what was done.
    await primary.go(f"{home}/seen-by")
    assert "Sec Ondary" in await primary.page.inner_text("main table")
    await primary.go(f"{home}/seen-by?on=2020-01-01")
    assert await primary.page.locator("main .empty").count() == 1
    await primary.go(f"{home}/history")
    assert await primary.page.locator("main tbody tr").count() >= 3

    # The primary removes them, and is told when it is true everywhere.
    await primary.go(home)
    await primary.confirm("a[href$='/removal']", "/removal")
    await primary.page.locator("#progress .said.good").wait_for()
    assert REMOVED[language] in await primary.page.inner_text("#progress")

    await platform.mail(second, MAILED_END[language])

    # What the secondary still had on their screen is gone, and cannot be had again.
    if scripts:
        await secondary.page.get_by_role("heading", name=GONE[language]).wait_for()
    answer = await secondary.page.goto(home)
    assert answer.status == 404
    assert group["legal_name"] not in await secondary.page.inner_text("main")
