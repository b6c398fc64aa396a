"""``python -m covey_notifications.texts FOLDER`` writes a sample of every text, as HTML and as plain text, to look at."""

import sys
from datetime import date
from pathlib import Path

from covey_notifications.domain.notification import Kind, Recipient
from covey_notifications.texts import DATES, render

NAMES = {
    "usual": ("Ann Signer", "Oak Street Bakery, Inc."),
    "absurd": ('محمد <b>O\'Hara</b>, "Bob" 🎉', "Ærøskøbing & Søhne <script>alert(1)</script> " + "Nomenomenomen" * 20),
}


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for language in DATES:
        for kind in Kind:
            for recipient in Recipient:
                for how, (name, legal_name) in NAMES.items():
                    text = render(
                        kind,
                        language,
                        recipient=recipient,
                        name=name,
                        legal_name=legal_name,
                        group_number="G-100042",
                        plan_year=2027,
                        effective_date=date(2027, 7, 1),
                        reference="0190c4e2-7b1a-7c3d-9a51-2f6f0f1d0b7a",
                    )
                    sample = folder / f"{language}-{kind}-{recipient}-{how}"
                    sample.with_suffix(".html").write_text(text.html)
                    sample.with_suffix(".txt").write_text(f"{text.subject}\n\n{text.plain}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
