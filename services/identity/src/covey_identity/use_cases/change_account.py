"""Somebody says what is different about them."""

from covey_chassis.access import Actor
from covey_chassis.outbox import emit
from covey_chassis.versions import check_version
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.audit import Author, Entry, audit
from covey_identity.domain.account import Account, PersonalData
from covey_identity.domain.mail import Seal
from covey_identity.queries_accounts import load_account


async def change_account(session: AsyncSession, actor: Actor, version: int, to: PersonalData, *, seal: Seal) -> Account:
    """Their own account, with these of its data changed.

    Raises:
        StaleVersion: it has changed since it was read.
        NotAPerson: it is a program's.
    """
    account = await load_account(session, actor.account_id)
    check_version(account, version)
    if changed := account.change(to, seal=seal):
        emit(session, account, changed)
        await audit(
            session, Entry(act="account.changed", author=Author.of(actor, "own account"), subjects=[account.id])
        )
    return account
