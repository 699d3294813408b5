"""schedule preview against an oracle that looks at every minute of the wall clock."""
import datetime as dt
import json
import os
import pathlib
import random
import subprocess
import sys
import zoneinfo

import pytest

from lib.paths import bin_dir

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "oracle"))

import cron_oracle  # noqa: E402

UTC = dt.timezone.utc
# Each place with a moment near which its clocks were, or will be, changed.
CHANGES = [
    ("America/New_York", "2026-03-08"), ("America/New_York", "2026-11-01"),
    ("Europe/Paris", "2026-03-29"), ("Europe/Paris", "2026-10-25"),
    ("Europe/Dublin", "2026-10-25"), ("Australia/Lord_Howe", "2026-04-04"),
    ("Australia/Lord_Howe", "2026-10-03"), ("Pacific/Apia", "2011-12-30"),
    ("America/Sao_Paulo", "2018-11-04"), ("America/Sao_Paulo", "2018-02-18"),
    ("Asia/Beirut", "2026-03-29"), ("Asia/Gaza", "2026-03-28"), ("America/Nuuk", "2026-10-25"),
    ("Antarctica/Troll", "2026-03-29"), ("Asia/Kathmandu", "2026-03-29"), ("UTC", "2026-03-29"),
    ("Pacific/Kwajalein", "1993-08-21"), ("Asia/Pyongyang", "2018-05-04"),
    ("America/Caracas", "2016-05-01"), ("America/New_York", "2345-03-11"),
]
EXPRESSIONS = [
    "* * * * *", "30 * * * *", "*/7 * * * *", "30 2 * * *", "0 0 * * *", "15,45 0-3 * * *",
    "*/20 1-2 * * *", "30 */2 * * *", "0-59/13 1,2 * * sun", "0 3 */2 * *", "5 1 29-31 * *",
    "30 2 8 * 0", "30 1 1 * 0", "@hourly", "@daily", "59 23 * * *", "0 12 13 * 5",
    "30 2 ? * sunL", "15 2,23 29W,LW,L * *", "30 1 * * sun#1,sun#2", "0 0 L-2 * L",
    "15,45 30 1-3 * * ?",
]
POLICIES = [(None, None), ("after", "first"), ("skip", "second"), ("after", "both"),
            ("skip", "first"), ("after", "second")]


def preview(text, zone, after, count, gap=None, fold=None):
    argv = [bin_dir() / "jobmill", "schedule", "preview", "--cron", text, "--timezone", zone,
            "--from", after.strftime("%Y-%m-%dT%H:%M:%SZ"), "--count", str(count), "--json"]
    if gap:
        argv += ["--dst-gap", gap]
    if fold:
        argv += ["--dst-fold", fold]
    env = {k: v for k, v in os.environ.items() if not k.startswith("JOBMILL_")}
    env["TZ"] = "Asia/Tokyo"  # must not matter
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, env=env, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["items"]


def compare(text, zone, after, until, gap=None, fold=None):
    expected = cron_oracle.instants(text, zone, after, until, gap, fold)
    items = preview(text, zone, after, len(expected) + 1, gap, fold)
    place = zoneinfo.ZoneInfo(zone)
    where = f"{text!r} in {zone} from {after} gap={gap} fold={fold}"
    for (at, note), item in zip(expected, items):
        got = dt.datetime.fromisoformat(item["at"].replace("Z", "+00:00"))
        assert (got, item["note"]) == (at, note), where
        assert item["local"] == at.astimezone(place).isoformat(), where
    assert len(items) >= len(expected), where
    for item in items[len(expected):]:
        assert dt.datetime.fromisoformat(item["at"].replace("Z", "+00:00")) > until, where


def near(day):
    moment = dt.datetime.fromisoformat(day).replace(tzinfo=UTC)
    return moment - dt.timedelta(days=2, minutes=7, seconds=20), moment + dt.timedelta(days=3)


@pytest.mark.parametrize("zone,day", CHANGES)
def test_every_expression_around_a_change(zone, day):
    after, until = near(day)
    for i, text in enumerate(EXPRESSIONS):
        for gap, fold in {POLICIES[0], POLICIES[1 + i % 5]}:
            compare(text, zone, after, until, gap, fold)


def random_field(rng, low, high, names=()):
    kind = rng.randrange(6)
    first = rng.randint(low, high)
    last = rng.randint(first, high)
    if kind == 0:
        return "*"
    if kind == 1:
        return f"*/{rng.randint(1, high)}"
    if kind == 2:
        return f"{first}-{last}"
    if kind == 3:
        return f"{first}-{last}/{rng.randint(1, 9)}"
    if kind == 4 and names:
        return rng.choice(names)
    return ",".join(str(rng.randint(low, high)) for _ in range(rng.randint(1, 4)))


def random_expression(rng):
    return " ".join([random_field(rng, 0, 59), random_field(rng, 0, 23),
                     random.Random(rng.random()).choice(["*", random_field(rng, 1, 28)]),
                     rng.choice(["*", "*", random_field(rng, 1, 12, cron_oracle.MONTHS)]),
                     rng.choice(["*", random_field(rng, 0, 7, cron_oracle.DAYS)])])


@pytest.mark.parametrize("seed", range(6))
def test_random_expressions(seed):
    rng = random.Random(seed)
    for _ in range(25):
        zone, day = rng.choice(CHANGES)
        after, until = near(day)
        compare(random_expression(rng), zone, after, until, *rng.choice(POLICIES))


@pytest.mark.parametrize("text", ["30 2 * * *", "0 0 29 2 *", "0 9 1 * 1", "15 1 */10 3,10,11 *"])
def test_years(text):
    """Rare ones over long stretches, in a zone that changes twice a year."""
    compare(text, "America/New_York", dt.datetime(2026, 1, 1, tzinfo=UTC),
            dt.datetime(2034, 1, 1, tzinfo=UTC))


def test_all_zones():
    """Each zone that Python knows is read: the next local noon is where Python says it is."""
    after = dt.datetime(2026, 6, 15, tzinfo=UTC)
    names = sorted(zoneinfo.available_timezones() - {"Factory", "localtime", "posixrules"})
    assert len(names) > 400
    for name in random.Random(1).sample(names, 60):
        compare("0 12 * * *", name, after, after + dt.timedelta(days=2))
