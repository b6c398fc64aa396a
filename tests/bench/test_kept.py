"""The results that are kept are whole, and what is promised of them without a word of excuse is so."""

from typing import Any

import pytest

from bench import results
from bench.__main__ import KEYS

KEPT: dict[str, Any] = results.read()

PROMISED = ("relay", "inbox", "answers", "pages", "sweep", "footprint")
"""Of the others, docs/performance.md says what falls short, by how much, and why."""


def test_every_benchmark_has_left_its_results() -> None:
    assert [key for key in KEYS if not KEPT.get(key)] == []


@pytest.mark.parametrize("key", PROMISED)
def test_they_reach_what_they_must(key: str) -> None:
    assert [each["what"] for each in KEPT[key] if not each["ok"]] == []
