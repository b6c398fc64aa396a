from datetime import UTC, date, datetime
from email import message_from_bytes
from email.header import decode_header, make_header
from email.policy import SMTP, default
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from covey_chassis.access import Right
from covey_notifications import texts
from covey_notifications.domain.notification import Kind
from covey_notifications.letter import compose
from covey_notifications.mailbox import UnusableAddress, address, in_header, lines, one_line, parsed
from covey_notifications.texts import render, spoken
from covey_notifications.texts.__main__ import LINK, NAMES, main, samples
from covey_notifications.texts.words import DATES, in_a_column, in_fours, in_short, to_the_minute, written_out

ABSURD = {
    "three hundred characters": "x" * 300,
    "three hundred characters of another script": "é" * 300,
    "commas and quotes": 'O"Hara, "Bob" & Söhne, Inc. <evil@mail.example>',
    "emoji": "🎉 Party 👨‍👩‍👧‍👦, Inc.",
    "right to left": "مخبز، شارع البلوط",
    "turned around": "\u202eevil\u202c Inc.",
    "markup": "<script>alert(1)</script>",
    "a template": "{{ 7 * 7 }}{% raw %}",
    "line breaks": "Bakery\r\nBcc: evil@mail.example\r\n\r\nBuy",
    "other line breaks": "Bakery\nBcc: a@b.example\x0b\x0c\x85\u2028\u2029x\x1b[31m",
    "an encoded line break": "=?utf-8?q?x=0D=0ABcc:_evil@mail.example?=",
    "an encoded line break in another script": "é =?utf-8?b?eA0KQmNjOiBldmlsQG1haWwuZXhhbXBsZQ==?=",
    "nothing": "",
}
HEADERS = {
    "Message-ID",
    "Date",
    "From",
    "To",
    "Subject",
    "Auto-Submitted",
    "Content-Language",
    "X-Covey-Reference",
    "MIME-Version",
    "Content-Type",
}


def written(*, name="Ann Signer", legal_name="Oak Street Bakery", recipient="contract-signer", email="ann@oak.example"):
    text = render(
        "renewal-available",
        "en",
        recipient=recipient,
        name=name,
        legal_name=legal_name,
        group_number="G-100042",
        plan_year=2027,
        effective_date=date(2027, 7, 1),
        reference="0190aaaa-0000-7000-8000-000000000001",
    )
    letter = compose(
        text,
        message_id="<renewal-available.x@mail.covey>",
        reference="0190aaaa-0000-7000-8000-000000000001",
        sender=parsed("Covey <no-reply@carrier.example>"),
        to=address(name, email),
        at=datetime(2027, 4, 17, 12, tzinfo=UTC),
    )
    return letter.message.as_bytes(policy=SMTP)


def parts(raw):
    message = message_from_bytes(raw, policy=default)
    plain, html = message.iter_parts()
    return message, plain.get_content().replace("\r\n", "\n"), html.get_content().replace("\r\n", "\n")


def test_the_message_says_what_it_is_about():
    message, plain, html = parts(written())

    assert message["Subject"] == "Renewal available: Oak Street Bakery"
    assert message["From"] == "Covey <no-reply@carrier.example>"
    assert message["To"] == "Ann Signer <ann@oak.example>"
    assert message["Message-ID"] == "<renewal-available.x@mail.covey>"
    assert message["Date"] == "Sat, 17 Apr 2027 12:00:00 +0000"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content_type() == "multipart/alternative"
    for text in (plain, html):
        assert "Ann Signer" in text
        assert "Oak Street Bakery" in text
        assert "G-100042" in text
        assert "2027" in text
        assert "July 1, 2027" in text
        assert "contract signer" in text
        assert "0190aaaa-0000-7000-8000-000000000001" in text
    assert '<html lang="en"' in html


def test_a_broker_reads_why_they_are_told():
    _, plain, html = parts(written(recipient="broker"))

    assert "your firm is the group's broker of record" in plain
    assert "broker of record" in html
    assert "contract signer" not in plain + html


def test_nothing_is_loaded_from_elsewhere_and_nobody_is_traced():
    _, _, html = parts(written())

    for trace in ("<img", "<script", "<link", "url(", "@import", "http:", "https:"):
        assert trace not in html


