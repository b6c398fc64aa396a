"""Where a message leads: the page of the portal on which its reader goes on, where there is a portal."""

from collections.abc import Mapping
from urllib.parse import quote

from covey_notifications.domain.notification import REQUESTED, Kind, Notification

WITH_TOKEN: Mapping[Kind, str] = {
    Kind.VERIFY_ADDRESS: "/register/verification",
    Kind.RESET_PASSWORD: "/forgotten/password/reset",
    Kind.VERIFY_NEW_ADDRESS: "/account/addresses/verification",
}
"""Pages that ask for what the message brings. They do nothing by being opened: somebody has to press a button there."""

TO_SIGN_ON = frozenset({Kind.ALREADY_REGISTERED, Kind.FORGOTTEN_USER_ID})
NOWHERE = frozenset({Kind.NO_ACCOUNT, Kind.ACCESS_REMOVED, Kind.TRANSACTION_ASSIGNED, Kind.TRANSACTION_WITHDRAWN})
"""Whoever reads these can do nothing there, or the page is not theirs to see any more."""


def link_of(notification: Notification, portal_url: str | None, token: object) -> str | None:
    """The page's address; None where there is no page, or no portal."""
    path = _path(notification, token) if portal_url else None
    return None if path is None else f"{portal_url}{path}"


def _path(notification: Notification, token: object) -> str | None:
    kind = notification.kind
    if kind in NOWHERE:
        return None
    if kind in WITH_TOKEN:
        return f"{WITH_TOKEN[kind]}?token={quote(str(token), safe='')}" if token else None
    if kind in TO_SIGN_ON:
        return "/sign-on"
    if kind in REQUESTED:
        return "/account"
    if kind is Kind.ACCESS_CODE:
        return "/access-code"
    if kind is Kind.RENEWAL_AVAILABLE:
        return "/renewals"
    if notification.transaction_id is not None:
        return f"/transactions/{notification.transaction_id}"
    return f"/groups/{notification.group_id}"
