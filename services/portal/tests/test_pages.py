"""Every page, as people and machines that help people see it: for a primary, staff, and whoever is not signed on."""

import re
import zlib
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import uuid4

import pyotp
import pytest
from covey_chassis.clock import Clock
from covey_portal.app import create_app

from .looks import LOOKS, RUN_AXE, TAGS, look_at, picture
from .people import GROUPS_RENEW_IN, NOWHERE, PASSWORD, Visitor, address, firm_number
from .test_guard import LEADING_BACK, LIVE, routes, settings

ANYBODY = (
    "/sign-on",
    "/register",
    "/register/verification",
    "/forgotten/user-id",
    "/forgotten/password",
    "/forgotten/password/reset",
    "/access-request",
    "/access-request/status",
    "/access-request/{reference}",
    "/access-request/{reference}?sent=yes",
    "/nothing-is-here",
)
SIGNED_ON = (
    "/",
    "/access-code",
    "/account",
    "/account/information",
    "/account/password",
    "/account/addresses/new",
    "/account/addresses/verification",
    "/account/second-factor",
    "/account/sessions",
    "/account/passkeys",
    "/groups",
    "/groups?n=2",
    "/groups/{group}",
    "/groups/{group}/renewals",
    "/groups/{group}/broker",
    "/groups/{group}/broker/{appointment}/end",
    "/groups/{group}/firm",
    "/groups/{group}/exclusions/{broker}",
    "/groups/{group}/users/new",
    "/groups/{group}/users/{user}/rights",
    "/groups/{group}/users/{user}/removal",
    "/groups/{group}/users/{user}/code",
    "/groups/{group}/seen-by",
    "/groups/{group}/seen-by?on=2020-01-01",
    "/groups/{group}/history",
    "/groups/{group}/history?n=2",
    "/groups/{group}/changes/{change}",
    "/renewals",
    "/renewals/{month}",
    "/book",
    "/book?q=nobody-is-called-so",
    "/transactions",
    "/transactions?status=open",
    "/transactions?n=2",
    "/transactions?created_from=never",
    "/transactions/searches",
    "/transactions/searches/new?status=open&created_from=2026-01-01&sort=group",
    "/transactions/searches/{search}/deletion",
    "/transactions/{transaction}",
    "/nothing-is-here",
)
BROKER = (
    "/",
    "/account",
    "/groups",
    "/groups/{group}",
    "/renewals",
    "/renewals/{month}",
    "/book",
    "/transactions",
    "/transactions/{transaction}",
)
INVITED = ("/", "/groups", "/renewals", "/transactions", "/book")
STAFF = (
    "/",
    "/groups/{group}/renewals",
    "/renewals",
    "/transactions",
    "/book",
    "/staff/access-requests",
    "/staff/access-requests?status=approved",
    "/staff/access-requests/{reference}",
    "/staff/access-requests/{reference}/decline",
    "/staff/reviews",
    "/staff/reviews/{transaction}",
    "/staff/firms",
    "/staff/firms?firm_number=nobody-has-this",
    "/staff/firms/{firm}",
    "/staff/firms/{firm}/members/{broker}/removal",
    "/staff/accounts",
    "/staff/accounts?user_id=nobody",
    "/staff/accounts?user_id={user_id}",
    "/staff/accounts/{user_id}/lock",
    "/staff/accounts/{user_id}/unlock",
    "/staff/accounts/{user_id}/second-factor",
    "/staff/audit",
    "/staff/audit?user_id=nobody",
    "/staff/audit?group={group}",
    "/groups/{group}",
)
PAGES = (
    [("nobody", each) for each in ANYBODY]
    + [("primary", each) for each in SIGNED_ON]
    + [("broker", each) for each in BROKER]
    + [("invited", each) for each in INVITED]
    + [("staff", each) for each in STAFF]
)
ON_THE_WAY = {
    "/access-code/entered/{group_id}",
    "/account/addresses",
    "/account/passkeys/{passkey_id}/removal",
    "/account/second-factor/off",
    "/account/second-factor/recovery-codes",
    "/account/sessions/{session_id}/end",
    "/sign-on/second-factor",
}
"""Pages that are looked at where one comes to them (``test_pages_on_the_way``)."""
BY_ITS_ACTS = {"/staff/accounts/{user_id}/{act}"}
"""Each of them is in ``STAFF``."""
NO_PAGES = {
    "/access-request/form.pdf",
    "/access-request/{reference}/record.pdf",
    "/static/{name}",
    "/livez",
    "/readyz",
    "/metrics",
}
OFFICER = {"officer_first_name": "Olu", "officer_last_name": "Officer", "officer_email": "olu@people.example"}
SOMEBODY = {"email": "sec@people.example", "email_again": "sec@people.example"}
SENT: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("nobody", "/sign-on", {"user_id": "d00000", "password": "not so"}),
    ("nobody", "/register", {"first_name": "Pat"}),
    ("nobody", "/forgotten/password", {}),
    (
        "nobody",
        "/access-request",
        {"group_number": "G-1", "company": "Oak", "first_name": "Prim", "last_name": "Ary", **OFFICER, **SOMEBODY},
    ),
    ("nobody", "/forgotten/user-id", {"email": "nobody@people.example"}),
    ("primary", "/account/password", {}),
    ("primary", "/account/second-factor", {"password": PASSWORD}),
    ("primary", "/access-code", {"code": "7F3K-9QWD-2MXR-01TA"}),
    ("primary", "/transactions/searches/new", {}),
    ("primary", "/groups/{group}/users/new", {"first_name": "Sec", "last_name": "Ondary", **SOMEBODY}),
    ("primary", "/groups/{group}/firm", {}),
    ("primary", "/groups/{group}/broker", {"firm_number": "{other_firm}"}),
    ("staff", "/staff/firms/{firm}", {"user_id": "{user_id}"}),
    ("staff", "/staff/access-requests/{reference}/decline", {}),
)
"""Pages that come of a form, good or bad: whose, where it is, and what is typed."""


