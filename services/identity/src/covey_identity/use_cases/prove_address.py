"""Somebody proves another address, by a token that was mailed to it."""

from covey_chassis.access import Actor
from covey_chassis.service import Context
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.audit import Author, Entry, audit, refusals_audited
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
    author = Author.of(actor, "mailed token")
    async with refusals_audited(context, "address.proven", author, session=session):
        at, token_sha256 = context.clock.now(), digest(token)
        kept = await mailed_token(session, token_sha256, TokenUse.ADD_ADDRESS)
        if kept is None or kept.account_id != actor.account_id or not kept.is_good(at=at):
            raise MailedTokenNotGood
        if await hold_address(session, kept.email) is not None:
            raise MailedTokenNotGood
        account = await load_account(session, actor.account_id)
        if await mailed_token(session, token_sha256, TokenUse.ADD_ADDRESS) is None:
            raise MailedTokenNotGood  # gone since, with the password that it was asked for by
        account.keep_address(kept.email, at=at)
        await write_to(session, account, kept.email, seal=context.keyring.seal)
        await forget_mailed_tokens(session, account.id, TokenUse.ADD_ADDRESS, email=kept.email)
        await audit(session, Entry(act="address.proven", author=author, subjects=[account.id]))
        return account
