"""Weekly partitions: made ahead and on demand, all five alike, dropped by retention and only when
nothing in them is unfinished."""
import datetime as dt
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from lib.ids import uuid7
from lib.wait import wait_until

PARENTS = ["job_attempts", "job_logs", "job_metadata", "job_steps", "jobs"]


def partitions(db, parent="jobs"):
    return [n for n, in db.query(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
        "WHERE i.inhparent = %s::regclass ORDER BY 1", parent)]


def id_at(when):
    return uuid7(when.timestamp() * 1000)


def utc(days):
    return dt.datetime.now(dt.timezone.utc) + dt.timedelta(days=days)


def test_two_weeks_ahead_from_the_first_migration(db):
    have = partitions(db)
    for days in (0, 7, 14):
        monday = utc(days).date() - dt.timedelta(days=utc(days).weekday())
        assert f"jobs_{monday:%Y%m%d}" in have
    for parent in PARENTS:
        assert [p.replace(parent, "jobs") for p in partitions(db, parent)] == have


def test_no_default_partition(db):
    assert db.value("SELECT count(*) FROM pg_partitioned_table WHERE partdefid <> 0") == 0


def test_ensure_is_repeatable_and_bounded(db):
    made = db.value("SELECT partition_ensure(%s, %s)", utc(-40), utc(-30))
    assert made > 0 and made % len(PARENTS) == 0
    assert db.value("SELECT partition_ensure(%s, %s)", utc(-40), utc(-30)) == 0
    with pytest.raises(psycopg.Error):
        db.value("SELECT partition_ensure(%s, %s)", utc(0), utc(90))


def test_a_missing_older_partition_is_made_by_the_worker(jm):
    """A record with an id of three months ago finds no partition: the worker makes that one, not
    those of the weeks between, also where both come in one batch."""
    job_id = id_at(utc(-100))
    before = len(partitions(jm.db))
    jm.send({"type": "noop", "id": job_id}, {"type": "noop"}, partition=0)
    jm.start_worker()
    jm.wait_ended(2)
    assert jm.db.job(job_id)["status"] == "completed"
    assert len(partitions(jm.db)) == before + 1
    jm.check()


def test_old_ids_in_one_batch_make_their_weeks_alone(jm):
    """Not every week between them, or one message of 1970 would make 15,000 tables."""
    old = [id_at(utc(-900)), id_at(utc(-200)), "00000000-0000-7000-8000-000000000001"]
    before = len(partitions(jm.db))
    jm.send(*({"type": "noop", "id": i} for i in old), {"type": "noop"}, partition=0)
    jm.start_worker()
    jm.wait_ended(4)
    assert [jm.db.job(i)["status"] for i in old] == ["completed"] * 3
    assert len(partitions(jm.db)) == before + 3
    jm.check()


def test_two_make_one_partition_at_once(db):
    """The second, which waited for the first, finds it there."""
    ensure = "SELECT partition_ensure(%s, %s)"
    week = (utc(-60), utc(-60))
    with db.connect() as first, db.connect() as second, ThreadPoolExecutor(1) as pool:
        first.autocommit = False
        first.execute(ensure, week)
        made = pool.submit(lambda: second.execute(ensure, week).fetchone()[0])
        wait_until(lambda: db.value("SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = %s",
                                    second.info.backend_pid), 10, what="the second waits")
        first.commit()
        assert made.result(20) == 0


def old_job(db, days, status):
    db.value("SELECT partition_ensure(%s, %s)", utc(-days), utc(-days))
    job_id = id_at(utc(-days))
    ended = status == "completed"
    db.execute("INSERT INTO jobs (id, type, status, attempt, started_at, completed_at) "
               "VALUES (%s, 'noop', %s, %s, %s, %s)", job_id, status, int(ended),
               utc(-days) if ended else None, utc(-days) if ended else None)
    db.execute("INSERT INTO job_logs (job_id, attempt, seq, ts, level, message) "
               "VALUES (%s, 1, 1, now(), 'INFO', 'm')", job_id)
    if not ended:
        db.execute("INSERT INTO pending_jobs (job_id, state, visible_at, queue, type, project) "
                   "VALUES (%s, 'ready', now() + interval '1 day', 'default', 'noop', 'default')",
                   job_id)
    return job_id


def test_retention_drops_whole_weeks_but_nothing_unfinished(jm):
    gone = old_job(jm.db, 100, "completed")
    kept = old_job(jm.db, 80, "pending")
    recent = old_job(jm.db, 9, "completed")
    before = partitions(jm.db)
    producer = jm.start_producer("--retention.history_days=30")
    producer.wait_log("retention dropped 5 partitions", 40)
    assert jm.db.job(gone) is None and jm.db.job(kept) and jm.db.job(recent)
    after = partitions(jm.db)
    assert len(after) < len(before)
    for parent in PARENTS:
        assert [p.replace(parent, "jobs") for p in partitions(jm.db, parent)] == after
    leftovers = jm.db.query(
        "SELECT relname FROM pg_class WHERE relnamespace = 'jobmill'::regnamespace "
        "AND relkind = 'r' AND relname ~ '_[0-9]{8}$' AND NOT relispartition")
    assert leftovers == [], "a detached partition was not dropped"


def test_default_is_to_keep_everything(jm):
    old = old_job(jm.db, 400, "completed")
    producer = jm.start_producer()
    jm.start_worker()
    jm.send({"type": "noop"})
    jm.wait_ended(2)
    assert producer.terminate() == 0
    assert jm.db.job(old)