@dataclass
class Cast:
    """Who looks at pages, and what is on them."""

    places: dict[str, str]
    accounts: dict[str, tuple[str, str]]


@pytest.fixture(scope="module")
async def cast(platform, browser) -> Cast:
    """A group with a broker, a primary, somebody invited, changes that were sent back, and a request that waits."""
    firm, other_firm = firm_number(), firm_number()
    group = await platform.group(broker=firm)
    await platform.group(broker=other_firm)
    async with platform.api("identity") as api:
        appointments = (await api.get(f"/v1/groups/{group['group_id']}/appointments")).json()["items"]
    visitor = await Visitor.open(browser, platform)
    prim = address("prim")
    references = [await visitor.ask_for_access(group, email) for email in (prim, address("next"))]
    staff = await Visitor.open(browser, platform)
    await staff.sign_on_as_staff()
    await staff.go(f"/staff/access-requests/{references[0]}")
    await staff.press("main form[action$='/approval'] button")
    user_id = await visitor.register_and_sign_on(prim, "Prim", "Ary")
    await visitor.fill(code=await platform.code(prim, group["legal_name"]))
    await visitor.press("main form[action='/access-code'] button")
    transaction_id = await platform.submitted(group, (user_id, PASSWORD))
    await platform.send_back(transaction_id, "Add the W-9, and sign " + "it " * 50)
    await visitor.go("/transactions/searches/new?status=completed&q=Wolfeschlegel")
    await visitor.fill(name="Wolfeschlegelsteinhausenbergerdorff & " + "n" * 20)
    await visitor.press()
    await visitor.go("/transactions/searches")
    deletion = await visitor.page.locator("a[href$='/deletion']").get_attribute("href")
    await visitor.add_user(group, address("gone"), "Gone", "Soon")
    await visitor.confirm("main a[href$='/removal']", "/removal")
    change = visitor.path.rpartition("/")[2]
    await visitor.go(f"/groups/{group['group_id']}/users/new")
    absurd = address("absurd")
    await visitor.fill(first_name="Wolfeschlegelsteinhausenbergerdorff" + "n" * 20, last_name="Ó Súilleabháin & Søn")
    await visitor.fill(email=absurd, email_again=absurd)
    await visitor.press()
    await visitor.page.check("[name=rights][value='billing.pay']")
    await visitor.press()
    removal = await visitor.page.locator("a[href$='/removal']").first.get_attribute("href")
    await visitor.page.context.close()
    await staff.page.context.close()
    broker = await Visitor.open(browser, platform)
    broker_id = await broker.register(address("broker"), "Bro", "Ker")
    await broker.page.context.close()
    await platform.join(firm, broker_id)
    invited = await Visitor.open(browser, platform)
    invited_id = await invited.register(absurd, "Wolfe", "Søn")
    await invited.page.context.close()
    async with platform.api("identity") as api:
        (joined,) = (await api.get("/v1/accounts", params={"user_id": broker_id})).json()
    account = platform.run["accounts"]["staff"]
    return Cast(
        {
            "group": group["group_id"],
            "appointment": appointments[0]["id"],
            "firm": appointments[0]["firm_id"],
            "user": removal.split("/")[-2],
            "reference": references[1],
            "change": change,
            "search": deletion.split("/")[-2],
            "transaction": transaction_id,
            "month": f"{Clock.now().date() + GROUPS_RENEW_IN:%Y-%m}",
            "other_firm": other_firm,
            "broker": joined["account_id"],
            "user_id": user_id,
        },
        {
            "primary": (user_id, PASSWORD),
            "broker": (broker_id, PASSWORD),
            "invited": (invited_id, PASSWORD),
            "staff": (account["user_id"], account["password"]),
        },
    )


