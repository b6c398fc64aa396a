"""What transactions tells the audit of."""

from covey_chassis.acts import published_as
from covey_contracts.transactions import TransactionsActRecorded

keep_act = published_as(TransactionsActRecorded)
