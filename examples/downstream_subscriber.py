"""A stranger's program: it follows Covey's events with aiokafka alone, and knows nothing of Covey but the topics' names.

    python downstream_subscriber.py --kafka 127.0.0.1:9092 covey.renewal.available.v1 covey.renewal.changed.v1

Where Kafka asks who connects, `--user NAME` signs on (SASL, SCRAM-SHA-512), with the password in `KAFKA_PASSWORD`.

It reads each topic from the beginning, takes the envelope from the CloudEvents headers (binary binding) and the fact from
the value's plain JSON, and writes one JSON line an event to standard output. While doing so it checks what any subscriber
may rely on:

- the record's key is the aggregate's ID, which ce_subject and ce_partitionkey repeat;
- the same ce_id never carries two different facts (a record may come twice, and only the first counts);
- within a topic an aggregate's sequences only rise;
- over all topics of an aggregate together its sequences are 1, 2, 3, ... without a gap. Give all topics of the aggregate.

Commands and answers have no ce_sequence: they are written like the others, and have no place in the order. A record that
has no such envelope, or no JSON, is said not to hold, and passed over.

It ends on SIGTERM or SIGINT, writes a summary as its last line, and exits with 1 when something did not hold.
"""

import argparse
import asyncio
import hashlib
import json
import os
import signal
import sys
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise

from aiokafka import AIOKafkaConsumer, ConsumerRecord

ENVELOPE = ("ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_subject", "ce_partitionkey")
"""What every event has."""
SEQUENCE_MAX = 2**63 - 1


class Ledger:
    """What has been read, and what did not hold."""

    def __init__(self) -> None:
        self.events = 0
        self.duplicates = 0
        self.violations: list[str] = []
        self._facts: dict[str, bytes] = {}
        self._highest: dict[tuple[str, str], int] = {}
        self._sequences: dict[str, set[int]] = defaultdict(set)

    def read(self, record: ConsumerRecord) -> dict[str, object] | None:
        """The event as one JSON object, or None for a copy of one that was read before, and for what is no event."""
        try:
            headers = {name: value.decode() for name, value in record.headers}
            sequence = _sequence(headers)
            data = json.loads(record.value)
        except (KeyError, ValueError, TypeError, AttributeError):
            self.violations.append(f"{record.topic}/{record.partition} at {record.offset}: no event that can be read")
            return None
        event_id, subject = headers["ce_id"], headers["ce_subject"]
        if not (record.key or b"") == subject.encode() == headers["ce_partitionkey"].encode():
            self.violations.append(f"{event_id}: the key is not the aggregate's ID")
        if headers["ce_type"] != record.topic or headers["ce_specversion"] != "1.0":
            self.violations.append(f"{event_id}: the type is not the topic's name")
        if self._is_copy(event_id, record.value):
            return None
        if sequence is not None:
            self._follow(record.topic, subject, sequence, event_id)
        self.events += 1
        return {
            "received": datetime.now(UTC).isoformat(),
            "type": headers["ce_type"],
            "id": event_id,
            "source": headers["ce_source"],
            "time": headers["ce_time"],
            "subject": subject,
            "sequence": sequence,
            "correlation": headers.get("ce_correlationid"),
            "data": data,
        }

    def _is_copy(self, event_id: str, value: bytes) -> bool:
        fact = hashlib.sha256(value).digest()
        if event_id not in self._facts:
            self._facts[event_id] = fact
            return False
        if self._facts[event_id] != fact:
            self.violations.append(f"{event_id}: two different facts have this ID")
        self.duplicates += 1
        return True

    def _follow(self, topic: str, subject: str, sequence: int, event_id: str) -> None:
        if sequence <= self._highest.get((topic, subject), 0):
            self.violations.append(f"{event_id}: sequence {sequence} of {subject} comes after a higher one")
        if sequence in self._sequences[subject]:
            self.violations.append(f"{event_id}: sequence {sequence} of {subject} stands twice")
        self._highest[topic, subject] = sequence
        self._sequences[subject].add(sequence)

    def summary(self) -> dict[str, object]:
        """The last line: numbers, and everything that did not hold."""
        gaps = [
            f"{subject}: of its sequences {', '.join(missing)} are missing"
            for subject, seen in self._sequences.items()
            if (missing := list(_gaps(seen)))
        ]
        return {
            "summary": True,
            "events": self.events,
            "aggregates": len(self._sequences),
            "duplicates": self.duplicates,
            "violations": self.violations + gaps,
        }


def _sequence(headers: dict[str, str]) -> int | None:
    """None for a command or an answer. KeyError or ValueError when the envelope is not whole."""
    if not all(headers[name] for name in ENVELOPE):
        raise ValueError("empty")
    said = headers.get("ce_sequence")
    if said is None:
        return None
    if not (said.isascii() and said.isdigit() and 1 <= int(said) <= SEQUENCE_MAX):
        raise ValueError("no sequence")
    return int(said)


def _gaps(seen: set[int]) -> Iterator[str]:
    for low, high in pairwise([0, *sorted(seen)]):
        if high - low > 1:
            yield f"{low + 1}" if high - low == 2 else f"{low + 1} to {high - 1}"


async def follow(kafka: dict[str, str], topics: list[str], ledger: Ledger) -> None:
    """Read until a signal asks for the end."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    consumer = AIOKafkaConsumer(*topics, **kafka, auto_offset_reset="earliest", fetch_max_wait_ms=50)
    await consumer.start()
    try:
        while not stopping.is_set():
            for records in (await consumer.getmany(timeout_ms=50)).values():
                for record in records:
                    event = ledger.read(record)
                    if event is not None:
                        sys.stdout.write(json.dumps(event) + "\n")
            sys.stdout.flush()
    finally:
        await consumer.stop()


def connection(bootstrap_servers: str, user: str | None) -> dict[str, str]:
    """How to reach Kafka, and to sign on to it. Where it has TLS, the protocol is SASL_SSL."""
    found = {"bootstrap_servers": bootstrap_servers}
    if user:
        found |= {
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": user,
            "sasl_plain_password": os.environ["KAFKA_PASSWORD"],
        }
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kafka", required=True, help="bootstrap servers, host:port")
    parser.add_argument("--user", help="who signs on, with the password in KAFKA_PASSWORD")
    parser.add_argument("topics", nargs="+", help="all topics of one or more aggregates")
    options = parser.parse_args()
    ledger = Ledger()
    asyncio.run(follow(connection(options.kafka, options.user), options.topics, ledger))
    summary = ledger.summary()
    sys.stdout.write(json.dumps(summary) + "\n")
    return 1 if summary["violations"] else 0


if __name__ == "__main__":
    sys.exit(main())
