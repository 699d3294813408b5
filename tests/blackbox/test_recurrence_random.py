"""Recurrences drawn by chance against oracles: ours, which looks at every minute of the wall clock, and
croniter. tests/chaos/test_recurrence.py does the first at length."""
import datetime as dt
import pathlib
import random
import sys

import pytest
from croniter import croniter

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "oracle"))

import around_changes  # noqa: E402

UTC = dt.timezone.utc


@pytest.mark.parametrize("seed", range(4))
def test_around_changes(seed):
    assert around_changes.run(seed, expressions=100, places_count=8) > 600


# croniter: what it has in common with us, in UTC, where no clock is changed. Left out, because it means
# something else or refuses it (1.3.5):
# - ?, W, L-n, @every: it has none of them; the last Friday is L5, not 5L
# - # and L beside other days of the week in one list: it keeps only some of them
# - a step on a star in one day field when the other is restricted: it takes either day, while for cron a
#   field that begins with a star is no restriction
# - n/step: it ends where we do, but not for days of the week, where it counts 7 in
# - 0-6 and other ways to name all days of the week: a star to it, a restriction to cron
# - a field of seconds: it has it behind, as the sixth
def field(rng, low, high, star_steps=True):
    first = rng.randint(low, high)
    last = rng.randint(first, high)
    kind = rng.randrange(6 if star_steps else 5)
    if kind == 0:
        return "*"
    if kind == 1:
        return f"{first}-{last}"
    if kind == 2:
        return f"{first}-{last}/{rng.randint(1, 9)}"
    if kind == 5:
        return f"*/{rng.randint(2, high)}"
    return ",".join(str(rng.randint(low, high)) for _ in range(rng.randint(1, 4)))


def common_expression(rng):
    """(as we write it, as croniter does)"""
    time = f"{field(rng, 0, 59)} {field(rng, 0, 23)}"
    month = rng.choice(["*", "*", field(rng, 1, 12)])
    kind = rng.randrange(6)
    if kind == 0:
        days = [f"L {month} *"] * 2
    elif kind == 1:
        n = rng.randint(0, 6)
        days = [f"* {month} {n}L", f"* {month} L{n}"]
    elif kind == 2:
        days = [f"* {month} {rng.randint(0, 6)}#{rng.randint(1, 4)}"] * 2
    elif kind == 3:
        days = [f"{field(rng, 1, 28)} {month} *"] * 2
    else:
        some = rng.choice([(0, 5), (1, 6)])
        days = [f"{field(rng, 1, 28, False)} {month} {field(rng, *some, False)}"] * 2
    return f"{time} {days[0]}", f"{time} {days[1]}"


def walk(step, n, bound):
    """Up to n results of step(), as long as they are within the bound."""
    found = []
    while len(found) < n:
        at = int(step().replace(tzinfo=UTC).timestamp())
        if not bound(at):
            break
        found.append(at)
    return found


@pytest.mark.parametrize("seed", range(2))
def test_as_croniter(seed):
    rng = random.Random(seed)
    years = dt.timedelta(days=365 * 2)
    with around_changes.Server() as server:
        for _ in range(150):
            ours, theirs = common_expression(rng)
            start = dt.datetime(2026, 1, 1) + rng.randrange(10 ** 8) * dt.timedelta(seconds=1)
            after, until = (int(t.replace(tzinfo=UTC).timestamp()) for t in (start, start + years))
            answer = server.ask(ours, "UTC", None, None, after, until)
            assert answer.startswith("ok"), f"{ours}: {answer}"
            got = [int(word) for word in answer.split()[1:]]
            forward, back = croniter(theirs, start), croniter(theirs, start + years)
            expected = walk(lambda: forward.get_next(dt.datetime), 30, lambda at: at <= until)
            assert got[:30] == expected, f"{ours} after {start}"
            expected = walk(lambda: back.get_prev(dt.datetime), 30, lambda at: at > after)
            got = [at for at in got if at < until]
            assert got[:-31:-1] == expected, f"{ours} before {start + years}"
