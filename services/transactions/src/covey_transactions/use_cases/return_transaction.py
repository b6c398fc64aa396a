"""The carrier sends back what was submitted, to be corrected."""

from datetime import datetime
from uuid import UUID

from covey_chassis.db import load
from covey_chassis.outbox import emit
from covey_contracts.transactions import ReturnLetter
from sqlalchemy.ext.asyncio import AsyncSession

from covey_transactions import queries
from covey_transactions.domain.decision import Return
from covey_transactions.domain.representative import Representative, RepresentativeIsGone
from covey_transactions.domain.transaction import Seal, Transaction, TransactionNotFound


async def return_transaction(
    session: AsyncSession, transaction_id: UUID, said: Return, *, by: UUID, at: datetime, seal: Seal
) -> Transaction:
    """Let its owner act, with the representative's help. Both are told.

    Raises:
        TransactionNotFound: there is none.
        RepresentativeIsGone: the representative is not on the list.
        IllegalMove: it is not under review.
        RoundIsOver: it is another round by now.
        OwnTransaction: the reviewer has worked on it.
        ClaimedBySomebodyElse: another one's claim lasts.
    """
    transaction = await load(session, Transaction, transaction_id, missing=TransactionNotFound)
    transaction.follow(await queries.renewal_behind(session, transaction))
    representative = await session.get(Representative, said.representative_id)
    if representative is None:
        raise RepresentativeIsGone(representative_id=said.representative_id)
    letter = ReturnLetter(
        instructions=said.instructions, required_items=said.required_items, representative=representative.help()
    )
    emit(session, transaction, transaction.send_back(said.round, letter, by=by, at=at, seal=seal))
    return transaction