def test_every_page_is_looked_at():
    def shape(path: str) -> str:
        return re.sub(r"\{[^}]*\}", "*", path.partition("?")[0])

    served = {path for _, path in routes(create_app(settings()), changing=False)}
    elsewhere = ON_THE_WAY | BY_ITS_ACTS | NO_PAGES | LEADING_BACK | LIVE
    looked_at = {shape(path) for _, path in PAGES}

    assert {path for path in served if shape(path) not in looked_at} == elsewhere


def test_each_page_is_kept_as_a_picture_of_its_own():
    ids = ("group", "appointment", "firm", "user", "change", "transaction", "search", "broker")
    places = dict.fromkeys(ids, str(uuid4()))
    places |= {"reference": "0123456789ABCDEF", "month": "2027-02", "user_id": "d45634"}
    names = [picture(f"{who}{path.format(**places)}") for who, path in PAGES]
    names += [picture(f"{who}{path.format(**places)} sent") for who, path, _ in SENT]

    assert sorted(names) == sorted({*names})


@pytest.mark.timeout(400)
@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("who", ["nobody", "primary", "broker", "invited", "staff"])
async def test_pages_are_sound(platform, visit, cast, who, look):
    """No barrier that a machine can find (WCAG 2.2 AA), nothing wider than the screen, one heading, a title of its own."""
    visitor = await visit(**LOOKS[look])
    if who in cast.accounts:
        await visitor.sign_on(*cast.accounts[who])
        if look == "spanish":  # whoever signs on has their account's language at first
            await visitor.press("footer [name=language][value=es]")
    titles: dict[str, str] = {}
    found: list[str] = []
    for path in (path.format(**cast.places) for owner, path in PAGES if owner == who):
        await visitor.go(path)
        found += await look_at(visitor, f"{who}{path}", look)
        assert await visitor.page.evaluate("document.documentElement.lang") == ("es" if look == "spanish" else "en")
        title = await visitor.page.title()
        if path.partition("?")[0] == path:
            assert titles.setdefault(title, path) == path, f"{path} has the title of {titles[title]}"
    for path, typed in ((path.format(**cast.places), typed) for owner, path, typed in SENT if owner == who):
        await visitor.go(path)
        await visitor.fill(**{name: value.format(**cast.places) for name, value in typed.items()})
        await visitor.press()
        found += await look_at(visitor, f"{who}{path} sent", look)
    assert found == []


