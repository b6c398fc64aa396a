"""Where messages lead: to the portal's pages, and nowhere else."""

from types import SimpleNamespace
from uuid import UUID

import pytest
from covey_notifications.domain.notification import Kind
from covey_notifications.links import NOWHERE, WITH_TOKEN, link_of

PORTAL = "https://portal.carrier.example"
GROUP, TRANSACTION = UUID(int=1), UUID(int=2)


def link(kind: Kind, token: str | None = "a+b/c?d", portal_url: str | None = PORTAL) -> str | None:
    about_transaction = kind.startswith("transaction") or kind in (Kind.SUBMISSION_RECEIVED, Kind.ACTION_REQUIRED)
    about = SimpleNamespace(kind=kind, group_id=GROUP, transaction_id=TRANSACTION if about_transaction else None)
    return link_of(about, portal_url, token)


@pytest.mark.parametrize("kind", Kind)
def test_without_a_portal_a_message_leads_nowhere(kind):
    assert link(kind, portal_url=None) is None


@pytest.mark.parametrize("kind", sorted(set(Kind) - NOWHERE))
def test_a_message_leads_to_a_page_of_the_portal(kind):
    found = link(kind)

    assert found.startswith(f"{PORTAL}/")
    assert "None" not in found


@pytest.mark.parametrize("kind", sorted(WITH_TOKEN))
def test_a_token_is_escaped_in_the_address(kind):
    assert link(kind).endswith("?token=a%2Bb%2Fc%3Fd")


def test_only_these_messages_carry_a_token():
    assert {kind for kind in Kind if "token" in (link(kind) or "")} == set(WITH_TOKEN)


def test_whoever_lost_access_is_not_sent_to_what_they_no_longer_see():
    assert link(Kind.ACCESS_REMOVED) is None


def test_about_a_transaction_it_leads_there():
    assert link(Kind.ACTION_REQUIRED) == f"{PORTAL}/transactions/{TRANSACTION}"
