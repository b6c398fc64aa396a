"""What services and people say is data on a page: never markup, never a sentence that something is filled into."""

import asyncio
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

import pytest
from covey_portal import printing
from covey_portal.app import create_app
from covey_portal.forms import Form
from covey_portal.pages import render
from covey_portal.searching import Saved, Search
from covey_portal.signed_on import Who
from starlette.requests import Request

from .test_guard import settings

ABSURD = '100% </title><b onclick="x">%(name)s</b> %s & {{ 7 * 7 }}'
SHOWN = "100% &lt;/title&gt;&lt;b onclick=&#34;x&#34;&gt;%(name)s&lt;/b&gt; %s &amp; {{ 7 * 7 }}"
AT = "2026-11-27T02:07:00+00:00"
ID = "01a21ac2-408e-7143-8f00-d3dca21baa7c"


@pytest.fixture(params=["en", "es"])
def request_in(request) -> Request:
    who = Who(
        account_id=ID,
        user_id="d45634",
        first_name=ABSURD,
        last_name=ABSURD,
        market_region="California",
        language=request.param,
        staff=frozenset({"access.approve", "review.decide"}),
        firms=({"firm_id": ID, "firm_number": ABSURD, "firm_name": ABSURD},) * 2,
        has_groups=True,
        codes_waiting=1,
        codes_expired=1,
    )
    now = datetime.now(UTC)
    made = Request(
        {
            "type": "http",
            "method": "GET",
            "path": "/groups",
            "query_string": b"",
            "headers": [(b"cookie", f"language={request.param}".encode())],
            "app": create_app(settings()),
            "state": {},
        }
    )
    made.state.me = SimpleNamespace(who=who, idle_ends_at=now, expires_at=now)
    return made