@pytest.mark.timeout(200)
async def test_a_form_with_mistakes_says_so_first_and_leads_to_them(visit):
    visitor = await visit()
    await visitor.go("/register")
    await visitor.fill(first_name="Pat", email="not an address")
    await visitor.press()

    page = visitor.page
    assert (await page.title()).startswith("Error: ")
    assert await page.evaluate("document.activeElement.id") == "problem"
    links = await page.locator("#problem a").all()
    for link in links:
        name = (await link.get_attribute("href")).removeprefix("#")
        beside = await page.inner_text(f"#{name}-complaint")
        assert (await link.inner_text()) in beside
    await links[0].click()
    assert await page.evaluate("document.activeElement.id") == "last_name"
    assert await page.input_value("#first_name") == "Pat"


QUESTIONS = {
    "a user": (
        "primary",
        "/groups/{group}",
        "$='/removal'",
        "Wolfeschlegel",
        "no longer see or do anything in this group",
    ),
    "a code": ("primary", "/groups/{group}", "$='/code'", "Wolfeschlegel", "does not work any more"),
    "a person of the firm": (
        "primary",
        "/groups/{group}",
        "*='/exclusions/'",
        "Bro Ker",
        "no longer see or do anything",
    ),
    "a broker": ("primary", "/groups/{group}/broker", "$='/end'", "Wren", "lose at once whatever they see"),
    "a search": (
        "primary",
        "/transactions/searches",
        "$='/deletion'",
        "Delete the search Wolfeschlegel",
        "transactions that it finds stay",
    ),
    "a session": ("primary", "/account/sessions", "$='/end'", "End the session of", "is signed off at once"),
    "a request": ("staff", "/staff/access-requests/{reference}", "$='/decline'", "Oak", "nobody gets access by it"),
    "an account": (
        "staff",
        "/staff/accounts?user_id={user_id}",
        "$='/lock'",
        "Prim Ary",
        "nobody signs on with it until",
    ),
    "a firm's person": ("staff", "/staff/firms/{firm}", "$='/removal'", "Bro Ker", "lose at once whatever they see"),
}
"""Whose, where the link is, and which; what the question names, and which consequence."""


@pytest.mark.timeout(200)
@pytest.mark.parametrize(("who", "path", "link", "name", "consequence"), QUESTIONS.values(), ids=QUESTIONS)
async def test_a_dialog_says_what_follows_and_escape_leaves_all_as_it_was(
    visit, cast, who, path, link, name, consequence
):
    visitor = await visit()
    await visitor.sign_on(*cast.accounts[who])
    await visitor.go(path.format(**cast.places))
    if path == "/account/sessions":  # another one, to be ended
        await (await visit()).sign_on(*cast.accounts[who])
        await visitor.page.reload()
    asks = visitor.page.locator(f"main a[href{link}]").first
    await asks.focus()
    await visitor.page.keyboard.press("Enter")
    dialog = visitor.page.locator("dialog[open]")
    await dialog.wait_for()
    here = await visitor.page.evaluate("document.activeElement.matches('dialog input, dialog [data-close]')")
    assert here, "Enter alone does nothing that cannot be undone"

    said = await dialog.inner_text()
    assert name in said
    assert consequence in said
    assert (await visitor.page.evaluate(RUN_AXE, TAGS))["violations"] == []
    await visitor.page.keyboard.press("Escape")
    await dialog.wait_for(state="hidden")
    assert await asks.evaluate("each => each === document.activeElement")
    await visitor.page.reload()
    assert await visitor.page.locator(f"main a[href{link}]").first.is_visible()


@pytest.mark.timeout(200)
@pytest.mark.parametrize("scripts", [True, False])
async def test_a_request_is_declined_with_a_reason_once_one_was_asked(platform, visit, cast, scripts):
    group = await platform.group()
    officer, staff = await visit(scripts=scripts), await visit(scripts=scripts)
    reference = await officer.ask_for_access(group, address("prim"))
    await staff.sign_on_as_staff()
    page = f"/staff/access-requests/{reference}"
    await staff.go(page)

    await staff.confirm("main a[href$='/decline']", "/decline")
    assert staff.path == f"{page}/decline", "a reason is missing"
    assert (await staff.page.title()).startswith("Error: ")
    await staff.fill(reason='Not an officer: <b>"Olu"</b>.')
    await staff.press()

    assert staff.path == page
    assert 'Not an officer: <b>"Olu"</b>.' in await staff.page.inner_text("main")
    await officer.page.reload()
    assert 'Not an officer: <b>"Olu"</b>.' in await officer.page.inner_text("main")


