"""What is unfinished when an instant comes: all of it counts, however much has ended beside it, and nothing of
backfills does. Nobody works: jobs end as they are cancelled."""
import datetime as dt

import pytest

from lib.wait import wait_until


def add(jm, most=1, overlap="skip"):
    return jm.cli("schedule", "add", "s", "--every", "10m", "--type", "noop", "--overlap", overlap,
                  "--max-instances", str(most), "--disabled").out.strip()


def run(jm):
    return jm.cli("schedule", "run", "s").out.strip()


def cancel(jm, *jobs):
    for job in jobs:
        jm.cli("job", "cancel", job)


def come(jm, instants=1):
    """So many instants of the schedule come; what became of each."""
    now = jm.db.value("SELECT clock_timestamp()")
    first = now - dt.timedelta(seconds=30 * instants)
    jm.db.execute("UPDATE schedules SET interval_seconds = 30, anchor_at = %s, next_run_at = %s, enabled = true, "
                  "paused = false", first - dt.timedelta(seconds=30), first)
    jm.cli("schedule", "pause", "s")
    rows = jm.db.query("SELECT outcome, count FROM schedule_ticks WHERE kind = 'calendar' AND due_at >= %s "
                       "ORDER BY due_at", first)
    return [outcome for outcome, count in rows for _ in range(count)][:instants]


def unfinished(jm, sid):
    return jm.db.value("SELECT count(*) FROM jobs WHERE schedule_id = %s AND status IN ('pending', 'running')", sid)


@pytest.mark.parametrize("most,open_ones", [(1, 0), (1, 1), (2, 1), (2, 2), (3, 2)])
def test_runs_by_hand_that_have_ended_hide_none(jm_sql, most, open_ones):
    jm = jm_sql
    add(jm, most)
    jobs = [run(jm) for _ in range(open_ones + 6)]
    cancel(jm, *jobs[open_ones:])
    free = most - open_ones
    assert come(jm, 3) == ["fired"] * free + ["skipped"] * (3 - free)


def test_many_that_have_ended_hide_none(jm_sql):
    """Also those beyond what one look at the newest jobs could reach, and older than any limit."""
    jm = jm_sql
    sid = add(jm, 2)
    first = run(jm)
    run(jm)
    cancel(jm, run(jm))
    jm.db.execute("INSERT INTO jobs (id, type, status, outcome, schedule_id, submitted_by) SELECT uuid7(), 'noop', "
                  "'cancelled', 'cancelled', %s, 'schedule' FROM generate_series(1, 1500)", sid)
    assert come(jm) == ["skipped"]
    cancel(jm, first)
    assert come(jm) == ["fired"]
    assert come(jm) == ["skipped"]


def test_what_the_calendar_fired_stays_in_mind(jm_sql):
    """Several at once, of which only one is the last of the schedule."""
    jm = jm_sql
    sid = add(jm, 3)
    assert come(jm, 5) == ["fired"] * 3 + ["skipped"] * 2
    jobs = [str(j) for j, in jm.db.query("SELECT id FROM jobs WHERE schedule_id = %s ORDER BY id", sid)]
    cancel(jm, jobs[2])
    assert come(jm, 2) == ["fired", "skipped"]
    cancel(jm, jobs[0])
    assert come(jm, 2) == ["fired", "skipped"]
    assert unfinished(jm, sid) == 3


@pytest.mark.parametrize("before", ["allow", "queue", "cancel_running"])
def test_jobs_from_before_skip_was_set(jm_sql, before):
    jm = jm_sql
    sid = add(jm, 2, before)
    jobs = [run(jm) for _ in range(3)]
    cancel(jm, jobs[2])
    jm.cli("schedule", "update", "s", "--overlap", "skip")
    assert come(jm) == ["skipped"]
    cancel(jm, jobs[0])
    assert come(jm, 2) == ["fired", "skipped"] and unfinished(jm, sid) == 2


def test_a_retry_counts(jm_sql):
    jm = jm_sql
    add(jm)
    job = run(jm)
    cancel(jm, job)
    again = jm.cli("job", "retry", job).out.split()[-1]
    cancel(jm, run(jm))
    assert come(jm) == ["skipped"]
    cancel(jm, again)
    assert come(jm) == ["fired"]


def backfill(jm):
    jm.db.execute("UPDATE schedules SET anchor_at = '2026-01-01T00:00:00Z'")
    jm.cli("schedule", "backfill", "s", "--from", "2026-01-01T00:01:00Z", "--to", "2026-01-01T00:10:01Z")
    return str(jm.db.value("SELECT id FROM jobs WHERE submitted_by = 'backfill'"))


@pytest.mark.parametrize("overlap", ["skip", "cancel_running"])
def test_a_retry_of_a_backfill_does_not(jm_sql, overlap):
    """Nor a retry of that one; and a newer run does not take its place."""
    jm = jm_sql
    sid = add(jm, 1, overlap)
    job = backfill(jm)
    for _ in range(2):
        cancel(jm, job)
        job = jm.cli("job", "retry", job).out.split()[-1]
        assert come(jm) == ["fired"]
        fired = jm.db.value("SELECT last_job_id::text FROM schedules")
        left = {str(j) for j, in jm.db.query("SELECT id FROM jobs WHERE schedule_id = %s AND status = 'pending'", sid)}
        assert left == {job, fired}
        cancel(jm, fired)
    if overlap == "cancel_running":
        jm.cli("schedule", "update", "s", "--overlap", "skip")
        assert come(jm) == ["fired"]


def test_what_has_ended_is_struck_off(jm_sql):
    """The rows that hold it go with the counts, those of a deleted schedule with its id."""
    jm = jm_sql
    add(jm)
    jobs = [run(jm) for _ in range(4)]
    kept = {str(j) for j, in jm.db.query("SELECT job_id FROM open_jobs")}
    assert kept == set(jobs[:3])
    jm.start_producer()
    cancel(jm, *jobs[1:])
    wait_until(lambda: {str(j) for j, in jm.db.query("SELECT job_id FROM open_jobs")} == {jobs[0]}, 30,
               what="ended jobs are struck off")
    jm.cli("schedule", "delete", "s", "--yes")
    wait_until(lambda: not jm.db.value("SELECT count(*) FROM open_jobs"), 30, what="nothing is left")