GROUP = {"group_id": ID, "group_number": ABSURD, "legal_name": ABSURD, "market_region": ABSURD, "primary": ABSURD}
HELD = [{"rights": ["members.view", "renewals.change"], "billing_units": None}]
OWN = {
    **GROUP,
    "rights": ["renewals.change", "access.manage"],
    "held": HELD,
    "given": [{"by": ABSURD, "since": AT}],
    "through_firms": [ABSURD],
}
USER = {
    "grant_id": ID,
    "role": "secondary",
    "status": "invited",
    "account_id": None,
    "user_id": None,
    "firm_id": None,
    "firm_name": None,
    "first_name": ABSURD,
    "last_name": ABSURD,
    "email": ABSURD,
    "rights": ["billing.view"],
    "billing_units": [ABSURD],
    "code_expires_at": AT,
}
REQUEST = {
    "reference": "0123456789ABCDEF",
    "status": "submitted",
    "reason": ABSURD,
    "submitted_at": AT,
    "decided_at": None,
    "group_number": ABSURD,
    "company": ABSURD,
    "officer_first_name": ABSURD,
    "officer_last_name": ABSURD,
    "officer_email": ABSURD,
    "first_name": ABSURD,
    "last_name": ABSURD,
    "email": ABSURD,
    "named_group": {"group_id": ID, "legal_name": ABSURD, "market_region": ABSURD, "primary": ABSURD},
    "waiting_too": ["FEDCBA9876543210"],
}
PERSON = {"first_name": ABSURD, "last_name": ABSURD, "date_of_birth": "1990-02-03"}
SHARE = {"basis": "percent", "employee": "50.00", "dependents": None}
DRAFT = {
    "classes": [{"employee_class": ABSURD, "plan_ids": [ABSURD], "contribution": SHARE}],
    "enrollments": [
        {
            "subscriber": PERSON,
            "already_covered": False,
            "employee_class": ABSURD,
            "plan_id": ABSURD,
            "dependents": [{**PERSON, "relationship": "child"}],
        }
    ],
    "terminations": [{"subscriber": PERSON, "stays_covered": True, "dependents": [PERSON], "reason": "waived"}],
}
HELPER = {"representative_id": ID, "name": ABSURD, "phone": ABSURD, "email": ABSURD}
SUMMARY = {
    "transaction_id": ID,
    "kind": "renewal changes",
    "status": "action required",
    "group": GROUP,
    "renewal": {"renewal_id": ID, "plan_year": 2027, "effective_date": "2027-02-01"},
    "owner_id": ID,
    "round": 1,
    "created_at": AT,
    "updated_at": AT,
    "saved_at": AT,
    "submitted_at": AT,
    "instructions": ABSURD,
    "required_items": [ABSURD],
    "representative": HELPER,
    "reason": ABSURD,
    "claim": {"claimed_by": ID, "claimed_until": AT},
    "yours": False,
}
ROUND = {
    "round": 1,
    "submitted_at": AT,
    "outcome": "returned",
    "instructions": ABSURD,
    "required_items": [ABSURD],
    "reason": ABSURD,
    "content": {**DRAFT, "enrollments": None, "terminations": None},
}
RENEWAL = {"plan_year": 2027, "effective_date": "2027-02-01", "status": "available", "available_on": None}
MONTHS = {
    "months": [{"month": "2027-02", "renewals": 2, "available": 1}],
    "look_ahead_days": 120,
    "left_out": {"renewals": 2, "acquired_since": "2026-08-30"},
}
LISTED = {**RENEWAL, "group_id": ID, "group": {**GROUP, "firm_name": ABSURD}}
BOOK = {**GROUP, "firm_name": ABSURD, "acquired_date": "2026-01-02", "renewal": RENEWAL}
BROKER = {
    "id": ID,
    "firm_id": ID,
    "firm_number": ABSURD,
    "firm_name": ABSURD,
    "starts_on": "2026-01-02",
    "ends_on": None,
    "acquired_on": "2026-01-02",
    "in_book": False,
}
FORMER = {**BROKER, "ends_on": "2026-02-03"}
FIRM = {"id": ID, "firm_number": ABSURD, "firm_name": ABSURD}
MEMBER = {"account_id": ID, "user_id": "d45634", "first_name": ABSURD, "last_name": ABSURD, "rights": [], "since": AT}
ENTRY = {
    "at": AT,
    "act": ABSURD,
    "account_id": ID,
    "user_id": ABSURD,
    "authority": ABSURD,
    "subjects": [{"account_id": ID, "user_id": ABSURD}],
    "grants": [
        {
            "grant_id": ID,
            "name": ABSURD,
            "email": ABSURD,
            "rights": ["renewals.view"],
            "billing_units": [ABSURD],
            "ended": False,
        },
        {
            "grant_id": ID,
            "name": ABSURD,
            "email": None,
            "rights": ["access.manage"],
            "billing_units": None,
            "ended": True,
        },
    ],
    "outcome": "refused",
    "origin": ABSURD,
    "group_id": ID,
    "groups": 1,
    "details": {ABSURD: ABSURD},
}
SAVED = Saved(ID, ABSURD, Search({"q": ABSURD, "created_from": "2026-01-02"}, "group"), is_default=True)
LEFT = Saved(ID, ABSURD, None, is_default=False)
LIST: dict[str, Any] = {"next": ABSURD, "number": 2, "more": "/more", "first": "/first"}
FORM = Form.of(first_name=ABSURD, last_name=ABSURD, email=ABSURD, act="removal")
PAGES: dict[str, dict[str, Any]] = {
    "groups.html": {"found": {"items": [OWN], "next": ABSURD}, "number": 2},
    "group.html": {
        "group_id": ID,
        "own": OWN,
        "profile": None,
        "away": True,
        "managed": {"users": [USER], "people": []},
        "broker": BROKER,
        "names": {},
        "added": USER,
        "said": "",
        "manages": True,
        "approves": True,
    },
    "broker.html": {
        "group_id": ID,
        "group": OWN,
        "name": ABSURD,
        "broker": BROKER,
        "former": [FORMER],
        "manages": True,
        "form": Form.of(firm_number=ABSURD),
    },
    "broker_check.html": {"group": OWN, "firm": FIRM, "former": FORMER, "form": Form()},
    "broker_end.html": {"group_id": ID, "broker": BROKER, "form": Form()},
    "firm_rights.html": {"group": OWN, "broker": BROKER, "form": Form(), "areas": (), "rights": {}, "units": []},
    "firm_rights_check.html": {
        "group": OWN,
        "broker": BROKER,
        "form": Form(),
        "chosen": {"rights": ["members.view"], "billing_units": [ABSURD]},
        "names": {},
    },
    "staff_firms.html": {"found": {"items": [FIRM], "next": ABSURD}, "form": Form.of(firm_number=ABSURD), "number": 2},
    "staff_firm.html": {"firm": FIRM, "members": [MEMBER], "said": "", "form": Form.of(user_id=ABSURD)},
    "staff_firm_check.html": {
        "firm": FIRM,
        "person": {**MEMBER, "program_name": None, "locked_at": AT},
        "form": Form(),
    },
    "staff_firm_removal.html": {"firm": FIRM, "member": MEMBER, "form": Form()},
    "staff_accounts.html": {
        "found": {**MEMBER, "program_name": None, "locked_at": AT},
        "form": Form.of(user_id=ABSURD),
        "said": "",
    },
    "staff_account_change.html": {
        "found": {**MEMBER, "program_name": None, "locked_at": None},
        "act": "second-factor",
        "form": Form(),
    },
    "staff_audit.html": {
        "found": {"items": [ENTRY], "next": ABSURD},
        "group_id": None,
        "form": Form.of(user_id=ABSURD),
        "number": 2,
    },
    "user_code.html": {"group_id": ID, "user": USER, "form": Form()},
    "user_removal.html": {"group_id": ID, "user": USER, "form": Form()},
    "user_new.html": {"group": OWN, "form": FORM},
    "seen_by.html": {
        "group_id": ID,
        "name": ABSURD,
        "on": "2026-01-02",
        "found": {"items": [], "complete": True},
        "form": Form.of(on="2026-01-02"),
    },
    "history.html": {"group_id": ID, "name": ABSURD, "found": {"items": [ENTRY], "next": ABSURD}, "number": 2},
    "change.html": {"group_id": ID, "name": ABSURD, "change": {"status": "pending"}},
    "user_new_rights.html": {"group": OWN, "form": FORM, "areas": (), "rights": {}, "units": []},
    "staff_request.html": {"found": REQUEST, "form": Form()},
    "staff_request_decline.html": {"found": REQUEST, "form": Form.of(reason=ABSURD)},
    "staff_requests.html": {"found": {"items": [REQUEST], "next": None}, "chosen": "submitted", "number": 1},
    "passkey_removal.html": {"passkey": {"passkey_id": ID, "name": ABSURD}, "form": Form()},
    "account_address_change.html": {"form": FORM},
    "mail_sent.html": {"email": ABSURD, "hours": 2, "minutes": 1, "again": "/"},
    "transaction.html": {"found": {**SUMMARY, "draft": DRAFT, "rounds": [ROUND]}, "changes": ABSURD},
    "transactions.html": {
        "found": {"items": [SUMMARY]},
        "asked": {"items": [SUMMARY], "next": None},
        "counted": {"count": 10_000, "more": True},
        "search": SAVED.search,
        "saved": [SAVED, LEFT],
        "knows_default": True,
        "current": SAVED,
        "said": "",
        "changes": ABSURD,
        "form": Form.of(q=ABSURD),
        **LIST,
    },
    "searches.html": {"saved": [SAVED, LEFT], "said": "", "form": Form()},
    "search_new.html": {
        "search": SAVED.search,
        "counted": {"count": 10_000, "more": True},
        "form": Form.of(name=ABSURD),
    },
    "search_deletion.html": {"saved": SAVED, "form": Form()},
    "reviews.html": {"found": {"items": [SUMMARY]}, "changes": ABSURD, **LIST},
    "renewals_of_month.html": {"found": {"items": [LISTED]}, "of": "2027-02", "firm": ABSURD, **LIST},
    "renewals_of_group.html": {"found": [RENEWAL], "group_id": ID, "name": ABSURD},
    "renewals.html": {"months": MONTHS, "firm": ABSURD},
    "book.html": {"found": {"items": [BOOK]}, "form": Form.of(q=ABSURD), **LIST},
    "exclusion.html": {
        "group_id": ID,
        "form": Form(),
        "person": {"account_id": ID, "first_name": ABSURD, "last_name": ABSURD, "firm_name": ABSURD, "excluded": False},
    },
}