@pytest.mark.timeout(200)
@pytest.mark.parametrize("scripts", [True, False])
async def test_who_is_added_is_checked_and_changed_and_what_was_chosen_stays(platform, visit, cast, scripts):
    visitor = await visit(scripts=scripts)
    await visitor.sign_on(*cast.accounts["primary"])
    await visitor.go(f"/groups/{cast.places['group']}/users/new")
    email = address("sec")
    await visitor.fill(first_name="Sek", last_name="Ondary", email=email, email_again="another@people.example")
    await visitor.press()
    assert await visitor.page.locator("#email_again-complaint").count() == 1
    assert await visitor.page.input_value("#email") == email
    await visitor.fill(email_again=email)
    await visitor.press()
    assert await visitor.page.inner_text("main button.button:not(.text)") == "Add the user and send the code"
    await visitor.page.check("[name=rights][value='billing.view']")
    await visitor.page.check("#some-units")
    await visitor.page.check("[name=units][value='002']")

    await visitor.press("main button[formaction$='#first_name']")
    assert visitor.page.url.endswith("#first_name")
    await visitor.fill(first_name="Sec")
    await visitor.press()
    assert "Sec" in await visitor.title()
    assert await visitor.page.is_checked("[name=rights][value='billing.view']")
    assert await visitor.page.is_checked("[name=units][value='002']")
    await visitor.page.locator("[name=rights][value='billing.view']").focus()
    async with visitor.page.expect_navigation():
        await visitor.page.keyboard.press("Enter")  # does what the form is for, not what its first button changes

    assert visitor.path == f"/groups/{cast.places['group']}"
    assert "Sec Ondary" in await visitor.page.inner_text("main")
    await platform.code(email, "Oak")


@pytest.mark.timeout(200)
async def test_whoever_cancels_in_the_second_step_has_added_nobody(visit, cast):
    visitor = await visit()
    await visitor.sign_on(*cast.accounts["primary"])
    await visitor.go(f"/groups/{cast.places['group']}/users/new")
    email = address("never")
    await visitor.fill(first_name="Nev", last_name="Er", email=email, email_again=email)
    await visitor.press()

    await visitor.press("main a:has-text('Cancel')")

    assert visitor.path == f"/groups/{cast.places['group']}"
    assert "Nev Er" not in await visitor.page.inner_text("main")


@pytest.mark.timeout(200)
async def test_the_session_is_of_one_cookie_that_no_script_sees(visit, cast):
    visitor = await visit()
    await visitor.sign_on(*cast.accounts["primary"])

    cookies = {each["name"]: each for each in await visitor.page.context.cookies()}
    session = cookies["__Host-covey"]
    assert (session["httpOnly"], session["secure"], session["sameSite"], session["path"]) == (True, True, "Lax", "/")
    assert len(session["value"]) >= 43  # 256 bits in base64
    assert "__Host-covey" not in await visitor.page.evaluate("document.cookie")

    kept = session["value"]
    await visitor.page.context.clear_cookies()
    await visitor.sign_on(*cast.accounts["primary"])
    assert await visitor.session_token() != kept, "whoever signs on gets another one"
    await visitor.page.context.add_cookies([session])
    await visitor.go("/account")
    assert visitor.path == "/account"
    await visitor.press("form[action='/sign-off'] button")
    await visitor.page.context.add_cookies([{**session, "value": kept}])
    await visitor.go("/account")
    assert visitor.path == "/sign-on"


@pytest.mark.timeout(200)
async def test_signing_off_ends_the_session_for_whoever_has_a_copy(platform, another_portal, visit, cast):
    visitor = await visit()
    await visitor.sign_on(*cast.accounts["primary"])
    copy = await visitor.page.context.cookies()
    async with another_portal(identity_url=NOWHERE) as broken:
        alone = await visit(at=broken)
        await alone.page.context.add_cookies(copy)
        await alone.go("/forgotten/password")
        await alone.page.evaluate(SIGN_OFF)
        await alone.page.get_by_text("the session itself could not be ended").wait_for()
        assert "__Host-covey" not in {each["name"] for each in await alone.page.context.cookies()}
        await alone.leave()
    await visitor.go("/account")
    assert visitor.path == "/account", "as it was said"

    await visitor.press("form[action='/sign-off'] button")

    assert "You are signed off." in await visitor.page.inner_text("main")
    await visitor.page.context.add_cookies(copy)
    await visitor.go("/account")
    assert visitor.path == "/sign-on"


