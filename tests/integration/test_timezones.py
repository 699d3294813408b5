"""Time zone data that is replaced: what had not fired yet is computed anew."""
import datetime as dt
import pathlib
import shutil
import signal
import zoneinfo

import pytest

from lib.wait import wait_until

ZONES = pathlib.Path("/usr/share/zoneinfo")
NEW_YORK, TOKYO = (zoneinfo.ZoneInfo(name) for name in ("America/New_York", "Asia/Tokyo"))


@pytest.fixture
def zones(tmp):
    """A directory of zones with one whose rules the test changes."""
    directory = tmp / "zoneinfo"
    (directory / "Test").mkdir(parents=True)

    def put(name, version):
        shutil.copy(ZONES / name, directory / "new")
        (directory / "new").rename(directory / "Test/City")
        (directory / "tzdata.zi").write_text(f"# version {version}\n")
    put("America/New_York", "2024a")
    return type("Zones", (), {"env": {"TZDIR": str(directory)}, "put": staticmethod(put)})


def add(jm, zones, name, *args):
    return jm.cli("schedule", "add", name, "--type", "noop", "--cron", "30 2 * * *", "--timezone", "Test/City",
                  *args, env=zones.env)


def next_hour(jm, name, zone):
    """The local time at which it runs next, in that zone."""
    at = jm.db.value("SELECT next_run_at FROM schedules WHERE name = %s", name)
    return at and at.astimezone(zone).timetz().replace(tzinfo=None)


HALF_PAST_TWO = dt.time(2, 30)


def test_while_a_producer_runs(jm_sql, zones):
    jm = jm_sql
    add(jm, zones, "a")
    add(jm, zones, "paused")
    jm.cli("schedule", "pause", "paused", env=zones.env)
    assert next_hour(jm, "a", NEW_YORK) == HALF_PAST_TWO
    producer = jm.start_producer(wait=False, env=zones.env)
    producer.wait_log("Scheduler started", 20)
    zones.put("Asia/Tokyo", "2024b")
    producer.signal(signal.SIGHUP)
    producer.wait_log("time zone Test/City has other rules since tzdata 2024b: 1 schedules were computed anew", 20)
    assert next_hour(jm, "a", TOKYO) == HALF_PAST_TWO
    assert jm.db.value("SELECT version FROM timezones WHERE name = 'Test/City'") == "2024b"
    jm.cli("schedule", "resume", "paused", env=zones.env)
    assert next_hour(jm, "paused", TOKYO) == HALF_PAST_TWO
    assert not jm.db.query("SELECT FROM schedule_ticks")


def test_while_none_ran(jm_sql, zones):
    """An update before the start is found by the hash that the database has."""
    jm = jm_sql
    add(jm, zones, "a")
    zones.put("Asia/Tokyo", "2024b")
    jm.start_producer(wait=False, env=zones.env)
    wait_until(lambda: next_hour(jm, "a", TOKYO) == HALF_PAST_TWO, 20)


def test_older_data_undoes_nothing(jm_sql, zones):
    jm = jm_sql
    zones.put("Asia/Tokyo", "2024b")
    add(jm, zones, "a")
    zones.put("America/New_York", "2024a")
    producer = jm.start_producer(wait=False, env=zones.env)
    producer.wait_log("tzdata 2024a of this machine is older than 2024b", 20)
    assert next_hour(jm, "a", TOKYO) == HALF_PAST_TWO


def test_a_file_that_is_broken_changes_nothing(jm_sql, zones):
    jm = jm_sql
    add(jm, zones, "a")
    producer = jm.start_producer(wait=False, env=zones.env)
    producer.wait_log("Scheduler started", 20)
    wait_until(lambda: jm.db.value("SELECT count(*) FROM timezones") == 1, 20)
    (pathlib.Path(zones.env["TZDIR"]) / "Test/City").write_bytes(b"TZif")
    producer.signal(signal.SIGHUP)
    producer.wait_log("keeps its rules", 20)
    assert next_hour(jm, "a", NEW_YORK) == HALF_PAST_TWO


def test_what_is_overdue_fires_at_its_stored_instant(jm_sql, zones):
    """An instant that has come is decided as it was stored; only what is to come is computed anew."""
    jm = jm_sql
    add(jm, zones, "a", "--overlap", "allow")
    jm.db.execute("UPDATE schedules SET next_run_at = date_trunc('second', clock_timestamp()) - interval '20 s'")
    due = jm.db.value("SELECT next_run_at FROM schedules")
    zones.put("Asia/Tokyo", "2024b")
    jm.start_producer(wait=False, env=zones.env)
    wait_until(lambda: next_hour(jm, "a", TOKYO) == HALF_PAST_TWO, 20)
    assert jm.db.query("SELECT due_at, outcome FROM schedule_ticks") == [(due, "fired")]


def test_what_the_ledger_has_is_not_decided_again(jm_sql, zones):
    """PostgreSQL's clock was put back after a range of days was decided: the rules change, and it goes on behind it."""
    jm = jm_sql
    add(jm, zones, "a")
    now = jm.db.value("SELECT clock_timestamp()")
    end = now + dt.timedelta(days=9)
    jm.db.execute("INSERT INTO schedule_ticks (schedule_id, due_at, outcome, until, count, reason) SELECT id, %s, 'missed', "
                  "%s, 18, 'misfire_grace' FROM schedules", end - dt.timedelta(days=17), end)
    jm.db.execute("UPDATE schedules SET next_run_at = %s", end + dt.timedelta(days=1))
    producer = jm.start_producer(wait=False, env=zones.env)
    producer.wait_log("Scheduler started", 20)
    zones.put("Asia/Tokyo", "2024b")
    producer.signal(signal.SIGHUP)
    producer.wait_log("1 schedules were computed anew", 20)
    assert next_hour(jm, "a", TOKYO) == HALF_PAST_TWO
    assert end < jm.db.value("SELECT next_run_at FROM schedules") <= end + dt.timedelta(days=1)
