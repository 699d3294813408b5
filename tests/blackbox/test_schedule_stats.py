"""What a schedule says about its jobs while a thousand a second of them end: right within five seconds,
exact at the end."""
import datetime as dt
import time

import pytest

from lib.wait import wait_until

SECOND = dt.timedelta(seconds=1)
RATE, SECONDS = 1000, 20
BEGIN = dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc)
WITHIN_S = 5


def backfill(jm, at, count, rate):
    done = jm.cli("schedule", "backfill", "s", "--from", at.isoformat(), "--to", (at + count * SECOND).isoformat(),
                  "--rate", rate, "--json").json()
    assert done["fired"] == count
    return at + count * SECOND


def told(jm):
    return jm.cli("schedule", "show", "s", "--json").json()


def ended(jm):
    counts = {"completed": 0, "failed": 0} | jm.db.statuses("schedule_id IS NOT NULL")
    return counts["completed"], counts["failed"]


def sample(jm):
    """What has ended by now is told within five seconds, and never more than has ended."""
    good, bad = ended(jm)
    fired = jm.db.one("SELECT due_at, job_id FROM schedule_ticks WHERE kind = 'calendar' AND outcome = 'fired' "
                      "ORDER BY due_at DESC LIMIT 1")
    begun = time.monotonic()

    def caught_up():
        row = told(jm)
        good_now, bad_now = ended(jm)
        assert row["successful_runs"] <= good_now and row["failed_runs"] <= bad_now
        assert row["total_runs"] == row["successful_runs"] + row["failed_runs"]
        assert good <= row["successful_runs"] and bad <= row["failed_runs"], (good, bad, row)
        if fired:
            assert dt.datetime.fromisoformat(row["last_run_at"]) >= fired[0]
            assert jm.db.value("SELECT due_at FROM schedule_ticks WHERE job_id = %s", row["last_job_id"]) >= fired[0]
        return True
    wait_until(caught_up, WITHIN_S, 0.1, "the schedule tells what has ended")
    return time.monotonic() - begun


def exact(jm, good, bad):
    wait_until(lambda: ended(jm) == (good, bad), 120, 0.2, lambda: f"{good} and {bad} have ended, not {ended(jm)}")
    sample(jm)
    row = told(jm)
    assert (row["total_runs"], row["successful_runs"], row["failed_runs"]) == (good + bad, good, bad)
    last = jm.db.one("SELECT due_at, job_id FROM schedule_ticks WHERE kind = 'calendar' AND outcome = 'fired' "
                     "ORDER BY due_at DESC LIMIT 1")
    if last:
        assert (dt.datetime.fromisoformat(row["last_run_at"]), row["last_job_id"]) == (last[0], str(last[1]))
    skipped = jm.db.value("SELECT coalesce(sum(count), 0) FROM schedule_ticks WHERE outcome <> 'fired'")
    assert row["skipped_runs"] == skipped
    newest = jm.db.value("SELECT status FROM jobs WHERE schedule_id IS NOT NULL ORDER BY id DESC LIMIT 1")
    assert row["last_status"] == newest


@pytest.mark.slow
def test_a_thousand_a_second(jm):
    """Of one schedule, which fires by its calendar each second besides."""
    jm.start_producer()
    jm.start_worker()
    jm.cli("schedule", "add", "s", "--cron", "* * * * * *", "--overlap", "allow", "--type", "noop", "--catch-up",
           "skip")
    backfill(jm, BEGIN, RATE * SECONDS, RATE)
    waits = []
    while jm.db.ended() < RATE * SECONDS * 0.9:
        waits.append(sample(jm))
    print(f"{len(waits)} samples, told within {max(waits):.1f} s")
    assert len(waits) >= 3
    jm.cli("schedule", "disable", "s")
    fired = jm.db.value("SELECT count(*) FROM jobs WHERE schedule_id IS NOT NULL")
    assert fired > RATE * SECONDS + 5
    exact(jm, fired, 0)
    # An hour asleep: what was missed is counted as left out.
    jm.cli("schedule", "enable", "s")
    jm.db.execute("UPDATE schedules SET next_run_at = next_run_at - interval '30 days'")
    jm.cli("schedule", "update", "s", "--misfire-grace", "0s")
    jm.cli("schedule", "disable", "s")
    assert told(jm)["skipped_runs"] > 29 * 86400
    exact(jm, jm.db.value("SELECT count(*) FROM jobs WHERE schedule_id IS NOT NULL"), 0)
    jm.check()


@pytest.mark.slow
def test_failures_are_counted(jm):
    jm.job_type("fail", ["/bin/false"], max_attempts=1)
    jm.start_producer()
    jm.start_worker()
    jm.cli("schedule", "add", "s", "--cron", "* * * * * *", "--overlap", "allow", "--type", "fail", "--disabled")
    at = backfill(jm, BEGIN, 300, RATE)
    sample(jm)
    exact(jm, 0, 300)
    assert told(jm)["last_status"] == "failed" and told(jm)["last_run_at"] is None
    jm.cli("schedule", "update", "s", "--type", "noop")
    at = backfill(jm, at, 500, RATE)
    exact(jm, 500, 300)
    jm.cli("schedule", "update", "s", "--type", "fail")
    backfill(jm, at, 1, RATE)
    exact(jm, 500, 301)
