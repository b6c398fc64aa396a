"""An email as it is sent: headers and both texts."""

from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from covey_notifications.mailbox import in_header
from covey_notifications.texts import Text


@dataclass(frozen=True)
class Letter:
    """A message and its envelope."""

    sender: str
    recipient: str
    message: EmailMessage


def compose(text: Text, *, message_id: str, reference: str, sender: Address, to: Address, at: datetime) -> Letter:
    """The email. All of its parts are 7 bit, so that any mail server takes it."""
    message = EmailMessage(policy=SMTP)
    message["Message-ID"] = message_id
    message["Date"] = format_datetime(at)
    message["From"] = sender
    message["To"] = to
    message["Subject"] = in_header(text.subject, longest=200)
    message["Auto-Submitted"] = "auto-generated"
    message["X-Covey-Reference"] = reference
    message.set_content(text.plain, cte="quoted-printable")
    message.add_alternative(text.html, subtype="html", cte="quoted-printable")
    message["Content-Language"] = text.language
    return Letter(sender=sender.addr_spec, recipient=to.addr_spec, message=message)
