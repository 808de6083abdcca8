"""Lets the tests import ``tests.slow_reference`` however and from wherever pytest is started."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