@pytest.mark.parametrize("template", PAGES)
def test_absurd_names_are_shown_as_they_are(request_in, template):
    text = render(request_in, template, waiting={"count": 10_000, "more": True}, **PAGES[template])

    if PAGES[template].get("number") == 2:
        assert re.search("<title>[^<]* (page|página) 2 ", text), "which page it is"
    assert SHOWN in text
    assert "<b onclick" not in text
    assert text.count("</title>") == 1
    assert "49" not in text.replace("7 * 7", "")[: text.index("<body")]


class Columns(HTMLParser):
    """By table, the headings of its columns; and of its cells, what they are labelled on a phone, by column."""

    def __init__(self) -> None:
        super().__init__()
        self.headings: list[list[str]] = []
        self.labels: list[tuple[int, int, str]] = []
        self._column = -1
        self._in_heading = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        of = dict(attrs)
        if tag == "table":
            self.headings.append([])
        elif tag == "tr":
            self._column = -1
        elif tag in ("td", "th"):
            self._column += 1
            self._in_heading = of.get("scope") == "col"
            if self._in_heading:
                self.headings[-1].append("")
            if label := of.get("data-label"):
                self.labels.append((len(self.headings) - 1, self._column, label))

    def handle_endtag(self, tag: str) -> None:
        self._in_heading = self._in_heading and tag != "th"

    def handle_data(self, data: str) -> None:
        if self._in_heading:
            self.headings[-1][-1] += data.strip()


