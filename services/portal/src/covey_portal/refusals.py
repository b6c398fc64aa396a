"""What services refuse, in the portal's words, by the problem's code."""

import math
from collections.abc import Mapping

from covey_portal.calling import Refused
from covey_portal.languages import N_, Counted, Sentence

OTHERWISE = N_("This could not be done. Check what you entered, and try again.")

SENTENCES: Mapping[str, str] = {
    # sent twice
    "command-in-progress": N_("You have sent this a moment before, and it is being done. Wait, then send it again."),
    "idempotency-key-reused": N_("You have sent this before with something else in it. Check it, and send it again."),
    "unacceptable-value": N_("Something in it cannot be stored. Check what you entered, and try again."),
    # signing on
    "sign-on-refused": N_("The user ID or the password is not right. Check both, and try again."),
    "account-locked": N_("This account is locked. Call us, and we will help you."),
    "too-busy": N_("Too many people are signing on right now. Wait a moment, then try again."),
    "challenge-not-good": N_("You showed your password too long ago. Sign on again."),
    "factor-code-wrong": N_("The code is not right. Enter the six digits that your app shows now, or a recovery code."),
    "passkeys-not-offered": N_("Passkeys are not offered here. Sign on with your password."),
    "passkey-refused": N_("This passkey is not one of yours with us. Sign on with your password."),
    "passkey-copied": N_("This passkey may have been copied. Sign on with your password, and remove it."),
    "passkey-not-good": N_("The passkey could not be checked. Try again."),
    "passkey-already-registered": N_("This passkey is yours already."),
    "too-many-passkeys": N_("You have as many passkeys as one can have. Remove one first."),
    # codes
    "code-not-good": N_("This code is not right for you. Check it against the email, and enter it again."),
    "already-has-access": N_("You have access to this group already."),
    # mailed tokens and passwords
    "verification-not-good": N_("This link is no longer good, or was used already. Register again to get another one."),
    "mailed-token-not-good": N_("This link is no longer good, or was used already. Ask for another one."),
    "password-not-good": N_(
        "Choose another password: 8 to 128 characters, not one that is commonly used, and not your name."
    ),
    "password-wrong": N_("The password is not right."),
    # one's own account
    "address-already-yours": N_("This address is yours already."),
    "address-not-found": N_("This is none of your addresses."),
    "main-address-stays": N_("We write to you at this address. Choose another one for that first."),
    "second-factor-on": N_("Your second factor is on already."),
    "second-factor-off": N_("You have no second factor."),
    "stale-version": N_("Somebody changed this while you were looking at it. Look at it as it is now, and try again."),
    # managing access
    "more-than-you-hold": N_("You can give the rights that you hold, and no others."),
    "user-already-there": N_("This person has access already, or was invited."),
    "user-not-found": N_("This person has no access any more."),
    "primary-is-the-carriers": N_("The primary administrator is chosen by us: call us to change it."),
    "primary-holds-everything": N_("A primary administrator holds every right."),
    "not-broker-of-record": N_("This firm is not the group's broker of record."),
    "already-broker-of-record": N_("This firm is the group's broker of record already."),
    "appointment-not-found": N_("This firm is not the group's broker of record any more."),
    "firm-not-found": N_("We do not know this firm."),
    "already-firm-member": N_("They are a member of this firm already."),
    "firm-member-not-found": N_("They are no member of this firm any more."),
    "account-not-found": N_("There is no such account."),
    "own-account": N_("This is your own account: somebody else does that."),
    "not-yours": N_("You do not have access to this."),
    # saved searches
    "search-name-taken": N_("You have a search with this name already. Choose another name."),
    "too-many-saved-searches": N_("You have as many saved searches as one can have. Delete one first."),
    "saved-search-not-found": N_("You have no such search any more."),
    # requests
    "access-request-not-found": N_("There is no request with this reference number. Check it, and try again."),
    "group-does-not-match": N_("The group that you chose is not the one that the form names."),
    "group-not-found": N_("There is no such group."),
    "own-approval": N_("You approved this yourself: nobody gives access to themselves."),
    "own-request": N_("You are named in this request: somebody else decides it."),
    "illegal-move": N_("This has been done already, or can no longer be done."),
}


THE_CARRIER, THE_PRIMARY = "the carrier", "the group's primary administrator"
"""Whom identity names, in the detail of a refusal, to ask about a code."""
OF_CODES: Mapping[tuple[str, str], str] = {
    ("code-expired", THE_CARRIER): N_(
        "This code has expired: codes are good for 7 days. Call us, and we will send you another one."
    ),
    ("code-expired", THE_PRIMARY): N_(
        "This code has expired: codes are good for 7 days. Ask the group's primary administrator for another one."
    ),
    ("code-used", THE_CARRIER): N_("This code has been used already, and is good once. If that was not you, call us."),
    ("code-used", THE_PRIMARY): N_(
        "This code has been used already, and is good once. If that was not you, tell the group's primary administrator."
    ),
    ("code-replaced", THE_CARRIER): N_(
        "A newer code was sent to you. Enter that one: it is in the latest email. If you cannot find it, call us."
    ),
    ("code-replaced", THE_PRIMARY): N_(
        "A newer code was sent to you. Enter that one: it is in the latest email. If you cannot find it, ask the group's"
        " primary administrator."
    ),
}
"""What is said to whoever a code was for, and whom they ask (R-05)."""


def _too_many(wait_s: int) -> Counted:
    if wait_s > 3600:
        return Counted(
            "There were too many attempts. Wait %(num)s hour, then try again.",
            "There were too many attempts. Wait %(num)s hours, then try again.",
            math.ceil(wait_s / 3600),
        )
    return Counted(
        "There were too many attempts. Wait %(num)s minute, then try again.",
        "There were too many attempts. Wait %(num)s minutes, then try again.",
        max(1, math.ceil(wait_s / 60)),
    )


def known_sentence(refused: Refused) -> Sentence | None:
    """What to say to a person, in English, to be translated; None for a refusal that has no words of its own here."""
    if refused.code == "too-many-attempts":
        return _too_many(refused.wait_s)
    of_code = (said for (code, whom), said in OF_CODES.items() if code == refused.code and whom in refused.detail)
    return next(of_code, SENTENCES.get(refused.code))


def sentence_of(refused: Refused) -> Sentence:
    """What to say to a person, whatever was refused."""
    return known_sentence(refused) or OTHERWISE
