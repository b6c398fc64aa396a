"""Somebody proves another address, by a token that was mailed to it."""

from covey_chassis.access import Actor
from covey_chassis.service import Context
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.audit import Author, Entry, audit
from covey_identity.domain.account import Account
from covey_identity.domain.bearer_secret import digest
from covey_identity.domain.mailed_token import MailedTokenNotGood, TokenUse
from covey_identity.queries_accounts import forget_mailed_tokens, hold_address, load_account, mailed_token
from covey_identity.use_cases.choose_address import write_to


async def prove_address(context: Context, session: AsyncSession, actor: Actor, token: str) -> Account:
    """The address is theirs, and they are written to at it from now on; at the former one they are told so.

    Raises:
        MailedTokenNotGood: the token is not, or not any more; it is another account's; or the address is somebody's by now.
    """
    at = context.clock.now()
    kept = await mailed_token(session, digest(token), TokenUse.ADD_ADDRESS)
    if kept is None or kept.account_id != actor.account_id or not kept.is_good(at=at):
        raise MailedTokenNotGood
    if await hold_address(session, kept.email) is not None:
        raise MailedTokenNotGood
    account = await load_account(session, actor.account_id)
    account.keep_address(kept.email, at=at)
    await write_to(session, account, kept.email, seal=context.keyring.seal)
    await audit(session, Entry(act="address.proven", author=Author.of(actor, "mailed token"), subject_id=account.id))
    await forget_mailed_tokens(session, account.id, TokenUse.ADD_ADDRESS, email=kept.email)
    return account