@pytest.mark.parametrize("template", PAGES)
def test_on_a_phone_a_cell_is_labelled_as_its_column_is_headed(request_in, template):
    columns = Columns()

    columns.feed(render(request_in, template, **PAGES[template]))

    assert [(columns.headings[table][column], label) for table, column, label in columns.labels] == [
        (label, label) for _, _, label in columns.labels
    ]


@pytest.mark.parametrize("template", ["broker.html", "change.html", "history.html", "seen_by.html", "user_new.html"])
def test_a_page_about_a_group_names_it_in_its_title_and_its_heading(request_in, template):
    text = render(request_in, template, **PAGES[template])

    for tag in ("title", "h1"):
        assert SHOWN in text.split(f"<{tag}>")[1].split(f"</{tag}>")[0], tag


@pytest.mark.parametrize(
    ("role", "status", "stays"),
    [
        ("primary", "invited", True),
        ("primary", "code expired", True),
        ("primary", "active", False),
        ("secondary", "invited", False),
    ],
)
def test_to_take_back_an_invitation_of_the_next_primary_leaves_the_present_one(request_in, role, status, stays):
    user = USER | {"role": role, "status": status}

    text = render(request_in, "user_removal.html", group_id=ID, user=user, form=Form())

    found = any(each in text for each in ("The invitation is taken back", "La invitación se retira"))
    assert found == stays


async def test_the_form_for_paper_is_set_once_however_many_ask_for_it(request_in, monkeypatch):
    made, really = [], printing._set
    monkeypatch.setattr(printing, "_made", {})
    monkeypatch.setattr(printing, "_set", lambda text: made.append(text) or really(text))

    first, second = await asyncio.gather(*(printing.printable_form(request_in) for _ in range(2)))

    assert first is second
    assert len(made) == 1