@pytest.mark.parametrize("absurd", ABSURD.values(), ids=ABSURD.keys())
def test_absurd_names_make_one_sound_message(absurd):
    raw = written(name=absurd, legal_name=absurd)
    message, plain, html = parts(raw)

    assert set(message.keys()) == HEADERS
    assert len(message.keys()) == len(HEADERS)
    assert not message.defects
    assert raw.isascii()
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    (to,) = message["To"].addresses
    assert to.addr_spec == "ann@oak.example"
    raw_to = str(make_header(decode_header(message_from_bytes(raw)["To"].replace("\r\n", ""))))
    assert " ".join(to.display_name.split()).replace(" ", "") == in_header(absurd).replace(" ", ""), raw_to
    assert message["Subject"].replace(" ", "") == f"Renewal available: {in_header(absurd)}".replace(" ", "")
    assert one_line(absurd) in plain
    assert "<script>" not in html
    assert "{{" not in html.replace("{{ 7 * 7 }}", "")
    for text in (plain, html):
        assert "\nBcc" not in text
        assert "\u202e" not in text
        assert "\x1b" not in text


def test_html_is_escaped():
    _, _, html = parts(written(name='<b>"Ann" & Co', legal_name="<script>alert('x')</script>"))

    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;" in html
    assert "&lt;b&gt;&#34;Ann&#34; &amp; Co" in html


def test_long_names_are_cut_in_headers_only():
    message, plain, html = parts(written(legal_name="x" * 300))

    assert message["Subject"] == "Renewal available: " + "x" * 99 + "…"
    assert "x" * 300 in plain
    assert "x" * 300 in html


@pytest.mark.parametrize(
    "email",
    [
        "",
        "ann",
        "ann@",
        "@oak.example",
        "ann@oak@oak.example",
        "ann smith@oak.example",
        "ann@oak.example, bob@oak.example",
        "ann@oak.example>\r\nRCPT TO:<bob@oak.example",
        "ann@oak.example\r\nBcc: bob@oak.example",
        "Ann <ann@oak.example>",
        "ann@oak..example",
        "ann@-oak.example",
        "ann@oak.example SIZE=1",
        "=?utf-8?q?ann=0D=0ABcc:x?=@oak.example",
        "a" * 65 + "@oak.example",
        "ann@" + "oak." * 80 + "example",
    ],
)
def test_what_is_not_one_address_is_refused(email):
    with pytest.raises(UnusableAddress):
        address("Ann", email)


@pytest.mark.parametrize(
    ("email", "sent_to"),
    [
        ("ann@oak.example", "ann@oak.example"),
        (" Ann.O'Hara+renewals@Oak.Example ", "Ann.O'Hara+renewals@Oak.Example"),
        ("ann@bücher.example", "ann@xn--bcher-kva.example"),
        ("änn@oak.example", "änn@oak.example"),
    ],
)
def test_addresses_are_sent_to_as_they_are_with_an_ascii_domain(email, sent_to):
    assert address("Ann", email).addr_spec == sent_to


SAMPLES = dict(samples())


