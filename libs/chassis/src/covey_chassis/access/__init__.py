"""Who may do what. A service's routes need nothing but this module; the protocol is in ``docs/access.md``."""

from covey_chassis.access.checking import AccessUnverified, AccountLocked, Actor, NotYours, Sight
from covey_chassis.access.requiring import Again, By, InSight, public, requires, sees, signed_on, staff
from covey_chassis.access.rights import FirmRight, Right, StaffRight
from covey_chassis.access.tokens import SignOnNeeded

__all__ = [
    "AccessUnverified",
    "AccountLocked",
    "Actor",
    "Again",
    "By",
    "FirmRight",
    "InSight",
    "NotYours",
    "Right",
    "Sight",
    "SignOnNeeded",
    "StaffRight",
    "public",
    "requires",
    "sees",
    "signed_on",
    "staff",
]
