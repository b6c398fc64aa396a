"""The membership service: what it is made of."""

from covey_chassis.acts import published_as
from covey_chassis.service import Service
from covey_contracts.membership import MembershipActRecorded

from covey_membership import http
from covey_membership.consumers import approvals
from covey_membership.workers import importing

service = Service(
    name="membership",
    summary="Owns the groups: their profile, contacts, billing units, plans and broker of record.",
    routers=[http.groups, http.imports],
    consumers=[approvals],
    workers=[importing],
    acts=published_as(MembershipActRecorded),
)