SIGN_OFF = """() => {
  const form = Object.assign(document.createElement("form"), {method: "post", action: "/sign-off"});
  document.body.append(form);
  form.submit();
}"""
"""What the button does, on a page that knows of nobody's session."""


@pytest.mark.timeout(200)
async def test_who_is_signed_on_stays_so_where_there_is_no_page(visit, cast):
    visitor = await visit()
    await visitor.sign_on(*cast.accounts["primary"])
    answer = await visitor.page.goto("/nothing-is-here")

    assert answer.status == 404
    assert await visitor.page.locator("header form[action='/sign-off']").count() == 1
    assert await visitor.page.locator("header a[href='/sign-on']").count() == 0


@pytest.mark.timeout(200)
async def test_one_is_asked_before_the_session_ends_and_stays_by_one_key(visit, cast):
    visitor = await visit()
    await visitor.sign_on(*cast.accounts["primary"])
    await visitor.page.route("**/account/information", partial(shortened, name="data-idle-s"))
    await visitor.go("/account/information")
    await visitor.fill(company="Reed & Rush")

    warning = visitor.page.locator("#session-warning[open]")
    assert await warning.count() == 0, "more than two minutes are left"
    await warning.wait_for()
    await visitor.page.keyboard.press("Enter")
    await visitor.page.locator("#session-warning").wait_for(state="hidden")
    assert visitor.path == "/account/information"
    assert await visitor.page.input_value("#company") == "Reed & Rush"


@pytest.mark.timeout(200)
async def test_one_is_told_when_the_session_has_lasted_as_long_as_it_can(visit, cast):
    visitor = await visit()
    await visitor.sign_on(*cast.accounts["primary"])
    await visitor.page.route("**/account", partial(shortened, name="data-at-most-s"))
    await visitor.go("/account")

    await visitor.page.locator("#session-warning[open] [data-last]").wait_for()
    assert not await visitor.page.locator("#session-warning [data-idle]").is_visible(), "nothing makes it longer"
    await visitor.page.click("#session-warning button:has-text('Close')")
    await visitor.page.locator("#session-warning").wait_for(state="hidden")
    assert visitor.path == "/account", "to save what one was at"


@pytest.mark.timeout(200)
async def test_what_was_typed_stays_while_the_session_cannot_be_made_longer(visit, cast):
    visitor = await visit()
    await visitor.sign_on(*cast.accounts["primary"])
    page, asked = visitor.page, 0

    async def troubled(route: Any) -> None:
        nonlocal asked
        asked += 1
        if asked == 1:
            await route.abort()
        elif asked == 2:
            await route.fulfill(status=503, content_type="text/html", body="<h1>Not now</h1>")
        else:
            await route.continue_()

    await page.route("**/account/information", partial(shortened, name="data-idle-s"))
    await page.route("**/session/extension", troubled)
    await visitor.go("/account/information")
    await visitor.fill(company="Reed & Rush")
    stay = page.locator("#session-warning[open] button:has-text('Stay signed on')")
    problem = page.locator("#session-warning [data-problem]:has-text('did not work right now')")

    for times in (1, 2):
        await stay.click()
        await problem.wait_for()
        assert asked == times
    await stay.click()
    await page.locator("#session-warning").wait_for(state="hidden")

    assert asked == 3
    assert visitor.path == "/account/information"
    assert await page.input_value("#company") == "Reed & Rush"
    visitor.noticed[:] = [each for each in visitor.noticed if "net::ERR" not in each and "status of 503" not in each]


async def shortened(route: Any, *, name: str) -> None:
    """The page as it comes when two minutes and some seconds of the session are left."""
    answer = await route.fetch()
    left = re.sub(rf'{name}="\d+"', f'{name}="126"', await answer.text(), count=1)
    await route.fulfill(response=answer, body=left)


