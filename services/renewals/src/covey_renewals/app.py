"""The renewals service: what it is made of."""

from covey_chassis.acts import published_as
from covey_chassis.service import Service
from covey_contracts.renewals import RenewalsActRecorded

from covey_renewals import http
from covey_renewals.consumers import firms, groups, transactions
from covey_renewals.settings import RenewalsSettings
from covey_renewals.workers import sweeping

service = Service(
    name="renewals",
    summary="Keeps the book of business, and each group's renewal for the coming plan year.",
    settings=RenewalsSettings,
    routers=[http.router],
    consumers=[groups, firms, transactions],
    workers=[sweeping],
    acts=published_as(RenewalsActRecorded),
)