def test_every_kind_has_its_three_texts_in_every_language_and_samples_are_written_of_them_all(tmp_path):
    folder = Path(texts.__file__).parent
    for language in DATES:
        kinds = {each.name for each in (folder / language).iterdir() if each.is_dir()}
        assert kinds == set(Kind)
        for kind in kinds:
            files = {each.name for each in (folder / language / kind).iterdir()}
            assert files == {"subject.txt", "body.txt", "body.html"}
            assert [name for name in SAMPLES if name.startswith(f"{language}-{kind}-")]

    main(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2 * len(SAMPLES)


@pytest.mark.parametrize("name", SAMPLES)
def test_every_text_is_whole_and_sound(name):
    text = SAMPLES[name]
    language, how = name.split("-")[0], name.rsplit("-", 1)[-1]
    person, _ = NAMES[how]

    assert text.language == language
    assert f'<html lang="{language}"' in text.html
    assert text.subject
    assert "\n" not in text.subject
    assert person in text.plain
    assert "0190c4e2-7b1a-7c3d-9a51-2f6f0f1d0b7a" in text.plain
    assert "0190c4e2-7b1a-7c3d-9a51-2f6f0f1d0b7a" in text.html
    for part in (text.subject, text.plain, text.html):
        assert "None" not in part
        assert "{{" not in part
        assert "{%" not in part
    assert text.html.count(f'href="{LINK}"') == 1
    assert text.plain.splitlines().count(LINK) == 1
    for trace in ("<img", "<script", "<link", "url(", "@import", "http:", "https:", "<b>"):
        assert trace not in text.html.replace(LINK, "")
    assert text.html.count("<p") == text.html.count("</p>")
    assert text.html.count("<table") == text.html.count("</table>")
    assert "\n\n\n" not in text.plain
    assert not [line for line in text.plain.splitlines() if line != line.rstrip()]
    if how == "usual":
        assert max(map(len, text.plain.splitlines())) <= 100


def test_the_languages_say_different_things():
    for name, text in SAMPLES.items():
        if name.startswith("en-"):
            other = SAMPLES["es-" + name.removeprefix("en-")]
            assert text.subject != other.subject
            assert set(text.plain.splitlines()).isdisjoint(
                line for line in other.plain.splitlines() if line and line[0] != " " and "token" not in line
            )  # what is put in, such as a reviewer's words, stands further in


def test_the_renewal_reads_in_spanish():
    text = SAMPLES["es-renewal-available-broker-usual"]

    assert text.subject == "Renovación disponible: Oak Street Bakery, Inc."
    assert "comienza el 1 de julio de 2027" in text.plain
    assert "agente registrado" in text.plain


def test_what_has_to_be_done_reads_in_spanish():
    text = SAMPLES["es-action-required-second-round-usual"]

    assert text.subject == "Acción requerida: Oak Street Bakery, Inc."
    assert "Ronda:               2\n" in text.plain
    assert "Planes por clase:    Full-time: 3\n                     Part-time: 1\n" in text.plain
    assert "Quién le ayuda" in text.html


def test_what_a_reviewer_wrote_keeps_its_lines_and_its_direction():
    text = SAMPLES["en-action-required-first-round-absurd"]

    assert "\n    <b>Now</b> & see www.evil.example\n\n    يرجى تصحيح المساهمة.\n    Nomen" in text.plain
    assert text.html.count('<div dir="auto"') == 4
    assert "&lt;b&gt;Now&lt;/b&gt;" in text.html
    assert text.html.count("<a ") == 1  # the page, and nothing that the reviewer wrote


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("one", ["one"]),
        ("one\r\ntwo\rthree\u2028four", ["one", "two", "three", "four"]),
        ("\n \none\n\t\n\n\ntwo  words\n\n", ["one", "", "two words"]),
        ("", [""]),
    ],
)
def test_lines_are_kept_and_paragraphs_are_one_empty_line_apart(written, kept):
    assert lines(written) == kept


def test_a_column_is_narrow_and_leaves_what_has_no_spaces_whole():
    address = "https://carrier.example/" + "a-b" * 40

    assert in_a_column(["word " * 20, "", address]) == f"{'word ' * 13}\nword {'word ' * 6}".replace(
        " \n", "\n"
    ).rstrip() + (f"\n\n{address}")


def test_every_right_has_words_in_every_language():
    assert in_short(["members.update", "billing.view"], "en") == "Members: view, update; Billing: view"
    assert in_short(["members.update", "billing.view"], "es") == "Miembros: ver, modificar; Facturación: ver"
    for language in DATES:
        for right in Right:
            assert in_short([right], language) != "–"


def test_rights_that_are_not_known_are_passed_over():
    assert in_short(["rockets.launch", "billing.view", "odd"], "en") == "Billing: view"
    assert in_short(["rockets.launch"], "en") == "–"


@pytest.mark.parametrize(
    ("hour", "english", "spanish"),
    [
        (0, "July 1, 2027, 12:05 AM PDT", "1 de julio de 2027, 12:05 a. m. PDT"),
        (11, "July 1, 2027, 11:05 AM PDT", "1 de julio de 2027, 11:05 a. m. PDT"),
        (12, "July 1, 2027, 12:05 PM PDT", "1 de julio de 2027, 12:05 p. m. PDT"),
        (23, "July 1, 2027, 11:05 PM PDT", "1 de julio de 2027, 11:05 p. m. PDT"),
    ],
)
def test_a_time_is_written_out_with_its_zone(hour, english, spanish):
    moment = datetime(2027, 7, 1, hour, 5, tzinfo=ZoneInfo("America/Los_Angeles"))

    assert to_the_minute(moment, "en") == english
    assert to_the_minute(moment, "es") == spanish


def test_every_month_has_a_name():
    for language in DATES:
        assert len({written_out(date(2027, month, 1), language) for month in range(1, 13)}) == 12


def test_a_code_is_read_in_fours_however_it_came():
    assert in_fours("7F3K9QWD2MXRV0TA") == in_fours("7F3K-9QWD 2MXR-V0TA") == "7F3K-9QWD-2MXR-V0TA"


@pytest.mark.parametrize(
    ("reads", "texts_in"), [("en", "en"), ("es", "es"), ("es-MX", "es"), ("ES", "es"), ("tlh", "en"), ("", "en")]
)
def test_a_language_without_texts_is_english(reads, texts_in):
    assert spoken(reads) == texts_in
