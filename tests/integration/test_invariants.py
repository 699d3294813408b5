"""The invariants program finds what it is there to find."""
import subprocess
import uuid

import pytest

from lib import invariants
from lib.paths import INVARIANTS, PYTHON


@pytest.fixture
def good(db):
    """A database with one completed job and one fired tick, as the programs would leave it."""
    schedule = db.value(
        "INSERT INTO schedules (id, name, type, kind, interval_seconds, anchor_at) "
        "VALUES (uuid7(), 's', 'noop', 'interval', 60, '2026-01-01Z') RETURNING id")
    job = db.value(
        "INSERT INTO jobs (id, type, status, attempt, schedule_id, due_at, submitted_by, "
        "started_at, completed_at, duration_ms) VALUES (uuid7(), 'noop', 'completed', 1, %s, "
        "'2026-01-01 00:01Z', 'schedule', clock_timestamp() - interval '1 s', clock_timestamp(), "
        "1000) RETURNING id", schedule)
    db.execute("INSERT INTO job_steps (job_id, attempt, seq, name, status) "
               "VALUES (%s, 1, 1, 'run', 'success')", job)
    db.execute("INSERT INTO schedule_ticks (schedule_id, due_at, outcome, job_id) "
               "VALUES (%s, '2026-01-01 00:01Z', 'fired', %s)", schedule, job)
    db.execute("INSERT INTO job_stats (hour, project, type, schedule_id, status, jobs, duration_ms)"
               " VALUES (date_trunc('hour', now()), 'default', 'noop', %s, 'completed', 1, 1000)",
               schedule)
    db.jobs_id = job
    return db


def findings(db, **options):
    return invariants.check(db.url, wait=0, **options)


def test_nothing_wrong(good):
    assert findings(good) == []


BREAKS = {
    "a job has not ended":
        "UPDATE jobs SET status = 'pending', completed_at = NULL",
    "status and outcome disagree":
        "UPDATE jobs SET outcome = 'failed'",
    "it completed before it started":
        "UPDATE jobs SET completed_at = started_at - interval '1 s'",
    "more attempts than allowed":
        "UPDATE jobs SET attempt = 4",
    "a completed job has no successful step":
        "UPDATE job_steps SET status = 'failed'",
    "a step succeeded twice":
        "INSERT INTO job_steps (job_id, attempt, seq, name, status) "
        "SELECT job_id, 1, 2, name, status FROM job_steps",
    "rows of an attempt that never was":
        "INSERT INTO job_logs (job_id, attempt, seq, ts, level, message) "
        "SELECT id, 2, 1, now(), 'INFO', 'x' FROM jobs",
    "rows of a job that is not there":
        "INSERT INTO pending_jobs (job_id, state, queue, type, project) "
        "VALUES (uuid7(), 'ready', 'default', 'noop', 'default')",
    "an earlier attempt left no trace":
        "UPDATE jobs SET attempt = 2",
    "an attempt that was superseded or lost":
        "INSERT INTO job_attempts (job_id, attempt, outcome) SELECT id, 1, 'superseded' FROM jobs",
    "an ended job still waits":
        "INSERT INTO pending_jobs (job_id, state, queue, type, project) "
        "SELECT id, 'ready', 'default', 'noop', 'default' FROM jobs",
    "a pending job is not in pending_jobs":
        "UPDATE jobs SET status = 'pending', completed_at = NULL",
    "a running job is in no claim":
        "UPDATE jobs SET status = 'running', completed_at = NULL, worker_id = uuid7()",
    "a claim is left":
        "INSERT INTO claims (worker_id, seq, job_ids) SELECT uuid7(), 1, ARRAY[id] FROM jobs",
    "the counts of job_stats":
        "UPDATE job_stats SET jobs = 2",
    "a tick fired and its job is not there":
        "UPDATE schedule_ticks SET job_id = uuid7()",
    "a job of a schedule has not exactly one tick":
        "DELETE FROM schedule_ticks",
    "instants of an interval are missing":
        "INSERT INTO schedule_ticks (schedule_id, due_at, outcome) "
        "SELECT schedule_id, due_at + interval '2 min', 'missed' FROM schedule_ticks",
}


@pytest.mark.parametrize("what", BREAKS)
def test_finds(good, what):
    good.execute(BREAKS[what])
    assert any(line.startswith(what) for line in findings(good)), findings(good)


def test_follows_records(good, bootstrap):
    """A record is a job by its derived id, or by the id it names; one that is neither is lost."""
    from lib.topics import Topics
    topics = Topics(bootstrap)
    topic = topics.create("jmt." + uuid.uuid4().hex[:8] + ".jobs.default", 1)
    topics.send(topic, {"type": "noop"}, key="k")
    topics.send(topic, {"type": "noop", "id": str(good.jobs_id)})
    record = invariants.read_all(bootstrap, topic)[0]
    lost = findings(good, bootstrap=bootstrap, topics=[topic])
    assert [line for line in lost if "@0" in line] and not [x for x in lost if "@1" in x], lost
    good.execute("INSERT INTO jobs (id, type, submitted_by, status, attempt, started_at, "
                 "completed_at) SELECT %s, 'noop', 'kafka', 'completed', 1, now(), now()",
                 invariants.record_id(record))
    good.execute("INSERT INTO job_steps (job_id, attempt, seq, name, status) "
                 "VALUES (%s, 1, 1, 'run', 'success')", invariants.record_id(record))
    good.execute("INSERT INTO job_stats (hour, project, type, status, jobs, duration_ms) "
                 "VALUES (date_trunc('hour', now()), 'default', 'noop', 'completed', 1, 0)")
    assert findings(good, bootstrap=bootstrap, topics=[topic]) == []
    topics.delete()


def test_command_line(good):
    run = [PYTHON, str(INVARIANTS), "--database-url", good.url, "--wait", "0"]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "all invariants hold")
    good.execute("UPDATE job_stats SET jobs = 5")
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "1 findings" in done.stdout