@pytest.mark.timeout(200)
async def test_a_passkey_is_added_signs_on_and_is_removed(platform, visit):
    visitor = await visit()
    email = address("key")
    await visitor.register_and_sign_on(email, "Kay", "Keyholder")
    await visitor.get_authenticator()
    await visitor.go("/account/passkeys")
    await visitor.fill(name="Work laptop", password="not this one")
    await visitor.page.click("form[data-create] button")
    await visitor.page.get_by_text("The password is not right.").wait_for()

    await visitor.fill(name=" ", password=PASSWORD)
    async with visitor.page.expect_response("**/account/passkeys/options") as asked:
        await visitor.page.click("form[data-create] button")
    assert (await asked.value).status == 422, "the authenticator is not asked to make a key yet"
    await visitor.page.get_by_text("Enter a name for it").wait_for()

    await visitor.fill(name="Work laptop", password=PASSWORD)
    await visitor.press("form[data-create] button")
    assert "Work laptop" in await visitor.page.inner_text("main table")

    await visitor.press("form[action='/sign-off'] button")
    await visitor.press("form[data-passkey] button")
    assert "Kay" in await visitor.title()

    await visitor.go("/account/passkeys")
    await visitor.page.click("main a[href$='/removal']")
    await visitor.page.get_by_role("dialog").get_by_label("Your password").fill(PASSWORD)
    await visitor.press("dialog[open] button.button")
    assert await visitor.page.locator("main table").count() == 0
    await platform.mail(email, "passkey")


@pytest.mark.timeout(200)
async def test_a_second_factor_is_set_up_and_asked_for(visit):
    visitor = await visit(scripts=False)
    user_id = await visitor.register_and_sign_on(address("two"), "Tee", "Otp")
    await visitor.go("/account/second-factor")
    await visitor.fill(password=PASSWORD)
    await visitor.press()
    secret = await visitor.page.inner_text("main .secret")
    await visitor.fill(code=pyotp.TOTP(secret).now())
    await visitor.press("main form[action$='/on'] button")
    recovery = await visitor.page.locator("main .codes li").all_inner_texts()
    assert len(recovery) == 10

    await visitor.press("form[action='/sign-off'] button")
    await visitor.sign_on(user_id, PASSWORD)
    await visitor.fill(code="000000")
    await visitor.press()
    assert await visitor.page.locator("#problem").count() == 1
    assert await visitor.page.input_value("#code") == ""
    held = {each["value"] for each in await visitor.page.context.cookies()}
    await visitor.fill(code=recovery[0])
    await visitor.press()
    assert "Tee" in await visitor.title()
    assert await visitor.session_token() not in held, "the session begins with the second step"

    await visitor.go("/account/second-factor")
    await visitor.press("main a[href$='/recovery-codes']")
    await visitor.fill(password=PASSWORD, code=recovery[1])
    await visitor.press()
    others = await visitor.page.locator("main .codes li").all_inner_texts()
    assert len({*others} - {*recovery}) == 10
    await visitor.go("/account/second-factor")
    await visitor.press("main a[href$='/off']")
    for code, complaints in ((recovery[2], 1), (others[0], 0)):
        await visitor.fill(password=PASSWORD, code=code)
        await visitor.press()
        assert await visitor.page.locator("#problem").count() == complaints
    assert visitor.path == "/account"
    await visitor.press("form[action='/sign-off'] button")
    await visitor.sign_on(user_id, PASSWORD)
    assert "Tee" in await visitor.title(), "by the password alone"


@pytest.mark.timeout(200)
@pytest.mark.parametrize("scripts", [True, False])
async def test_whoever_shows_their_password_has_another_cookie_and_the_former_is_nobodys(visit, scripts):
    visitor, thief = await visit(scripts=scripts), await visit()
    user_id = await visitor.register_and_sign_on(address("own"), "Own", "Er")
    former = await visitor.session_token()
    await visitor.go("/account/password")
    await visitor.fill(password="not so", new_password="ten odd newts")
    await visitor.press()
    assert await visitor.session_token() == former, "nothing was shown"

    await visitor.fill(password=PASSWORD, new_password="ten odd newts")
    await visitor.press()

    assert visitor.path == "/account"
    assert user_id in await visitor.page.inner_text("main")
    renewed = await visitor.session_token()
    for token, path in ((former, "/sign-on"), (renewed, "/account")):
        cookies = await visitor.page.context.cookies()
        stolen = next(each for each in cookies if each["name"] == "__Host-covey") | {"value": token}
        await thief.page.context.add_cookies([stolen])
        await thief.go("/account")
        assert thief.path == path


