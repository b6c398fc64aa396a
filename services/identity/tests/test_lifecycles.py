"""Grants, access codes and requests: every verb from every status."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from covey_chassis.access import Right
from covey_chassis.errors import Refusal
from covey_contracts.identity import AccessChanged, GrantRole, GrantStatus
from covey_identity.domain import access_code, access_request, grant
from covey_identity.domain.access_code import AccessCode, CodeStatus
from covey_identity.domain.access_request import AccessRequest, RequestStatus
from covey_identity.domain.grant import Grant, Scope

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
SOMEBODY, ANOTHER, GROUP = (UUID(int=number) for number in (1, 2, 3))

# Drawn by hand, never computed from a LIFECYCLE: this is the page to read and to review. What is refused has the
# refusal's name; "-" is short for illegal-move.

SECONDARY = """
             activate    change_rights    pass_on    invite_again    remove
  invited    active      invited          invited    invited         removed
  active     -           active           active     -               removed
  removed    -           -                -          -               -
"""

PRIMARY = """
             activate    change_rights               pass_on    invite_again    remove
  invited    active      primary-holds-everything    invited    invited         removed
  active     -           primary-holds-everything    active     -               removed
  removed    -           primary-holds-everything    -          -               -
"""

CODE = """
                     redeem           replace     void
  issued             redeemed         replaced    voided
  issued, expired    code-expired     replaced    voided
  redeemed           code-used        -           -
  replaced           code-replaced    -           -
  voided             code-not-good    -           -
"""

REQUEST = """
               approve     decline     void
  submitted    approved    declined    voided
  approved     -           -           -
  declined     -           -           -
  voided       -           -           -
"""

GRANT_DO = {
    "activate": lambda grant: grant.activate(SOMEBODY, at=NOW),
    "change_rights": lambda grant: grant.change_rights(Scope.of([Right.BILLING_PAY], ["001"]), at=NOW),
    "pass_on": lambda grant: grant.pass_on(a_grant("active", "primary"), at=NOW),
    "invite_again": lambda grant: grant.invite_again(),
    "remove": lambda grant: grant.remove(at=NOW),
}
CODE_DO = {
    "redeem": lambda code: code.redeem(now=NOW),
    "replace": lambda code: code.replace(),
    "void": lambda code: code.void(),
}
REQUEST_DO = {
    "approve": lambda request: request.approve(GROUP, by=SOMEBODY, at=NOW),
    "decline": lambda request: request.decline("No such officer.", by=SOMEBODY, at=NOW),
    "void": lambda request: request.void(at=NOW),
}


def cells(grid):
    """(status, verb, outcome) of each cell: columns are set apart by two spaces or more."""
    head, *rows = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in grid.strip().splitlines()]
    return [(row[0], verb, outcome) for row in rows for verb, outcome in zip(head, row[1:], strict=True)]


def a_grant(status, role):
    return Grant(
        group_id=GROUP,
        role=GrantRole(role),
        account_id=None if status == "invited" else ANOTHER,
        first_name="Sec",
        last_name="Ondary",
        email="sec@people.example",
        rights=["renewals.view"],
        billing_units=None,
        status=GrantStatus(status),
        since=NOW - timedelta(days=1),
    )


def a_code(status):
    status, _, expired = status.partition(", ")
    age = timedelta(hours=168 if expired else 1)
    return AccessCode(grant_id=SOMEBODY, status=CodeStatus(status), bucket=1, hash="x", issued_at=NOW - age)


def a_request(status):
    return AccessRequest(
        reference="0" * 16,
        group_number="G-1",
        company="Oak Street Bakery",
        officer_first_name="Olu",
        officer_last_name="Officer",
        officer_email="olu@bakery.example",
        first_name="Prim",
        last_name="Ary",
        email="prim@people.example",
        language="en",
        status=RequestStatus(status),
        submitted_at=NOW,
    )


def tried(thing, act, outcome):
    """Do it: it ends as the grid says, or is refused as the grid says and leaves the status as it was; what was told."""
    before = thing.status
    if outcome in (status.value for status in type(before)):
        told = act(thing)
        assert thing.status == outcome
        return told
    with pytest.raises(Refusal) as refused:
        act(thing)
    assert refused.value.code() == {"-": "illegal-move"}.get(outcome, outcome)
    assert thing.status is before
    return None


@pytest.mark.parametrize(
    ("role", "status", "verb", "outcome"),
    [(role, *cell) for role, grid in (("secondary", SECONDARY), ("primary", PRIMARY)) for cell in cells(grid)],
)
def test_every_verb_of_a_grant(role, status, verb, outcome):
    grant = a_grant(status, role)

    told = tried(grant, GRANT_DO[verb], outcome)

    if isinstance(told, AccessChanged):
        assert (told.grant_id, told.status, told.role) == (grant.id, GrantStatus(outcome), role)
    else:
        assert told is None
        assert verb == "invite_again" or outcome not in list(GrantStatus)


@pytest.mark.parametrize(("status", "verb", "outcome"), cells(CODE))
def test_every_verb_of_an_access_code(status, verb, outcome):
    tried(a_code(status), CODE_DO[verb], outcome)


@pytest.mark.parametrize(("status", "verb", "outcome"), cells(REQUEST))
def test_every_verb_of_a_request(status, verb, outcome):
    request = a_request(status)

    tried(request, REQUEST_DO[verb], outcome)

    assert (request.decided_at is None) == (outcome == "-")
    assert (request.reason, request.group_id) == (
        "No such officer." if outcome == "declined" else None,
        GROUP if outcome == "approved" else None,
    )


@pytest.mark.parametrize(
    ("grid", "lifecycle", "statuses", "do"),
    [
        (SECONDARY, grant.LIFECYCLE, GrantStatus, GRANT_DO),
        (PRIMARY, grant.LIFECYCLE, GrantStatus, GRANT_DO),
        (CODE, access_code.LIFECYCLE, CodeStatus, CODE_DO),
        (REQUEST, access_request.LIFECYCLE, RequestStatus, REQUEST_DO),
    ],
    ids=["secondary", "primary", "code", "request"],
)
def test_the_grids_show_every_status_and_every_verb(grid, lifecycle, statuses, do):
    shown = cells(grid)

    assert {status.partition(",")[0] for status, _, _ in shown} == {status.value for status in statuses}
    assert {verb for _, verb, _ in shown} == set(lifecycle.moves) == set(do)


def test_giving_somebody_the_rights_that_they_have_tells_nobody():
    grant = a_grant("active", "secondary")

    assert grant.change_rights(Scope.of([Right.RENEWALS_VIEW], None), at=NOW) is None


@pytest.mark.parametrize(("seconds", "expired"), [(168 * 3600 - 1, False), (168 * 3600, True), (168 * 3600 + 1, True)])
def test_a_code_is_good_for_168_hours_to_the_second(seconds, expired):
    code = a_code("issued")

    assert code.expires_at == code.issued_at + timedelta(hours=168)
    assert code.has_expired(code.issued_at + timedelta(seconds=seconds)) is expired
