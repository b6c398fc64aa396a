"""Who may do what. A service's routes and consumers need little else; the protocol is in ``docs/access.md``."""

from covey_chassis.access.checking import (
    AccessUnverified,
    AccountLocked,
    Actor,
    KeyNotRegistered,
    NotYours,
    Sight,
    check_account,
    check_signed,
)
from covey_chassis.access.requiring import Again, By, InSight, SightAgain, public, requires, sees, signed_on, staff
from covey_chassis.access.rights import FirmRight, Right, StaffRight
from covey_chassis.access.rows import see_all_groups, see_group
from covey_chassis.access.tokens import SignOnNeeded

__all__ = [
    "AccessUnverified",
    "AccountLocked",
    "Actor",
    "Again",
    "By",
    "FirmRight",
    "InSight",
    "KeyNotRegistered",
    "NotYours",
    "Right",
    "Sight",
    "SightAgain",
    "SignOnNeeded",
    "StaffRight",
    "check_account",
    "check_signed",
    "public",
    "requires",
    "see_all_groups",
    "see_group",
    "sees",
    "signed_on",
    "staff",
]