@pytest.mark.timeout(200)
async def test_the_printed_form_has_the_same_fields(platform, visit):
    visitor = await visit()
    answer = await visitor.page.request.get("/access-request/form.pdf")

    assert answer.headers["content-type"] == "application/pdf"
    document = await answer.body()
    assert document.startswith(b"%PDF-")
    held = document + _unpacked(document)
    assert b"pdfuaid" in held
    await visitor.go("/access-request")
    online = await visitor.page.locator("main input:not([type=hidden])").evaluate_all("all => all.map(e => e.name)")
    printed = [name for name in online if name != "email_again"]
    assert len(printed) == 8
    assert [name for name in printed if f"({name})".encode() not in held] == []


@pytest.mark.timeout(200)
@pytest.mark.parametrize("scripts", [True, False])
async def test_a_session_elsewhere_is_ended_once_one_was_asked(visit, cast, scripts):
    elsewhere, here = await visit(), await visit(scripts=scripts)
    await elsewhere.sign_on(*cast.accounts["primary"])
    await elsewhere.go("/account")  # which follows nothing: a page that does leaves by itself once the session is over
    await here.sign_on(*cast.accounts["primary"])
    await here.go("/account/sessions")
    others = await here.page.locator("main a[href$='/end']").count()

    await here.confirm("main a[href$='/end']", "/end")

    assert here.path == "/account"
    await here.go("/account/sessions")
    assert await here.page.locator("main a[href$='/end']").count() == others - 1
    await elsewhere.go("/account")
    assert elsewhere.path == "/sign-on"


@pytest.mark.timeout(200)
@pytest.mark.parametrize("scripts", [True, False])
async def test_what_was_typed_is_checked_changed_sent_and_kept(platform, visit, scripts):
    group = await platform.group()
    visitor = await visit(scripts=scripts)
    await visitor.go("/access-request")
    email = address("prim")
    await visitor.fill(group_number=group["group_number"], company="Not so", officer_first_name="Olu")
    await visitor.fill(officer_last_name="Officer", officer_email=address("olu"))
    await visitor.fill(first_name="Prim", last_name="Ary", email=email, email_again=email)
    await visitor.press()

    assert "Not so" in await visitor.page.inner_text("main")
    await visitor.press("main button[formaction$='#company']")
    assert visitor.page.url.endswith("#company")
    assert await visitor.page.input_value("#last_name") == "Ary"
    await visitor.fill(company=group["legal_name"])
    await visitor.press()
    assert "Not so" not in await visitor.page.inner_text("main")
    sends = "main form[action='/access-request'] button.button:not(.plain)"
    assert await visitor.page.inner_text(sends) == "Send the request"
    await visitor.press(sends)

    reference = visitor.path.rpartition("/")[2]
    said = await visitor.page.inner_text("main")
    assert f"{reference[:4]}-{reference[4:8]}" in said
    assert "within two business days" in said
    assert email not in said, "whoever has the number sees how it stands, and nobody's address"
    assert "Ary" not in said
    answer = await visitor.page.request.get(f"/access-request/{reference}/record.pdf")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/pdf")
    document = await answer.body()
    assert b"pdfuaid" in document + _unpacked(document)
    assert reference in answer.headers["content-disposition"]
    gone = await visitor.page.request.get(f"/access-request/{'0' * 16}/record.pdf")
    assert gone.status == 404


STREAM = re.compile(rb"stream\r?\n")


def _unpacked(document: bytes) -> bytes:
    """What a document's compressed streams hold. Each says itself where it ends: its last byte may look like a line end."""
    held = b""
    for start in STREAM.finditer(document):
        with suppress(zlib.error):
            held += zlib.decompressobj().decompress(document[start.end() :])
    return held
