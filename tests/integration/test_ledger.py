"""Retention of the ledger: old rows of schedule_ticks go in batches, and nothing waits for that."""
import signal

from lib import page
from lib.wait import wait_until

OLD = 100000


def fill(db, count=OLD, days=10):
    db.execute("INSERT INTO schedule_ticks (schedule_id, due_at, outcome, decided_at) "
               "SELECT '01900000-0000-7000-8000-000000000001', t, 'missed', t FROM generate_series(1, %s) i, "
               "LATERAL (SELECT clock_timestamp() - make_interval(days => %s) + i * interval '1 second' AS t) x",
               count, days)


def old(db):
    return db.value("SELECT count(*) FROM schedule_ticks WHERE decided_at < now() - interval '1 day'")


def tick(db, status, days=10):
    """An old tick and its job."""
    job = db.value("INSERT INTO jobs (id, type, status) VALUES (uuid7(), 'noop', %s) RETURNING id", status)
    db.execute("INSERT INTO schedule_ticks (schedule_id, due_at, outcome, job_id, decided_at) SELECT "
               "uuid7(), t, 'fired', %s, t FROM (SELECT now() - make_interval(days => %s) AS t) x", job, days)
    return job


def test_old_rows_go_in_batches_while_schedules_fire(jm):
    fill(jm.db)
    jm.db.execute("INSERT INTO schedules (id, name, type, kind, interval_seconds, anchor_at, next_run_at, overlap) "
                  "SELECT uuid7(), 's' || i, 'noop', 'interval', 1, t, t + interval '1 second', 'allow' "
                  "FROM generate_series(1, 5) i, date_trunc('second', clock_timestamp()) t")
    producer = jm.start_producer(**{"retention.ticks_days": 1})
    seen = set()

    def gone():
        seen.add(left := old(jm.db))
        return not left
    wait_until(gone, 60, 0.02)
    between = sorted(seen - {0, OLD})
    assert between and all(left % 5000 == 0 for left in between), f"not in batches: {between}"
    wait_until(lambda: jm.db.value("SELECT count(*) FROM schedule_ticks") >= 15, 20)
    assert jm.db.value("SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM decided_at - due_at)) "
                       "FROM schedule_ticks") < 0.25
    assert jm.db.value("SELECT count(*) FROM schedule_ticks WHERE outcome <> 'fired'") == 0
    assert page.metric(producer, "jobmill_ledger_rows_dropped_total") == OLD


def test_rows_of_unfinished_jobs_and_young_ones_stay(jm):
    fill(jm.db, 6000)
    kept = {tick(jm.db, "pending"), tick(jm.db, "running"), tick(jm.db, "failed", days=0)}
    tick(jm.db, "completed")
    fill(jm.db, 10, days=1)
    jm.start_producer(**{"retention.ticks_days": 2})
    wait_until(lambda: jm.db.value("SELECT count(*) FROM schedule_ticks") == len(kept) + 10, 20,
               what=lambda: str(jm.db.query("SELECT decided_at, outcome, job_id FROM schedule_ticks ORDER BY 1")[:20]))
    assert {j for j, in jm.db.query("SELECT job_id FROM schedule_ticks WHERE job_id IS NOT NULL")} == kept


def test_kept_for_ever_until_a_reload_says_otherwise(jm):
    fill(jm.db, 10)
    conf = jm.dir / "jobmill.conf"
    conf.write_text("")
    producer = jm.start_producer("--config", conf)
    wait_until(lambda: page.get(producer, "/readyz").status == 200, 20)
    assert old(jm.db) == 10
    conf.write_text("[retention]\nticks_days = 1\n")
    producer.signal(signal.SIGHUP)
    wait_until(lambda: not old(jm.db), 10)


def test_a_row_that_somebody_holds_holds_up_no_other(jm):
    fill(jm.db, 12000)
    with jm.db.connect() as other:
        other.execute("BEGIN")
        other.execute("SELECT FROM schedule_ticks ORDER BY due_at LIMIT 1 FOR UPDATE")
        producer = jm.start_producer(**{"retention.ticks_days": 1})
        wait_until(lambda: old(jm.db) == 1, 20)
        other.execute("ROLLBACK")
    producer.signal(signal.SIGHUP)
    wait_until(lambda: not old(jm.db), 10)
