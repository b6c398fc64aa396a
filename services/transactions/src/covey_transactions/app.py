"""The transactions service: what it is made of."""

from covey_chassis.service import Service

from covey_transactions.acts import keep_act
from covey_transactions.consumers import groups, renewals
from covey_transactions.decisions import decisions
from covey_transactions.http import representatives, reviews, saved_searches, transactions
from covey_transactions.settings import TransactionsSettings

service = Service(
    name="transactions",
    summary="Renewal changes from the first draft to the carrier's decision: saved, submitted, reviewed.",
    settings=TransactionsSettings,
    routers=[
        transactions.router,
        transactions.history,
        saved_searches.router,
        reviews.router,
        representatives.router,
    ],
    consumers=[groups, renewals, decisions],
    acts=keep_act,
)
