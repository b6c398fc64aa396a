"""Where somebody can go from every page: by who they are to the carrier. What they may do there, the services check."""

from covey_chassis.access.rights import StaffRight

from covey_portal.languages import N_
from covey_portal.signed_on import SignedOn, Who

REVIEWING, APPROVING, OPERATING = StaffRight.REVIEW_DECIDE, StaffRight.ACCESS_APPROVE, StaffRight.OPERATIONS


def navigation(me: SignedOn) -> list[tuple[str, str]]:
    """Addresses and labels, the home page first."""
    who = me.who
    places = [("/", N_("Home"))]
    if APPROVING in who.staff:
        places += [
            ("/staff/access-requests", N_("Access requests")),
            ("/staff/firms", N_("Firms")),
            ("/staff/audit", N_("Audit")),
        ]
    if REVIEWING in who.staff:
        places.append(("/staff/reviews", N_("Review")))
    if who.has_groups:
        places.append(("/groups", N_("Groups and access")))
    if sees_business(who):
        places += [("/renewals", N_("Renewals")), ("/transactions", N_("Transactions"))]
    return places


def sees_business(who: Who) -> bool:
    """Whether there can be renewals and transactions to show: of their groups, or for staff of all groups."""
    return who.has_groups or bool(who.firms) or bool(who.staff & {REVIEWING, OPERATING})
