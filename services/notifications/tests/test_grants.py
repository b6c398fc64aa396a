"""What there is to tell of a grant: an event says only how it is after its change."""

import pytest
from covey_chassis.ids import new_id
from covey_contracts.identity import AccessChanged, GrantRole, GrantStatus
from covey_notifications.domain.grant import GrantTold, news_of

# Drawn by hand: what it was, and what it is after the event. "new": its first event. "unknown": reactions began later.
GRID = """
              invited    active           other-rights     other-units      removed
  new         -          user-added       user-added       user-added       -
  unknown     -          -                -                -                access-removed
  invited     -          user-added       user-added       user-added       -
  active      -          -                rights-changed   rights-changed   access-removed
  removed     -          user-added       user-added       user-added       -
"""
GIVER, HOLDER, GROUP, GRANT = (new_id() for _ in range(4))


def cells():
    after, *rows = [line.split() for line in GRID.strip().splitlines()]
    return [(row[0], now, outcome) for row in rows for now, outcome in zip(after, row[1:], strict=True)]


def grant(now="active", **more):
    rights = ("members.view",) if now == "other-rights" else ("members.view", "billing.view")
    return AccessChanged(
        **{
            "grant_id": GRANT,
            "group_id": GROUP,
            "account_id": None if now == "invited" else HOLDER,
            "firm_id": None,
            "role": GrantRole.SECONDARY,
            "rights": rights,
            "billing_units": ("001",) if now == "other-units" else None,
            "status": now if now in ("invited", "removed") else "active",
            "given_by": GIVER,
            **more,
        }
    )


def told(before, *, rights=("billing.view", "members.view"), billing_units=None):
    if before in ("new", "unknown"):
        return None
    return GrantTold(
        grant_id=GRANT, sequence=4, status=GrantStatus(before), rights=list(rights), billing_units=billing_units
    )


@pytest.mark.parametrize(("before", "now", "outcome"), cells())
def test_every_change_of_a_grant_and_what_it_tells(before, now, outcome):
    sequence = 1 if before == "new" else 5

    assert news_of(grant(now), told(before), sequence=sequence) == (None if outcome == "-" else outcome)


@pytest.mark.parametrize(("before", "now"), [(before, now) for before, now, _ in cells() if now != "invited"])
def test_a_grant_to_a_firm_is_told_to_nobody(before, now):
    event = grant(now, account_id=None, firm_id=new_id())

    assert news_of(event, told(before), sequence=1 if before == "new" else 5) is None


@pytest.mark.parametrize("before", ["new", "invited", "removed"])
def test_what_the_carrier_gave_is_told_to_no_giver(before):
    assert news_of(grant(given_by=None), told(before), sequence=1 if before == "new" else 5) is None


def test_another_order_of_rights_or_units_is_no_change():
    event = grant(rights=("members.view", "billing.view"), billing_units=("002", "001"))

    assert news_of(event, told("active", billing_units=["001", "002"]), sequence=5) is None


def test_from_all_units_to_those_that_there_are_is_a_change():
    assert news_of(grant(billing_units=()), told("active"), sequence=5) == "rights-changed"


def test_another_giver_or_role_alone_is_no_news_for_the_holder():
    assert news_of(grant(given_by=new_id()), told("active"), sequence=5) is None
