"""Two thousand expressions against an oracle that looks at every minute of the wall clock. No fault is in
it, but it takes long; tests/blackbox/test_recurrence_random.py has a sample."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "oracle"))

import around_changes  # noqa: E402


@pytest.mark.chaos_only
@pytest.mark.parametrize("shard", range(20))
def test_around_changes(shard):
    assert around_changes.run(1000 + shard, expressions=100, places_count=12) > 1000
