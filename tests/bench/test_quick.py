"""The benchmarks work: each measures few of everything, and says how it stands. How fast is not asked here."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("key", ["latency", "inbox", "sweep"])
def test_a_benchmark_that_starts_a_part_of_a_service_measures_it(key: str) -> None:
    """Those that start a whole platform do as the journeys do, and peers have environments of their own."""
    ran = subprocess.run(
        [sys.executable, "-m", "bench", "--quick", key], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert ran.returncode in (0, 1), ran.stderr[-2000:]
    assert f"\n{key}  " in ran.stdout, ran.stdout[-2000:] + ran.stderr[-2000:]
