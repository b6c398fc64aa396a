"""What every answer has, and who may post: no service is asked before that is settled."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest
from covey_portal.app import create_app
from covey_portal.guard import HEADERS
from covey_portal.settings import PortalSettings
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import ValidationError

from .people import NOWHERE

ORIGIN = "https://portal.carrier.example"
OURS = {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"}


def settings(**different: str) -> PortalSettings:
    services = dict.fromkeys(("identity_url", "membership_url", "transactions_url", "renewals_url"), NOWHERE)
    return PortalSettings(**{"portal_url": ORIGIN, **services, **different})


@pytest.fixture(scope="module")
def app():
    return create_app(settings())


@pytest.fixture
async def browser(app) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
        yield client


def routes(app, *, changing: bool) -> list[tuple[str, str]]:
    found = [each.original_route for each in iter_route_contexts(app.routes)]
    return sorted(
        (method, route.path)
        for route in found
        if isinstance(route, APIRoute)
        for method in route.methods
        if (method not in ("GET", "HEAD")) == changing
    )


POSTED = {path for _, path in routes(create_app(settings()), changing=True)}


@pytest.mark.parametrize("path", sorted(POSTED))
@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Sec-Fetch-Site": "cross-site", "Origin": ORIGIN}, id="from-another-site"),
        pytest.param({"Sec-Fetch-Site": "same-site", "Origin": ORIGIN}, id="from-a-neighbour"),
        pytest.param({"Sec-Fetch-Site": "none"}, id="typed"),
        pytest.param({"Origin": "https://evil.example"}, id="foreign-origin"),
        pytest.param({"Origin": "null", "Sec-Fetch-Site": "same-origin"}, id="null-origin"),
        pytest.param({"Origin": ORIGIN.replace("https", "http")}, id="without-tls"),
        pytest.param({}, id="says-nothing"),
    ],
)
async def test_what_does_not_come_from_our_own_pages_changes_nothing(browser, path, headers):
    answer = await browser.post(path.replace("{", "").replace("}", ""), headers=headers)

    assert answer.status_code == 403
    assert "<h1>You cannot do this here</h1>" in answer.text


@pytest.mark.parametrize(
    "headers", [OURS, {"Origin": ORIGIN}, {"Sec-Fetch-Site": "same-origin"}], ids=["both", "origin", "site"]
)
async def test_what_comes_from_our_own_pages_gets_in(browser, headers):
    answer = await browser.post("/language", data={"language": "es", "back": "/sign-on"}, headers=headers)

    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-on")


async def test_nothing_is_changed_by_other_methods_than_post(app):
    assert {method for method, _ in routes(app, changing=True)} == {"POST"}


@pytest.mark.parametrize("path", ["/sign-on", "/nothing-here", "/register", "/", "/livez"])
async def test_every_answer_keeps_other_sites_out(browser, path):
    answer = await browser.get(path)

    for name, value in HEADERS.items():
        assert answer.headers[name] == value


def test_what_keeps_other_sites_out_is_all_of_it():
    policy = {each.partition(" ")[0]: each.partition(" ")[2] for each in HEADERS["Content-Security-Policy"].split("; ")}
    for nothing in ("default-src", "base-uri", "frame-ancestors", "object-src"):
        assert policy[nothing] == "'none'"
    assert policy["script-src"] == policy["form-action"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in HEADERS["Content-Security-Policy"]
    assert int(HEADERS["Strict-Transport-Security"].partition(";")[0].removeprefix("max-age=")) >= 31_536_000
    wanted = {
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-store",
    }
    assert wanted.items() <= HEADERS.items()


async def test_signing_off_clears_what_the_browser_keeps_and_says_so_where_the_session_goes_on(browser):
    """Whoever leaves a computer to others must be able to, though identity cannot be reached."""
    answer = await browser.post("/sign-off", headers=OURS | {"Cookie": f"__Host-covey={'a' * 43}"})

    page = await browser.get(answer.headers["Location"])
    assert "the session itself could not be ended" in page.text
    assert "You are signed off." not in page.text
    assert {'"cache"', '"storage"'} <= {each.strip() for each in answer.headers["Clear-Site-Data"].split(",")}
    assert "__Host-covey=" in answer.headers["Set-Cookie"]


async def test_files_may_be_kept_and_pages_may_not(browser):
    page = await browser.get("/sign-on")
    other = await browser.get("/static/covey.css?v=of-another-release")
    assert other.headers["Cache-Control"] == "no-cache"
    address = page.text.split('rel="stylesheet" href="')[1].split('"')[0]
    style = await browser.get(address)

    assert "immutable" in style.headers["Cache-Control"]
    assert page.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("name", ["../settings.py", "vendored.sha256", "htmx.LICENSE", "nothing.css"])
async def test_only_the_portals_own_files_are_given(browser, name):
    assert (await browser.get(f"/static/{name}")).status_code == 404


async def test_with_the_services_away_a_page_says_so_and_nothing_of_them(browser):
    answer = await browser.post("/sign-on", data={"user_id": "d45634", "password": "secret"}, headers=OURS)

    assert answer.status_code == 503
    assert "We cannot do this right now" in answer.text
    assert NOWHERE not in answer.text


async def test_whoever_is_not_signed_on_is_sent_to_sign_on_and_back(browser):
    answer = await browser.get("/transactions?status=open&q=a b")

    assert answer.status_code == 303
    assert answer.headers["location"] == "/sign-on?next=/transactions%3Fstatus%3Dopen%26q%3Da%2520b"


@pytest.mark.parametrize("elsewhere", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:1", ""])
async def test_nobody_is_sent_to_another_site(browser, elsewhere):
    answer = await browser.post("/language", data={"language": "en", "back": elsewhere}, headers=OURS)

    assert answer.headers["location"] == "/"


async def test_cookies_of_preferences_are_for_this_host_and_no_script(browser):
    answer = await browser.post("/theme", data={"theme": "dark", "back": "/sign-on"}, headers=OURS)

    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("theme=dark;")
    assert all(part in cookie for part in ("HttpOnly", "Secure", "SameSite=lax", "Path=/"))
    assert (
        '<html lang="en" data-theme="dark">' in (await browser.get("/sign-on", headers={"Cookie": "theme=dark"})).text
    )


async def test_what_is_typed_is_never_markup(browser):
    answer = await browser.post("/register", data={"first_name": '"><script>alert(1)</script>'}, headers=OURS)

    assert answer.status_code == 422
    assert "<script>alert" not in answer.text
    assert "&#34;&gt;&lt;script&gt;" in answer.text


async def test_a_password_is_never_given_back(browser):
    answer = await browser.post("/sign-on", data={"user_id": "", "password": "quillfern-9"}, headers=OURS)

    assert answer.status_code == 422
    assert "quillfern-9" not in answer.text


FOR_ANYBODY = {
    "/sign-on",
    "/register",
    "/register/verification",
    "/forgotten/user-id",
    "/forgotten/password",
    "/forgotten/password/reset",
    "/access-request",
    "/access-request/form.pdf",
    "/access-request/status",
    "/access-request/{reference}",
    "/access-request/{reference}/record.pdf",
    "/static/{name}",
    "/livez",
    "/readyz",
    "/metrics",
}
"""Written by hand: whatever is not here is for whoever is signed on."""
LEADING_BACK = {
    "/access-request/check",
    "/sign-on/second-factor",
    "/account/second-factor/on",
    "/groups/{group_id}/users",
    "/groups/{group_id}/broker/firm",
    "/staff/firms/{firm_id}/members/check",
}
"""Where forms are sent to: whoever comes back there is led to where one begins, which has a guard of its own."""
LIVE = {"/groups/{group_id}/live", "/transactions/live"}


@pytest.mark.parametrize("path", sorted(path for _, path in routes(create_app(settings()), changing=False)))
async def test_a_page_is_for_whoever_is_signed_on_unless_it_is_listed_here(browser, path):
    if path in FOR_ANYBODY:
        return
    some_id = "01a21ac2-408e-7143-8f00-d3dca21baa7c"
    answer = await browser.get(re.sub(r"\{[^}]*\}", some_id, path))

    if path in LIVE:
        assert "event: signed-off" in answer.text
        return
    assert answer.status_code == 303
    if path not in LEADING_BACK:
        assert answer.headers["location"].startswith("/sign-on")


# --- settings ---


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("portal_url", "http://portal.carrier.example"),
        ("portal_url", "https://portal.carrier.example/somewhere"),
        ("portal_url", "portal.carrier.example"),
        ("accent", "teal"),
        ("accent", "#d0e0e0"),
        ("accent_dark", "#101010"),
        ("brand", ""),
    ],
)
def test_settings_that_could_not_work_are_refused(name, value):
    with pytest.raises(ValidationError):
        settings(**{name: value})


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://localhost:20110", "http://localhost:20110"),
        ("http://127.0.0.1:1", "http://127.0.0.1:1"),
        ("https://a.example/", "https://a.example"),
        ("https://Portal.Example:443", "https://portal.example"),
        ("https://a.example:8443", "https://a.example:8443"),
    ],
)
def test_an_origin_is_as_browsers_write_it(url, origin):
    assert settings(portal_url=url).portal_url == origin


@pytest.mark.parametrize("said", ["é", "x" * 101, "", "one two"])
async def test_a_key_that_no_header_can_hold_is_another_one(browser, said):
    answer = await browser.post("/register", data={"once": said, "first_name": "Pat"}, headers=OURS)

    assert answer.status_code == 422
    assert f'name="once" value="{said}"' not in answer.text
