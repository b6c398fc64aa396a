"""Forms that the journeys do not pass, sent by a browser without scripts (page point 5): each does what it says."""

import pytest

from .people import PASSWORD, address, firm_number

NEW_PASSWORD = "harrow-7-lantern-moth"


@pytest.mark.timeout(300)
async def test_what_was_forgotten_comes_by_mail_and_a_password_is_chosen_anew(platform, visit):
    visitor = await visit(scripts=False)
    email = address("forgot")
    user_id = await visitor.register(email, "Fo", "Rgot")

    await visitor.go("/forgotten/user-id")
    await visitor.fill(email=email)
    await visitor.press()
    assert email in await visitor.page.inner_text("main")
    assert user_id in await platform.mail(email, user_id)

    await visitor.go("/forgotten/password")
    await visitor.fill(email=email)
    await visitor.press()
    await visitor.page.goto(await platform.link(email, "/forgotten/password/reset"))
    await visitor.fill(password="password1")
    await visitor.press()
    assert (await visitor.page.title()).startswith("Error: ")
    assert await visitor.page.input_value("#password") == "", "a password is never given back"
    await visitor.fill(password=NEW_PASSWORD)
    await visitor.press()
    await visitor.sign_on(user_id, PASSWORD)
    assert await visitor.page.locator("#problem").count() == 1, "the former one is none any more"
    await visitor.sign_on(user_id, NEW_PASSWORD)
    assert "Fo" in await visitor.title()


@pytest.mark.timeout(200)
async def test_whoever_tried_too_often_is_told_how_long_to_wait(visit):
    visitor, nobody = await visit(scripts=False), address("x")
    for _ in range(20):  # the pauses grow: whoever is slow is asked to wait later
        await visitor.sign_on(nobody, PASSWORD)
        said = await visitor.page.inner_text("#problem")
        if "Wait" in said:
            break

    assert "Wait 1 minute, then try again." in said


@pytest.mark.timeout(300)
async def test_one_keeps_ones_own_account(platform, visit):
    visitor = await visit(scripts=False)
    email, second = address("own"), address("second")
    user_id = await visitor.register_and_sign_on(email, "Ow", "Ner")

    await visitor.go("/account/information")
    await visitor.fill(first_name="Owen", middle_initial="B", company="Reed & Rush")
    await visitor.page.select_option("#market_region", "Oregon")
    await visitor.page.select_option("#language", "es")
    await visitor.press()
    said = await visitor.page.inner_text("main")
    assert "Owen B. Ner" in said
    assert "Reed & Rush" in said
    assert "Oregon" in said
    assert "Español" in said
    for path in ("/groups", "/access-code"):
        assert await visitor.page.locator(f"main a[href='{path}']").count() == 1, path
    await visitor.go("/")
    assert "75 days" not in await visitor.page.inner_text("main"), "California's announcement"
    assert "Oregon" in await visitor.page.inner_text("footer"), "contacts are those of the region"

    await visitor.go("/account/password")
    await visitor.fill(password="not this one", new_password=NEW_PASSWORD)
    await visitor.press()
    assert await visitor.page.locator("#problem").count() == 1
    await visitor.fill(password=PASSWORD, new_password=NEW_PASSWORD)
    await visitor.press()
    assert visitor.path == "/account"

    await visitor.go("/account/addresses/new")
    await visitor.fill(email=second, password=NEW_PASSWORD)
    await visitor.press()
    await visitor.page.goto(await platform.link(second, "/account/addresses/verification"))
    await visitor.press()
    assert second in await visitor.page.inner_text("main")
    await visitor.go("/account")
    written_to = visitor.page.locator("section[aria-labelledby=addresses-title] dl > div")
    first = await written_to.first.inner_text()
    await visitor.press("main a[href*='act=main']")
    await visitor.fill(password=NEW_PASSWORD)
    await visitor.press()
    assert await written_to.first.inner_text() != first

    await visitor.press("main a[href*='act=removal']")
    await visitor.fill(password="not this one")
    await visitor.press()
    assert await visitor.page.locator("#problem").count() == 1
    await visitor.fill(password=NEW_PASSWORD)
    await visitor.press()
    assert await written_to.count() == 1
    await visitor.press("form[action='/sign-off'] button")
    await visitor.sign_on(user_id, NEW_PASSWORD)
    assert "Owen" in await visitor.title()


@pytest.mark.timeout(300)
async def test_a_primary_changes_rights_of_a_user_of_the_firm_and_of_one_of_its_people(platform, visit):
    number = firm_number()
    group = await platform.group(broker=number)
    home = f"/groups/{group['group_id']}"
    broker, primary = await visit(scripts=False), await visit(scripts=False)
    await platform.join(number, await broker.register_and_sign_on(address("bro"), "Bro", "Ker"))
    await primary.become_primary(group, address("prim"))
    email = address("sec")
    await primary.add_user(group, email, "Sec", "Ond")

    listed = await primary.page.inner_text("main")
    assert "responsible" in listed, "who manages access is told so where they do it"
    row = await primary.page.locator(f"main tbody tr:has-text('{email}')").inner_text()
    for each in ("Sec Ond", "Invited", "Renewals: View", "All billing units"):
        assert each in row
    await primary.press("main a[href$='/rights']")
    await primary.page.check("[name=rights][value='billing.pay']")
    await primary.press()
    await primary.go(home)
    assert "Billing:" in await primary.page.inner_text("main")

    await primary.go(f"{home}/firm")
    await primary.press()
    assert await primary.page.locator("#problem").count() == 1, "no right is chosen"
    await primary.page.check("[name=rights][value='members.view']")
    await primary.press()
    asked = await primary.page.inner_text("main")
    assert "Members: View" in asked
    assert number in asked
    assert "All billing units" in asked
    await primary.press("main button[formaction='#rights']")
    assert await primary.page.is_checked("[name=rights][value='members.view']"), "to be changed"
    await primary.page.check("[name=rights][value='billing.pay']")
    await primary.press()
    await primary.press("main .row button")
    assert await primary.page.locator("main .said.good").count() == 1
    row = await primary.page.locator("main tbody tr:has-text('Firm')").inner_text()
    assert "Billing:" in row
    await primary.go(home)
    await primary.press("main a[href*='/exclusions/']")
    await primary.press()
    await primary.page.get_by_text("Removed everywhere").wait_for()
    await broker.go(home)
    assert "Bakery" not in await broker.page.inner_text("main"), "who is kept out sees nothing of the group"

    await primary.go(home)
    await primary.press("main a[href*='/exclusions/']")
    await primary.press()
    await primary.page.locator("main .said.good").wait_for()
    await broker.go(home)
    assert group["legal_name"] in await broker.page.inner_text("main")


@pytest.mark.timeout(300)
async def test_an_officer_finds_where_a_request_stands(platform, visit):
    group = await platform.group()
    visitor = await visit(scripts=False)
    reference = await visitor.ask_for_access(group, address("prim"))

    await visitor.go("/access-request/status")
    await visitor.fill(reference="0000-0000-0000-0000")
    await visitor.press("main form button.button")
    assert await visitor.page.input_value("#reference") == "0000-0000-0000-0000"
    assert await visitor.page.locator("#reference-complaint").count() == 1
    await visitor.fill(reference=f" {reference[:8].lower()}-{reference[8:]} ")
    await visitor.press("main form button.button")

    assert visitor.path == f"/access-request/{reference}"
    assert "Being checked" in await visitor.page.inner_text("main")
