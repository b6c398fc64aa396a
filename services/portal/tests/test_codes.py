"""What is wrong with an access code is said to whom it was for, and whom to ask; others read one neutral text (R-05)."""

import pytest
from covey_local.databases import connected

from .people import Visitor, address

WAYS = [
    pytest.param(
        "en-US",
        True,
        {"replaced": "newer code", "used": "used already", "expired": "expired", "neutral": "not right for you"},
        ("primary administrator", "call us"),
        id="english",
    ),
    pytest.param(
        "es-US",
        False,
        {"replaced": "más reciente", "used": "ya se ha usado", "expired": "caducado", "neutral": "no es correcto"},
        ("administrador principal", "llámenos"),
        id="spanish-without-scripts",
    ),
]


async def complaint(visitor: Visitor, code: str) -> str:
    """What is said of a code, beside its field; the code itself is not given back."""
    await visitor.go("/access-code")
    await visitor.fill(code=code)
    await visitor.press("main form button.button")
    assert await visitor.page.input_value("#code") == ""
    assert code.replace("-", "") not in (await visitor.page.content()).replace("-", "")
    return await visitor.page.inner_text("#problem")


async def expire(platform, email: str) -> None:
    """A week goes by for the codes that were sent to this address."""
    async with connected(platform.run["databases"]["identity"]) as database:
        await database.execute(
            """
            UPDATE access_code SET expires_at = now() - interval '1 second'
             WHERE grant_id IN (SELECT id FROM access_grant WHERE email = $1)
            """,
            email,
        )


@pytest.mark.timeout(200)
@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no-scripts"])
async def test_a_wrong_code_on_the_home_page_is_complained_of_and_not_given_back(visit, scripts):
    visitor = await visit(scripts=scripts)
    await visitor.register_and_sign_on(address("wrong"), "Wro", "Ng")
    await visitor.go("/")

    await visitor.fill(code="7F3K-9QWD-2MXR-01TA")
    await visitor.press("main form[action='/access-code'] button")

    assert "not right for you" in await visitor.page.inner_text("#problem")
    assert "7F3K" not in await visitor.page.content()


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("language", "scripts", "says", "asks"), WAYS)
async def test_a_code_of_a_user_is_replaced_expired_and_used(platform, visit, language, scripts, says, asks):
    group = await platform.group()
    primary = await visit()
    await primary.become_primary(group, address("prim"))
    email = address("sec")
    await primary.add_user(group, email, "Sec", "Ondary")
    person = await visit(language=language, scripts=scripts)
    await person.register_and_sign_on(email, "Sec", "Ondary")
    first = await platform.code(email, group["legal_name"])
    await primary.go(f"/groups/{group['group_id']}")
    await primary.confirm("main a[href$='/code']", "/code")
    second = await platform.another_code(email, group["legal_name"], first)
    said = await complaint(person, first)
    assert says["replaced"] in said
    assert asks[0] in said
    stranger = await visit(language=language, scripts=scripts)
    await stranger.register_and_sign_on(address("stranger"), "Stran", "Ger")
    for code in (first, second, "0000-0000-0000-0000"):
        assert says["neutral"] in await complaint(stranger, code)
    await person.go("/access-code")
    await person.fill(code=second.lower().replace("-", " "))
    await person.press("main form button.button")
    assert group["legal_name"] in await person.page.inner_text("main")
    said = await complaint(person, second)
    assert says["used"] in said
    assert asks[0] in said


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("language", "scripts", "says", "asks"), WAYS)
async def test_a_primary_whose_code_has_expired_asks_the_carrier(platform, visit, language, scripts, says, asks):
    group, email = await platform.group(), address("prim")
    await platform.approve_primary(group, email)
    primary = await visit(language=language, scripts=scripts)
    await primary.register_and_sign_on(email, "Prim", "Ary")
    code = await platform.code(email, group["legal_name"])
    await expire(platform, email)

    said = await complaint(primary, code)

    await primary.go("/")
    assert says["expired"] in await primary.page.inner_text("main"), "the home page says so, too"
    assert says["expired"] in said
    assert asks[1] in said.replace("Call us", "call us").replace("Llámenos", "llámenos")

    staff = await visit(language=language, scripts=scripts)
    await staff.sign_on_as_staff()
    await staff.go(f"/groups/{group['group_id']}")
    await staff.confirm("main a[href$='/code']", "/code")
    await primary.go("/access-code")
    await primary.fill(code=await platform.another_code(email, group["legal_name"], code))
    await primary.press("main form button.button")
    assert group["legal_name"] in await primary.page.inner_text("main")


@pytest.mark.timeout(300)
async def test_an_address_that_came_with_a_code_is_named_and_so_is_whoever_was_invited(platform, visit):
    group, other = await platform.group(), address("other")
    primary = await visit()
    await primary.become_primary(group, address("prim"))
    await primary.add_user(group, other, "Sec", "Ondary")

    await primary.go(f"/groups/{group['group_id']}/history")
    invited = await primary.page.inner_text("main")
    person = await visit()
    own = address("own")
    await person.register_and_sign_on(own, "Sec", "Ondary")
    await person.go("/access-code")
    await person.fill(code=await platform.code(other, group["legal_name"]))
    await person.press("main form button.button")

    assert "Sec Ondary" in invited
    assert other in invited
    assert other in await person.page.inner_text("main")
    await person.go("/account")
    assert "It came with an access code" in await person.page.inner_text("main")
    assert "An access code that was sent to another email address" in await platform.mail(own, "address was added")
