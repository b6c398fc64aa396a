"""People at their browsers: what they do is done on pages; only groups come from the carrier's book."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar
from uuid import uuid4

import httpx
from covey_chassis.clock import Clock
from covey_local.home import RunFile
from covey_local.sign_on import as_staff, sign_on
from playwright.async_api import Browser, Page, Request

Found = TypeVar("Found")
PATIENCE_S = 60.0
PASSWORD = "quillfern-9-thistle"
NOWHERE = "http://127.0.0.1:9"
"""Where nothing answers."""
GROUPS_RENEW_IN = timedelta(days=60)
CODE = re.compile(r"\b([0-9A-Z]{4}(?:[- ]+[0-9A-Z]{4}){3})\b")
LINK = re.compile(r"^(https?://\S+)$", re.MULTILINE)


async def eventually(look: Callable[[], Awaitable[Found | None]], what: str) -> Found:
    """What is found within the time that tests have patience for."""
    deadline = time.monotonic() + PATIENCE_S
    while (found := await look()) is None:
        assert time.monotonic() < deadline, f"not within {PATIENCE_S:.0f} s: {what}"
        await asyncio.sleep(0.1)
    return found


@dataclass(frozen=True)
class Platform:
    """Where everything is."""

    run: RunFile

    @property
    def portal(self) -> str:
        assert self.run["portal"], "the stack has no portal"
        return self.run["portal"]

    async def group(self, *, broker: str | None = None, acquired_on: str = "2024-06-17") -> dict[str, Any]:
        """A group comes in with the carrier's book, with a renewal that is available, and a broker by the firm's number."""
        renews_on = Clock.now().date() + GROUPS_RENEW_IN
        number = f"P-{uuid4().hex[:10]}"
        contact = {"name": "Ann Signer", "email": "ann@bakery.example"}
        new = {
            "group_number": number,
            "legal_name": f'100% "Oak" <b>Street</b> & Søn {number[-4:]}, Inc.',
            "ein": "12-3456789",
            "market_region": "California",
            "principal_address": {
                "street": "1 Oak St",
                "city": "Fresno",
                "county": "Fresno",
                "state": "CA",
                "zip": "93650",
            },
            "contract_signer": contact,
            "billing_contact": contact,
            "billing_units": [{"code": "001", "name": "Bakery"}, {"code": "002", "name": "Shop"}],
            "effective_date": "2024-02-01",
            "renewal_date": renews_on.isoformat(),
            "plans": [{"plan_year": renews_on.year - back, "plan_id": "GOLD-80"} for back in (1, 0)],
            "broker": broker
            and {
                "firm_number": broker,
                "firm_name": f'100% "Wren" <i>Benefits</i> & Søn {broker[-4:]}',
                "acquired_date": acquired_on,
                "contact": {"name": "Bob Broker", "email": "bob@brokers.example"},
            },
        }
        async with self.api("membership") as api:
            made = await api.post("/v1/groups", json=new, headers=once())
        assert made.status_code == 201, made.text
        group: dict[str, Any] = made.json()
        async with self.api("identity") as api:

            async def known() -> bool | None:
                answer = await api.get(f"/v1/groups/{group['group_id']}/appointments")
                users = await api.get(f"/v1/groups/{group['group_id']}/users")
                if not (answer.is_success and users.is_success):
                    return None
                return True if broker is None or answer.json()["items"] else None

            await eventually(known, "identity knows the group")
        return group

    async def approve_primary(self, group: dict[str, Any], email: str) -> None:
        """The group's officer asks for somebody to be its primary, and staff approve it: by their routes."""
        form = {
            "group_number": group["group_number"],
            "company": group["legal_name"],
            "officer_first_name": "Olu",
            "officer_last_name": "Officer",
            "officer_email": address("olu"),
            "first_name": "Prim",
            "last_name": "Ary",
            "email": email,
        }
        async with self.api("identity") as api:
            asked = await api.post("/v1/access-requests", json=form, headers=once())
            assert asked.status_code == 202, asked.text
            approved = await api.post(
                f"/v1/access-requests/{asked.json()['reference']}/approval",
                json={"group_id": group["group_id"]},
                headers=once(),
            )
            assert approved.status_code == 200, approved.text

    def api(self, service: str) -> httpx.AsyncClient:
        """A client of the carrier's staff, for what has no page."""
        return httpx.AsyncClient(
            base_url=self.run["services"][service], auth=as_staff(self.run), trust_env=False, timeout=30
        )

    async def join(self, number: str, user_id: str) -> None:
        """Staff put somebody into a firm."""
        async with self.api("identity") as api:
            (firm,) = (await api.get("/v1/firms", params={"firm_number": number})).json()["items"]
            (account,) = (await api.get("/v1/accounts", params={"user_id": user_id})).json()
            body = {"account_id": account["account_id"]}
            joined = await api.post(f"/v1/firms/{firm['id']}/members", json=body, headers=once())
            assert joined.status_code == 201, joined.text

    async def submitted(self, group: dict[str, Any], owner: tuple[str, str]) -> str:
        """Changes to the group's renewal, which its owner has submitted; the transaction."""
        auth = sign_on(self.run, {"user_id": owner[0], "password": owner[1]})
        base = f"/v1/groups/{group['group_id']}"
        transactions = self.run["services"]["transactions"]
        async with (
            self.api("renewals") as renewals,
            httpx.AsyncClient(base_url=transactions, auth=auth, trust_env=False, timeout=30) as changes,
        ):

            async def available() -> str | None:
                answer = await renewals.get(f"{base}/renewals")
                listed = answer.json()["items"] if answer.is_success else []
                ready = [each for each in listed if each["status"] == "available"]
                return str(ready[0]["renewal_id"]) if ready else None

            renewal_id = await eventually(available, "the group's renewal")

            async def opened() -> httpx.Response | None:
                answer = await changes.post(f"{base}/transactions", json={"renewal_id": renewal_id}, headers=once())
                return answer if answer.is_success else None

            answer = await eventually(opened, "a transaction")
            path = answer.headers["Location"]
            share = {"basis": "amount", "employee": "1250.50", "dependents": "50.00"}
            draft = {"classes": [{"employee_class": "All", "plan_ids": ["GOLD-80"], "contribution": share}]}
            for method, step, body in (("PUT", "draft", draft), ("POST", "submission", None)):
                headers = once() | {"If-Match": answer.headers["ETag"]}
                answer = await changes.request(method, f"{path}/{step}", json=body, headers=headers)
                assert answer.is_success, answer.text
        return str(path.rpartition("/")[2])

    async def submit_again(self, group: dict[str, Any], owner: tuple[str, str], transaction_id: str) -> None:
        """The owner thinks that all is well now."""
        auth = sign_on(self.run, {"user_id": owner[0], "password": owner[1]})
        path = f"/v1/groups/{group['group_id']}/transactions/{transaction_id}"
        base = self.run["services"]["transactions"]
        async with httpx.AsyncClient(base_url=base, auth=auth, trust_env=False, timeout=30) as changes:
            etag = (await changes.get(path)).headers["ETag"]
            answer = await changes.post(f"{path}/submission", headers=once() | {"If-Match": etag})
            assert answer.is_success, answer.text

    async def claim(self, transaction_id: str) -> None:
        """The stack's own member of the staff begins to review it."""
        async with self.api("transactions") as staff:
            answer = await staff.post(f"/v1/reviews/{transaction_id}/claim", headers=once())
            assert answer.is_success, answer.text

    async def send_back(self, transaction_id: str, instructions: str, *items: str) -> None:
        """A reviewer lets the owner correct what was submitted."""
        helper = {"name": "Odalys Brenner", "phone": "+1 555 0100", "email": "odalys@carrier.example"}
        async with self.api("transactions") as staff:
            made = await staff.post("/v1/representatives", json=helper, headers=once())
            asked = {"round": 1, "instructions": instructions, "required_items": items}
            asked |= {"representative_id": made.json()["representative_id"]}
            returned = await staff.post(f"/v1/reviews/{transaction_id}/return", json=asked, headers=once())
            assert returned.is_success, returned.text

    async def mail(self, to: str, having: str) -> str:
        """The newest email to somebody that has this in its text or subject."""

        async def look() -> str | None:
            async with httpx.AsyncClient(base_url=self.run["mail"], trust_env=False) as client:
                mails = (await client.get("/messages", params={"to": to})).json()
            found = [mail["text"] for mail in mails if having in mail["text"] or having in mail["subject"]]
            return found[-1] if found else None

        return await eventually(look, f"an email to {to} with {having}")

    async def link(self, to: str, path: str) -> str:
        """Where an email to somebody leads, on the page of this path."""
        found = LINK.findall(await self.mail(to, self.portal + path))
        assert len(found) == 1, found
        return str(found[0])

    async def code(self, to: str, legal_name: str) -> str:
        """The access code in an email to somebody."""
        found = CODE.search(await self.mail(to, legal_name))
        assert found
        return found[1]

    async def another_code(self, to: str, legal_name: str, than: str) -> str:
        """The one that takes the place of this one, once its email is there."""

        async def look() -> str | None:
            code = await self.code(to, legal_name)
            return code if code != than else None

        return await eventually(look, f"another code for {to}")


