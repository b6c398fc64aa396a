"""What others made and browsers get is what its checksum says, under its licence."""

import hashlib
from importlib import resources

STATIC = resources.files("covey_portal") / "static"


def test_vendored_files_are_as_they_came():
    listed = [line.split() for line in (STATIC / "vendored.sha256").read_text().splitlines()]

    assert listed
    for digest, name in listed:
        assert hashlib.sha256((STATIC / name).read_bytes()).hexdigest() == digest
    assert {name for _, name in listed} == {each.name for each in STATIC.iterdir() if ".min." in each.name}
    assert (STATIC / "htmx.LICENSE").is_file()


def test_a_first_visit_loads_little():
    assert sum(len((STATIC / name).read_bytes()) for name in ("covey.css", "covey.js", "htmx-4.0.1.min.js")) < 90_000
