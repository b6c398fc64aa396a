"""The benchmarks are run from the checkout's root, where Python finds them; so are their tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