def once() -> dict[str, str]:
    return {"Idempotency-Key": str(uuid4())}


def address(name: str) -> str:
    return f"{name}-{uuid4().hex[:8]}@people.example"


def firm_number() -> str:
    return f"F-{uuid4().hex[:8]}"


@dataclass
class Visitor:
    """Somebody at a browser of their own."""

    platform: Platform
    page: Page
    scripts: bool
    account: tuple[str, str] = ("", "")
    """What they sign on with."""
    noticed: list[str] = field(default_factory=list)
    """What the browser complained of: errors of scripts, and what the page's own policy forbids."""

    @classmethod
    async def open(
        cls,
        browser: Browser,
        platform: Platform,
        *,
        scripts: bool = True,
        language: str = "en-US",
        width: int = 1280,
        height: int = 900,
        dark: bool = False,
    ) -> "Visitor":
        context = await browser.new_context(
            java_script_enabled=scripts,
            locale=language,
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            base_url=platform.portal,
        )
        page = await context.new_page()
        page.set_default_timeout(PATIENCE_S * 1000)
        visitor = cls(platform, page, scripts)
        page.on("pageerror", lambda error: visitor.noticed.append(f"{page.url}: {error}"))
        page.on("console", lambda said: visitor._on_console(said.type, said.text))
        page.on("request", visitor._on_request)
        return visitor

    def _on_console(self, kind: str, text: str) -> None:
        refused = "the server responded with a status of 4" in text  # pages that refuse have such a status
        if kind == "error" and not refused:
            self.noticed.append(f"{self.page.url}: {text}")

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith((self.platform.portal, "data:")):
            self.noticed.append(f"{self.page.url} asks for {request.url}")

    async def go(self, path: str) -> None:
        await self.page.goto(path)

    async def fill(self, **fields: str) -> None:
        for name, value in fields.items():
            await self.page.fill(f"main [name={name}]", value)

    async def press(self, selector: str = "main form[method=post] button.button:not(.text)") -> None:
        """Press a button, and wait for the page that comes."""
        async with self.page.expect_navigation():
            await self.page.locator(selector).first.click()

    async def title(self) -> str:
        return await self.page.inner_text("main h1")

    @property
    def path(self) -> str:
        return self.page.url.removeprefix(self.platform.portal).partition("?")[0]

    # --- what people do ---

    async def sign_on(self, user_id: str, password: str) -> None:
        if self.path != "/sign-on":
            await self.go("/sign-on")
        await self.fill(user_id=user_id, password=password)
        await self.press()

    async def sign_on_as_staff(self) -> None:
        account = self.platform.run["accounts"]["staff"]
        await self.sign_on(account["user_id"], account["password"])

    async def register(self, email: str, first_name: str, last_name: str) -> str:
        """With what the email brings; the user ID."""
        await self.go("/register")
        await self.fill(first_name=first_name, last_name=last_name, company="Oak Street Bakery", email=email)
        await self.page.check("#terms_accepted")
        await self.press()
        await self.page.goto(await self.platform.link(email, "/register/verification"))
        await self.fill(password=PASSWORD)
        await self.press()
        return await self.page.inner_text(".secret")

    async def register_and_sign_on(self, email: str, first_name: str, last_name: str) -> str:
        user_id = await self.register(email, first_name, last_name)
        await self.sign_on(user_id, PASSWORD)
        return user_id

    async def get_authenticator(self) -> None:
        """A device that keeps passkeys, and finds that it is them, is in their hands from now on."""
        session = await self.page.context.new_cdp_session(self.page)
        await session.send("WebAuthn.enable")
        options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True}
        options |= {"isUserVerified": True, "automaticPresenceSimulation": True}
        await session.send("WebAuthn.addVirtualAuthenticator", {"options": options})

    async def ask_for_access(self, group: dict[str, Any], email: str) -> str:
        """As the group's officer, for somebody with this address; the reference number."""
        await self.go("/access-request")
        await self.fill(group_number=group["group_number"], company=group["legal_name"])
        await self.fill(officer_first_name="Olu", officer_last_name="Officer", officer_email=address("olu"))
        await self.fill(first_name="Prim", last_name="Ary", email=email, email_again=email)
        await self.press()
        await self.press("main form[action='/access-request'] button.button:not(.plain)")
        return self.path.rpartition("/")[2]

    async def become_primary(self, group: dict[str, Any], email: str) -> None:
        """With an account of their own, and the code that they are sent."""
        await self.platform.approve_primary(group, email)
        await self.register_and_sign_on(email, "Prim", "Ary")
        await self.fill(code=await self.platform.code(email, group["legal_name"]))
        await self.press("main form[action='/access-code'] button")

    async def add_user(self, group: dict[str, Any], email: str, first_name: str, last_name: str) -> None:
        """Who may view renewals from now on, once they enter the code that they are sent."""
        await self.go(f"/groups/{group['group_id']}/users/new")
        await self.fill(first_name=first_name, last_name=last_name, email=email, email_again=email)
        await self.press()
        await self.page.check("[name=rights][value='renewals.view']")
        await self.press()

    async def leave(self) -> None:
        """Close the page: before the portal that it follows ends. That the portal has answered 503 was to be seen."""
        self.noticed[:] = [each for each in self.noticed if "status of 503" not in each]
        await self.page.close()

    async def user_id(self) -> str:
        """Whose it is, as each page says."""
        return (await self.page.inner_text("header .soft")).strip()

    async def session_token(self) -> str:
        """What the browser's cookie holds."""
        return {each["name"]: each["value"] for each in await self.page.context.cookies()}["__Host-covey"]

    async def confirm(self, link: str, form: str) -> None:
        """Follow a link to what asks once more, in a dialog or on a page of its own; and say yes."""
        await self.page.locator(link).first.click()
        where = "dialog[open]" if self.scripts else "main"
        await self.press(f"{where} form[action$='{form}'] button.button")
