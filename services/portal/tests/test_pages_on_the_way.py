"""Pages that only come of what one does, as people and machines that help people see them."""

import pyotp
import pytest
from playwright.async_api import Route

from .looks import judge
from .people import NOWHERE, PASSWORD, Visitor, address
from .test_keyboard import standing_still

pytestmark = [pytest.mark.timeout(400), pytest.mark.parametrize("language", ["en-US", "es-US"])]


async def test_pages_on_the_way_to_an_account_are_sound(platform, visit, language):
    visitor, email = await visit(language=language), address("way")
    await visitor.go("/register")
    await visitor.fill(first_name="Way", last_name="Farer", company="Oak Street Bakery", email=email)
    await visitor.page.check("#terms_accepted")
    await visitor.press()
    await judge(visitor, "registered, look for the email", f"main :text('{email}')")
    await visitor.page.goto(await platform.link(email, "/register/verification"))
    await judge(visitor, "registered, choose a password", "main [name=password]")
    await visitor.fill(password=PASSWORD)
    await visitor.press()
    await judge(visitor, "registered, the user ID", "main .secret")

    await visitor.go("/forgotten/password")
    await visitor.fill(email=email)
    await visitor.press()
    await visitor.page.goto(await platform.link(email, "/forgotten/password/reset"))
    await judge(visitor, "forgotten, choose a password", "main [name=password]")
    await visitor.fill(password=PASSWORD + "s")
    await visitor.press()
    await judge(visitor, "forgotten, another password", "main .secret")


async def test_pages_of_ones_own_account_are_sound_once_there_is_something_on_them(visit, language):
    visitor = await visit(language=language)
    user_id = await visitor.register_and_sign_on(address("own"), "Owen", "Account")
    await _has_another_address(visitor, address("other"))
    for act in ("main", "removal"):
        await visitor.go("/account")
        await _follow(visitor, f"act={act}")
        await judge(visitor, f"account, address, {act}", f"main form:has([name=act][value={act}]) [name=password]")

    await (await visit()).sign_on(user_id, PASSWORD)
    await visitor.go("/account/sessions")
    await judge(visitor, "account, two sessions", "main tbody tr + tr")
    await _follow(visitor, "/end")
    await judge(visitor, "account, the end of a session", "main form[action$='/end']")

    await visitor.get_authenticator()
    await visitor.go("/account/passkeys")
    await visitor.fill(name="Work laptop " + "of the bakery " * 3, password=PASSWORD)
    await visitor.press("form[data-create] button")
    await judge(visitor, "account, a passkey", "main tbody tr")
    await _follow(visitor, "/removal")
    await judge(visitor, "account, the removal of a passkey", "main form[action$='/removal']")

    await visitor.go("/account/second-factor")
    await visitor.fill(password=PASSWORD)
    await visitor.press()
    await visitor.fill(code=pyotp.TOTP(await visitor.page.inner_text("main .secret")).now())
    await visitor.press("main form[action$='/on'] button")
    await judge(visitor, "account, recovery codes", "main .codes li")
    await visitor.go("/account/second-factor")
    await judge(visitor, "account, a second factor", "main a[href$='/off']")
    for end in ("/off", "/recovery-codes"):
        await _follow(visitor, f"second-factor{end}")
        await judge(visitor, f"account, a second factor, {end}", f"main form[action$='{end}']")
        await visitor.press()
        await judge(visitor, f"account, a second factor, {end}, sent", "#problem")
        await visitor.go("/account/second-factor")
    await visitor.press("form[action='/sign-off'] button")
    await visitor.sign_on(user_id, PASSWORD)
    await judge(visitor, "sign-on, the second step", "main form[action='/sign-on/second-factor'] [name=code]")


async def _follow(visitor: Visitor, link: str) -> None:
    """To the page that the link with this in it leads to, where a script would open a dialog."""
    await visitor.go(await visitor.page.locator(f"main a[href*='{link}']").first.get_attribute("href"))


async def _has_another_address(visitor: Visitor, email: str) -> None:
    await visitor.go("/account/addresses/new")
    await visitor.fill(email=email, password=PASSWORD)
    await visitor.press()
    await judge(visitor, "account, look for the email", f"main :text('{email}')")
    await visitor.page.goto(await visitor.platform.link(email, "/account/addresses/verification"))
    await judge(visitor, "account, an address", "main form [name=token]")
    await visitor.press()


async def test_what_a_code_brings_and_what_one_is_refused_or_cannot_have_now_are_sound(
    platform, another_portal, visit, language
):
    group, visitor = await platform.group(), await visit(language=language)
    await visitor.become_primary(group, address("prim"))
    await judge(visitor, "a code was entered", f"main a[href$='/groups/{group['group_id']}']")

    answer = await visitor.page.goto("/staff/audit")
    assert answer.status == 403
    await judge(visitor, "refused", "main h1")
    cookies = await visitor.page.context.cookies()
    async with another_portal(renewals_url=NOWHERE) as broken:
        kept_waiting = await visit(at=broken, language=language)
        await kept_waiting.page.context.add_cookies(cookies)
        answer = await kept_waiting.page.goto("/book")
        assert answer.status == 503
        await judge(kept_waiting, "not now", "main h1")
        await kept_waiting.leave()


async def test_a_change_that_is_on_its_way_is_sound(platform, visit, language):
    group, visitor = await platform.group(), await visit(language=language)
    await visitor.become_primary(group, address("prim"))
    await visitor.add_user(group, address("sec"), "Sec", "Ond")
    await visitor.go(f"/groups/{group['group_id']}")
    with standing_still(platform.run["pids"]["renewals"]):
        await visitor.page.route("**/changes/*", _not_yet)
        await visitor.confirm("main a[href$='/removal']", "/removal")
    await judge(visitor, "a change on its way", "main #progress .progress")


async def _not_yet(route: Route) -> None:
    """Whatever the page itself asks: it is as it was."""
    if "hx-request" in route.request.headers:
        await route.fulfill(status=204)
    else:
        await route.continue_()
