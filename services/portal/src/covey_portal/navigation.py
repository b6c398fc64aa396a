"""Where somebody can go from every page: by who they are to the carrier. What they may do there, the services check."""

from covey_chassis.access.rights import StaffRight

from covey_portal.languages import N_
from covey_portal.signed_on import SignedOn

APPROVING = StaffRight.ACCESS_APPROVE


def navigation(me: SignedOn) -> list[tuple[str, str]]:
    """Addresses and labels, the home page first."""
    who = me.who
    places = [("/", N_("Home"))]
    if APPROVING in who.staff:
        places += [
            ("/staff/access-requests", N_("Access requests")),
            ("/staff/firms", N_("Firms")),
            ("/staff/accounts", N_("Accounts")),
            ("/staff/audit", N_("Audit")),
        ]
    if who.reviews:
        places.append(("/staff/reviews", N_("Review")))
    if who.has_groups:
        places.append(("/groups", N_("Groups and access")))
    if who.sees_business:
        places += [("/renewals", N_("Renewals")), ("/transactions", N_("Transactions"))]
    return places


def waits_at(me: SignedOn) -> str:
    """The address at which what waits for them is counted."""
    return "/staff/reviews" if me.who.reviews else "/transactions"
