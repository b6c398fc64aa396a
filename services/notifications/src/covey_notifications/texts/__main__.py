"""``python -m covey_notifications.texts FOLDER`` writes a sample of every text, as HTML and as plain text, to look at."""

import sys
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from covey_contracts.identity import GrantRole

from covey_notifications.domain.notification import Kind, Recipient
from covey_notifications.mailbox import lines
from covey_notifications.texts import Text, Value, render
from covey_notifications.texts.words import DATES

NAMES = {
    "usual": ("Ann Signer", "Oak Street Bakery, Inc."),
    "absurd": ('محمد <b>O\'Hara</b>, "Bob" 🎉', "Ærøskøbing & Søhne <script>alert(1)</script> " + "Nomenomenomen" * 20),
}
LINK = "https://portal.carrier.example/register/verification?token=Zm9yIGEgc2FtcGxlIGFsb25l"
SAID = {
    "usual": "Please correct the contribution for part-time employees.\n\nThen submit:\n1. by June 30\n2. with the form.",
    "absurd": "<b>Now</b> & see www.evil.example\r\n\r\nيرجى تصحيح المساهمة\u202e.\n" + "Nomenomenomen" * 376,
}
"""What a reviewer wrote: instructions, or a reason."""
BY_ROLE: dict[str, dict[str, Value]] = {role: {"role": role} for role in GrantRole}
VARIANTS: dict[Kind, dict[str, dict[str, Value]]] = {
    Kind.RENEWAL_AVAILABLE: {each: {"recipient": each} for each in (Recipient.CONTRACT_SIGNER, Recipient.BROKER)},
    Kind.ACCESS_CODE: BY_ROLE,
    Kind.RIGHTS_CHANGED: {"all-units": {}, "two-units": {"billing_units": ("001", "002")}},
    Kind.ACCESS_REMOVED: BY_ROLE,
    Kind.ACTION_REQUIRED: {"first-round": {"round": 1, "required_items": ()}, "second-round": {}},
    Kind.TRANSACTION_APPROVED: {each: {"recipient": each} for each in (Recipient.OWNER, Recipient.CONTRACT_SIGNER)},
}
"""What else a kind's text depends on."""


def samples() -> Iterator[tuple[str, Text]]:
    """Every text, in every language, with usual and with absurd names; each with the name of its file."""
    for language in DATES:
        for kind in Kind:
            for variant, facts in VARIANTS.get(kind, {"": {}}).items():
                for how, (name, legal_name) in NAMES.items():
                    values = _facts(name, legal_name, SAID[how]) | facts
                    named = "-".join(filter(None, (language, kind, variant, how)))
                    yield named, render(kind, language, link=LINK, **values)


def _facts(name: str, legal_name: str, said: str) -> dict[str, Value]:
    return {
        "name": name,
        "reference": "0190c4e2-7b1a-7c3d-9a51-2f6f0f1d0b7a",
        "recipient": Recipient.HOLDER,
        "group_number": "G-100042",
        "legal_name": legal_name,
        "effective_date": date(2027, 7, 1),
        "plan_year": 2027,
        "role": GrantRole.SECONDARY,
        "rights": ("members.update", "billing.view"),
        "billing_units": None,
        "expires_at": datetime(2027, 4, 24, 14, 5, tzinfo=ZoneInfo("America/Los_Angeles")),
        "code": "EXMP-EXMP-EXMP-0001",
        "token": "an-example-of-a-token",
        "user_id": "d45634",
        "holder": name,
        "holder_user_id": "d45634",
        "transaction_id": "0190c4e2-0000-7c3d-9a51-2f6f0f1d0b7a",
        "round": 2,
        "plans_by_class": ("Full-time: 3", "Part-time: 1"),
        "enrollments": 4,
        "terminations": 1,
        "instructions": lines(said),
        "reason": lines(said),
        "required_items": ("Signed form", legal_name),
        "representative_name": name,
        "representative_phone": "(555) 010-0199",
        "representative_email": "rita@carrier.example",
    }


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in samples():
        (folder / f"{name}.html").write_text(text.html)
        (folder / f"{name}.txt").write_text(f"{text.subject}\n\n{text.plain}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
