"""The subscriber in Go says of the same records exactly what the one in Python says, and is as tidy as Go code is."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from covey_chassis.settings import KafkaSettings
from covey_chassis.testing.broker import headers, new_topic, producing

from .programs import EXAMPLES, Line, running

SOURCE = EXAMPLES / "go-subscriber"
MODULES = {"GOFLAGS": "-mod=readonly -buildvcs=false"}  # go.sum says which, and nothing here changes it

# The first build fetches and compiles a Kafka client.
pytestmark = pytest.mark.timeout(600)


def go(*words: str) -> str:
    done = subprocess.run(
        ["go", *words], cwd=SOURCE, env=os.environ | MODULES, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module", autouse=True)
def go_is_there() -> None:
    """Whoever only works on the services needs no Go; where changes are accepted it must be there."""
    if shutil.which("go") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("Go is not there: see examples/README.md")
        pytest.skip("Go is not there: see examples/README.md")


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("go") / "subscriber"
    go("build", "-o", str(built), ".")
    return built


def test_the_source_is_formatted_and_nothing_in_it_is_suspicious() -> None:
    gofmt = Path(go("env", "GOROOT").strip()) / "bin" / "gofmt"
    unformatted = subprocess.run([gofmt, "-l", SOURCE], capture_output=True, text=True, check=True).stdout

    assert unformatted == ""
    go("vet", "./...")


def test_its_own_tests_pass() -> None:
    assert go("test", "-count=1", "./...").startswith("ok")


def test_its_modules_are_pinned_and_are_what_was_pinned() -> None:
    assert go("mod", "verify") == "all modules verified\n"
    assert go("mod", "tidy", "-diff") == ""


async def sound(producer: AIOKafkaProducer, first: str, second: str) -> None:
    """Two aggregates over two topics, one record twice, and a command."""
    for key, sequence, topic in (("p-1", 1, first), ("p-1", 2, second), ("p-2", 1, first), ("p-1", 3, first)):
        envelope = headers(topic, key, sequence=sequence, event_id=f"{key}-{sequence}")
        value = '{"weight": 3.10, "to": "Añil <b>\u2028", "tags": [], "gone": null}'
        for _ in range(2 if sequence == 3 else 1):
            await producer.send_and_wait(topic, value.encode(), key=key.encode(), headers=envelope)
    await producer.send_and_wait(first, b'"send it back"', key=b"p-1", headers=headers(first, "p-1", event_id="c-1"))


async def broken(producer: AIOKafkaProducer, first: str, second: str) -> None:
    """Everything that a subscriber may rely on, broken once."""
    right = headers(first, "p-3", sequence=1, event_id="e-1")
    await producer.send_and_wait(first, b"{}", key=b"p-3", headers=right)
    await producer.send_and_wait(first, b"[]", key=b"p-3", headers=right)
    for topic, sequence in ((first, 7), (first, 4), (first, 4), (second, 12)):
        envelope = headers(topic, "p-3", sequence=sequence)
        await producer.send_and_wait(topic, b"{}", key=b"p-3", headers=envelope)
    await producer.send_and_wait(first, b"{}", key=b"p-9", headers=headers(first, "p-4", sequence=1))
    await producer.send_and_wait(first, b"{}", key=None, headers=headers(first, "p-5", sequence=1))
    await producer.send_and_wait(first, b"{}", key=b"p-6", headers=headers("covey.toy.other.v1", "p-6", sequence=1))
    await producer.send_and_wait(first, b"{", key=b"p-7", headers=headers(first, "p-7", sequence=1))
    await producer.send_and_wait(first, None, key=b"p-7", headers=headers(first, "p-7", sequence=2))
    await producer.send_and_wait(first, b"{}", key=b"p-7", headers=[])
    odd = [(name, b"\xff" if name == "ce_source" else value) for name, value in headers(first, "p-7", sequence=3)]
    await producer.send_and_wait(first, b"{}", key=b"p-7", headers=odd)
    for said in (b"one", b"0", b"-1", b"", b"9223372036854775808"):
        envelope = [*headers(first, "p-7"), ("ce_sequence", said)]
        await producer.send_and_wait(first, b"{}", key=b"p-7", headers=envelope)


async def what_it_says(
    words: list[str | Path], kafka: KafkaSettings, topics: list[str], lines: int
) -> tuple[Any, int | None]:
    async with running(words, kafka, topics) as program:
        await program.written(lines)
        if "violations" not in program.lines[-1]:
            await program.stop()
        return program.lines, program.process.returncode


def comparable(lines: list[Line]) -> tuple[list[Line], Line]:
    """Without the moment of reading; topics are read in any order, each of them in its own."""
    *events, summary = lines
    by_topic = sorted(events, key=lambda line: line["type"])  # a stable sort
    return (
        [{name: value for name, value in line.items() if name != "received"} for line in by_topic],
        summary | {"violations": sorted(summary["violations"])},
    )


SAID = [
    "e-1: two different facts have this ID",
    "…: sequence 4 of p-3 comes after a higher one",
    "…: sequence 4 of p-3 comes after a higher one",
    "…: sequence 4 of p-3 stands twice",
    "…: the key is not the aggregate's ID",
    "…: the key is not the aggregate's ID",
    "…: the type is not the topic's name",
    "p-3: of its sequences 2 to 3, 5 to 6, 8 to 11 are missing",
    *[f"…/0 at {offset}: no event that can be read" for offset in (8, 9, 10, 11, 12, 13, 14, 15, 16)],
]


@pytest.mark.parametrize(
    ("story", "events", "code", "said"), [(sound, 5, 0, []), (broken, 8, 1, SAID)], ids=["sound", "broken"]
)
async def test_both_programs_say_the_same_of_the_same_records(
    kafka: KafkaSettings, binary: Path, story: Any, events: int, code: int, said: list[str]
) -> None:
    # One partition each: the records of one topic are read in one order.
    topics = [await new_topic(kafka, partitions=1), await new_topic(kafka, partitions=1)]
    async with producing(kafka) as producer:
        await story(producer, *topics)
        for topic in topics:  # whoever has written of these has read all before
            await producer.send_and_wait(topic, b"{}", key=b"end", headers=headers(topic, "end"))
    python, python_code = await what_it_says(
        [sys.executable, EXAMPLES / "downstream_subscriber.py"], kafka, topics, events + 2
    )
    go_lines, go_code = await what_it_says([binary], kafka, topics, events + 2)

    assert comparable(go_lines) == comparable(python)
    assert (go_code, python_code) == (code, code)
    violations = [re.sub(r"^[0-9a-f-]{36}|^covey\.toy\.\w+\.v1", "…", each) for each in go_lines[-1]["violations"]]
    assert sorted(violations) == sorted(said)
