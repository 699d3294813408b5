"""Scheduler, relay and janitor, each by what it leaves in the tables and the topic. What workers do
with it is in the black-box tests."""
import datetime as dt
import signal

import pytest

from lib.wait import wait_until

SCHEDULE = """
    INSERT INTO schedules (id, name, type, kind, interval_seconds, anchor_at, next_run_at, overlap)
    VALUES (uuid7(), %s, 'noop', 'interval', %s, date_trunc('second', clock_timestamp()),
            date_trunc('second', clock_timestamp()) + interval '1 second', %s) RETURNING id"""


def add_schedule(db, name="s", seconds=1, overlap="allow", **columns):
    schedule = db.value(SCHEDULE, name, seconds, overlap)
    for column, value in columns.items():
        db.execute(f"UPDATE schedules SET {column} = %s WHERE id = %s", value, schedule)
    return schedule


def pending(db):
    return dict(db.query("SELECT state, count(*) FROM pending_jobs GROUP BY 1"))


def insert_job(db, state, status="pending", **columns):
    """A job and its pending row (state None: none)."""
    names = {"type": "noop", "status": status, **columns}
    keys = ", ".join(names)
    marks = ", ".join(["%s"] * len(names))
    job = db.value(f"INSERT INTO jobs (id, {keys}) VALUES (uuid7(), {marks}) RETURNING id",
                   *names.values())
    if state:
        db.execute("INSERT INTO pending_jobs (job_id, state, queue, type, project, start_by) "
                   "SELECT id, %s, queue, type, project, start_by FROM jobs WHERE id = %s",
                   state, job)
    return job


# Relay

def test_relay_publishes_what_sql_submitted(jm):
    """Within a second, with nobody saying that there is something."""
    jm.start_producer("--no-scheduler")
    job = jm.db.value("SELECT submit('noop', '{\"a\": 1}')")
    wait_until(lambda: pending(jm.db) == {"published": 1}, 10)
    record, = jm.kafka.read_all(jm.topic_name())
    assert record.headers["jobmill-job"] == str(job).encode()
    assert record.key == str(job).encode()
    assert b'"type"' in record.value


def test_relay_makes_the_topic_of_a_new_queue(jm):
    jm.start_producer("--no-scheduler", **{"topics.partitions": 3})
    jm.db.value("SELECT submit('noop', '{}', '{\"queue\": \"fresh\"}')")
    jm.kafka.made.append(jm.topic_name("fresh"))
    wait_until(lambda: pending(jm.db) == {"published": 1}, 20)
    topic = jm.kafka.admin().list_topics(jm.topic_name("fresh"), timeout=10)
    assert len(topic.topics[jm.topic_name("fresh")].partitions) == 3


def test_relay_sends_each_row_once(jm):
    for _ in range(3):
        jm.start_producer("--no-scheduler")
    jm.db.execute("SELECT count(submit('noop')) FROM generate_series(1, 3000)")
    wait_until(lambda: pending(jm.db) == {"published": 3000}, 30)
    ids = [r.headers["jobmill-job"] for r in jm.kafka.read_all(jm.topic_name())]
    assert len(ids) == len(set(ids)) == 3000


def test_relay_lets_jobs_start_that_kafka_will_never_take(jm):
    jm.start_producer("--no-scheduler", **{"kafka.message.max.bytes": 2000})
    small = jm.db.value("SELECT submit('noop')")
    large = jm.db.value("SELECT submit('noop', jsonb_build_object('a', repeat('x', 5000)))")
    wait_until(lambda: pending(jm.db) == {"published": 1, "ready": 1}, 20)
    assert jm.db.value("SELECT job_id FROM pending_jobs WHERE state = 'ready'") == large
    assert jm.kafka.read_all(jm.topic_name())[0].headers["jobmill-job"] == str(small).encode()


def test_relay_killed_in_a_burst(jm):
    """Whatever the moment: another relay sends what is left, and no row is left behind."""
    first = jm.start_producer("--no-scheduler")
    jm.db.execute("SELECT count(submit('noop')) FROM generate_series(1, 20000)")
    wait_until(lambda: pending(jm.db).get("published", 0) > 1000, 30, 0.01)
    first.kill()
    jm.start_producer("--no-scheduler")
    wait_until(lambda: pending(jm.db) == {"published": 20000}, 60)
    ids = {r.headers["jobmill-job"] for r in jm.kafka.read_all(jm.topic_name())}
    assert len(ids) == 20000


def test_relay_stops_with_what_is_in_flight_acknowledged(jm):
    producer = jm.start_producer("--no-scheduler")
    jm.db.execute("SELECT count(submit('noop')) FROM generate_series(1, 5000)")
    wait_until(lambda: pending(jm.db).get("published", 0) > 100, 30, 0.01)
    assert producer.terminate() == 0
    published = pending(jm.db)["published"]
    assert len(jm.kafka.read_all(jm.topic_name())) == published


# Scheduler

def ledger(db, schedule):
    return db.query("SELECT due_at, outcome, job_id FROM schedule_ticks WHERE schedule_id = %s "
                    "ORDER BY due_at", schedule)


def test_relay_does_not_wait_for_a_kafka_that_is_away(jm):
    """What is in flight stays in the table: to wait out the grace of 10 s would help nobody."""
    producer = jm.start_producer(**{"kafka.bootstrap.servers": "127.0.0.1:1"}, wait=False)
    jm.db.execute("SELECT submit('noop')")
    producer.wait_log("1 records wait for it")
    assert producer.terminate(timeout=8) == 0
    assert pending(jm.db) == {"unpublished": 1}


def test_each_instant_once_with_three_producers(jm):
    for _ in range(3):
        jm.start_producer()
    schedule = add_schedule(jm.db)
    wait_until(lambda: len(ledger(jm.db, schedule)) >= 5, 30)
    jm.db.execute("UPDATE schedules SET paused = true")
    ticks = ledger(jm.db, schedule)
    assert {b[0] - a[0] for a, b in zip(ticks, ticks[1:])} == {dt.timedelta(seconds=1)}
    jobs = dict(jm.db.query("SELECT due_at, id FROM jobs WHERE schedule_id = %s", schedule))
    assert jobs == {due: job for due, outcome, job in ticks if outcome == "fired"}
    wait_until(lambda: pending(jm.db) == {"published": len(jobs)}, 10)
    last = jm.db.one("SELECT last_run_at, last_job_id FROM schedules")
    assert last == (ticks[-1][0], ticks[-1][2])


def test_scheduler_is_on_time(jm):
    """By the database's clock; a wide bound for a busy machine, but far below the poll."""
    jm.start_producer()
    schedule = add_schedule(jm.db)
    wait_until(lambda: len(ledger(jm.db, schedule)) >= 5, 30)
    late = jm.db.value("SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY decided_at - due_at) "
                       "FROM schedule_ticks")
    assert dt.timedelta(0) <= late < dt.timedelta(milliseconds=250)


def test_overlap_skips_while_a_job_is_open(jm):
    jm.start_producer()
    schedule = add_schedule(jm.db, overlap="skip")
    wait_until(lambda: len(ledger(jm.db, schedule)) >= 3, 30)
    assert [outcome for _, outcome, _ in ledger(jm.db, schedule)][:3] == ["fired"] + ["skipped"] * 2
    jm.db.execute("UPDATE jobs SET status = 'completed'")
    wait_until(lambda: sum(t[1] == "fired" for t in ledger(jm.db, schedule)) >= 2, 10)
    jm.db.execute("UPDATE schedules SET paused = true")
    skipped = sum(t[1] == "skipped" for t in ledger(jm.db, schedule))
    assert jm.db.value("SELECT skipped_runs FROM schedules") == skipped


def test_a_schedule_that_cannot_be_understood_holds_up_no_other(jm):
    bad = add_schedule(jm.db, "bad", cron_expression="* * * * *", kind="cron",
                       timezone="Mars/Olympus")
    good = add_schedule(jm.db, "good")
    producer = jm.start_producer()
    wait_until(lambda: len(ledger(jm.db, good)) >= 3, 30)
    assert ledger(jm.db, bad) == []
    assert jm.db.value("SELECT next_run_at FROM schedules WHERE id = %s", bad) is not None
    assert producer.text().count("schedule=bad") <= 2, "said at every turn"
    # Mended, it goes on as soon as somebody says so.
    jm.db.execute("UPDATE schedules SET timezone = 'UTC' WHERE id = %s", bad)
    jm.db.execute("NOTIFY jobmill, 'schedules'")
    wait_until(lambda: ledger(jm.db, bad), 10)


def test_a_schedule_that_postgres_refuses_holds_up_no_other(jm):
    jm.db.execute("ALTER TABLE jobs ADD CONSTRAINT refused CHECK (type <> 'refused')")
    bad = add_schedule(jm.db, "bad", type="refused")
    good = [add_schedule(jm.db, f"good{i}") for i in range(20)]
    producer = jm.start_producer()
    wait_until(lambda: all(len(ledger(jm.db, g)) >= 3 for g in good), 30)
    assert ledger(jm.db, bad) == []
    assert "schedule=bad" in producer.text()


def test_a_newer_migration_does_not_stop_the_scheduler(jm):
    """A fleet is upgraded one by one: the prepared queries of the older ones see a new column."""
    schedule = add_schedule(jm.db)
    jm.start_producer()
    wait_until(lambda: ledger(jm.db, schedule), 10)
    jm.db.execute("ALTER TABLE schedules ADD COLUMN of_a_later_version text")
    fired = len(ledger(jm.db, schedule))
    wait_until(lambda: len(ledger(jm.db, schedule)) >= fired + 3, 10)


def test_missing_partitions_are_made_on_the_spot(jm):
    jm.start_producer()
    wait_until(lambda: jm.db.value("SELECT count(*) FROM workers"), 10)
    for parent in ("jobs", "job_steps", "job_logs", "job_attempts", "job_metadata"):
        for part, in jm.db.query("SELECT inhrelid::regclass::text FROM pg_inherits "
                                 "WHERE inhparent = %s::regclass", parent):
            jm.db.execute(f"DROP TABLE {part}")
    add_schedule(jm.db)
    wait_until(lambda: jm.db.value("SELECT count(*) FROM jobs"), 20)


def test_priority_and_jitter_start_from_the_database(jm):
    add_schedule(jm.db, "urgent", 3600, priority=9)
    add_schedule(jm.db, "spread", 3600, jitter_seconds=3000)
    jm.start_producer()
    wait_until(lambda: sum(pending(jm.db).values()) == 2, 20)
    rows = dict(jm.db.query("SELECT s.name, p.state || ' ' || p.reason FROM pending_jobs p "
                            "JOIN jobs j ON j.id = p.job_id JOIN schedules s "
                            "ON s.id = j.schedule_id"))
    assert rows == {"urgent": "ready priority", "spread": "ready delayed"}
    assert jm.db.value("SELECT max(p.visible_at - j.due_at) > interval '0' FROM pending_jobs p "
                       "JOIN jobs j ON j.id = p.job_id WHERE p.reason = 'delayed'")


def test_searchable_metadata_of_a_schedules_jobs_is_indexed(jm):
    jm.db.execute("INSERT INTO job_types (name, definition_hash, searchable) VALUES ('noop', 'h', '{city,n}')")
    add_schedule(jm.db, metadata='{"city": "Oslo", "n": 42, "other": "x", "none": null}')
    jm.start_producer()
    wait_until(lambda: jm.db.value("SELECT count(*) FROM jobs") > 0, 10)
    assert set(jm.db.query("SELECT key, value FROM job_metadata")) == {("city", "Oslo"), ("n", "42")}


def test_no_scheduler_fires_nothing(jm):
    producer = jm.start_producer("--no-scheduler", "--no-http")
    add_schedule(jm.db)
    jm.db.value("SELECT submit('noop')")
    wait_until(lambda: pending(jm.db) == {"published": 1}, 10)
    due = jm.db.value("SELECT next_run_at FROM schedules")
    wait_until(lambda: jm.db.value("SELECT clock_timestamp() > %s", due + dt.timedelta(seconds=2)),
               10)
    assert jm.db.value("SELECT count(*) FROM schedule_ticks") == 0
    assert producer.alive()


def test_producer_killed_in_a_burst_of_schedules(jm):
    """Killed in the middle: every instant once, each with its job, each job published."""
    count = 5000
    first = jm.start_producer()
    jm.db.execute(
        "INSERT INTO schedules (id, name, type, kind, interval_seconds, anchor_at, next_run_at) "
        "SELECT uuid7(), 's' || i, 'noop', 'interval', 3600, t, t + interval '1 hour' "
        "FROM generate_series(1, %s) i, LATERAL (SELECT date_trunc('second', clock_timestamp()) "
        "+ interval '1 second' - interval '1 hour' AS t) t", count)
    wait_until(lambda: jm.db.value("SELECT count(*) FROM jobs"), 30, 0.005)
    first.kill()
    jm.start_producer()
    wait_until(lambda: pending(jm.db) == {"published": count}, 60)
    assert jm.db.one("SELECT count(*), count(DISTINCT schedule_id), count(DISTINCT job_id), "
                     "count(DISTINCT due_at) FROM schedule_ticks") == (count, count, count, 1)
    assert jm.db.value("SELECT count(*) FROM jobs") == count


# Janitor

def test_expired_jobs_end(jm):
    jm.start_producer()
    soon = dt.datetime.now(dt.timezone.utc) + dt.timedelta(seconds=1)
    late = insert_job(jm.db, "ready", start_by=soon, dedup_key="k")
    jm.db.execute("INSERT INTO dedup_keys (project, type, kind, key, job_id, expires_at) VALUES "
                  "('default', 'noop', 'dedup_key', 'k', %s, now() + interval '1 day')", late)
    started = insert_job(jm.db, "ready", start_by=soon, attempt=1)
    job = jm.wait_status(late, "expired", 15)
    assert job["outcome"] == "expired" and job["completed_at"] and "start_by" in job["error"]
    assert jm.db.query("SELECT job_id, start_by FROM pending_jobs") == [(started, None)]
    assert jm.db.value("SELECT count(*) FROM dedup_keys") == 0
    assert jm.db.query("SELECT status, sum(jobs) FROM job_stats GROUP BY 1") == [("expired", 1)]
    assert jm.db.value("SELECT level FROM job_logs WHERE job_id = %s", late) == "WARNING"


def test_sweep_starts_what_nobody_claimed_up_to_the_bound(jm):
    jobs = [insert_job(jm.db, "published") for _ in range(10)]
    fresh = insert_job(jm.db, "published")
    jm.db.execute("UPDATE pending_jobs SET visible_at = now() - interval '11 minutes' "
                  "WHERE job_id <> %s", fresh)
    jm.start_producer(**{"worker.max_waiting": 4})
    wait_until(lambda: pending(jm.db) == {"ready": 4, "published": 7}, 20)
    jm.db.execute("DELETE FROM pending_jobs WHERE state = 'ready'")
    wait_until(lambda: pending(jm.db) == {"ready": 4, "published": 3}, 20)
    jm.db.execute("DELETE FROM pending_jobs WHERE state = 'ready'")
    wait_until(lambda: pending(jm.db) == {"ready": 2, "published": 1}, 20)
    assert set(jm.db.query("SELECT DISTINCT reason FROM pending_jobs WHERE state = 'ready'")) == {
        ("swept",)}
    assert jm.kafka.size(jm.topic_name()) == 0 and len(jobs) == 10


def test_fold_adds_up_and_counts_on_schedules(jm):
    schedule = add_schedule(jm.db, enabled=False)
    insert_job(jm.db, None, "failed", schedule_id=schedule, outcome="failed")
    insert_job(jm.db, None, "completed", schedule_id=schedule)
    for _ in range(3):
        for status, n in (("completed", 5), ("failed", 1), ("cancelled", 1)):
            jm.db.execute("INSERT INTO job_stats (hour, project, type, schedule_id, status, jobs, "
                          "duration_ms) VALUES (date_trunc('hour', now()), 'default', 'noop', %s, "
                          "%s, %s, 10)", schedule, status, n)
    for _ in range(2):
        jm.start_producer()
    wait_until(lambda: jm.db.value("SELECT bool_and(folded) FROM job_stats"), 20)
    assert jm.db.query("SELECT status, jobs, duration_ms FROM job_stats ORDER BY 1") == [
        ("cancelled", 3, 30), ("completed", 15, 30), ("failed", 3, 30)]
    assert jm.db.one("SELECT total_runs, successful_runs, failed_runs, last_status "
                     "FROM schedules") == (21, 15, 3, "completed")


def test_old_keys_and_old_workers_go(jm):
    add = ("INSERT INTO dedup_keys (project, type, kind, key, job_id, expires_at) VALUES "
           "('default', 'noop', 'external_id', %s, uuid7(), now() + %s::interval)")
    jm.db.execute(add, "old", "-1 second")
    jm.db.execute(add, "new", "1 day")
    row = ("INSERT INTO workers (id, kind, host, pid, version, lease_s, heartbeat_at, expires_at, "
           "state) VALUES (uuid7(), 'worker', %s, 1, '0', 30, now() - %s::interval, "
           "now() - %s::interval, 'stopped')")
    jm.db.execute(row, "old", "25 hours", "25 hours")
    jm.db.execute(row, "new", "1 hour", "1 hour")
    jm.start_producer()
    wait_until(lambda: jm.db.query("SELECT key FROM dedup_keys") == [("new",)], 20)
    wait_until(lambda: jm.db.query("SELECT host FROM workers WHERE kind = 'worker'") == [("new",)],
               20)


def test_producer_registers_and_says_when_it_stops(jm):
    producer = jm.start_producer()
    wait_until(lambda: jm.db.query("SELECT pid, state FROM workers WHERE kind = 'producer'") == [
        (producer.pid, "running")], 10)
    producer.signal(signal.SIGUSR1)
    producer.wait_log("fired 0", 10)
    assert producer.terminate() == 0
    assert jm.db.value("SELECT state FROM workers WHERE kind = 'producer'") == "stopped"


def lost_worker(db, lease_s=2, expired_s=1):
    return db.value(
        "INSERT INTO workers (id, kind, host, pid, version, lease_s, expires_at) VALUES (uuid7(), "
        "'worker', 'h', 1, '0', %s, clock_timestamp() - make_interval(secs => %s)) RETURNING id",
        lease_s, expired_s)


def running_job(db, worker, **columns):
    return insert_job(db, None, "running", worker_id=worker, attempt=columns.pop("attempt", 1),
                      started_at=dt.datetime.now(dt.timezone.utc), **columns)


def test_rescue_of_a_lost_worker(jm):
    worker, other = lost_worker(jm.db), lost_worker(jm.db, expired_s=-600)
    again = running_job(jm.db, worker)
    last = running_job(jm.db, worker, attempt=3, dedup_key="k")
    cancelled = running_job(jm.db, worker, cancel_requested='{"by": "me"}')
    moved = running_job(jm.db, other)
    done = insert_job(jm.db, None, "completed", worker_id=worker, attempt=1)
    jm.db.execute("INSERT INTO claims (worker_id, seq, job_ids) VALUES (%s, 1, %s::uuid[]), "
                  "(%s, 2, %s::uuid[]), (%s, 1, %s::uuid[])", worker, [again, moved, done], worker,
                  [last, cancelled], other, [moved])
    jm.db.execute("INSERT INTO job_steps (job_id, attempt, seq, name, status, started_at) VALUES "
                  "(%s, 1, 1, 'run', 'running', now()), (%s, 1, 1, 'run', 'running', now())",
                  again, moved)
    jm.db.execute("INSERT INTO dedup_keys (project, type, kind, key, job_id, expires_at) VALUES "
                  "('default', 'noop', 'dedup_key', 'k', %s, now() + interval '1 day')", last)
    for _ in range(2):
        jm.start_producer()
    wait_until(lambda: jm.db.query("SELECT worker_id FROM claims") == [(other,)], 20)
    assert jm.db.value("SELECT state FROM workers WHERE id = %s", worker) == "lost"
    assert jm.db.value("SELECT state FROM workers WHERE id = %s", other) == "running"
    status = {j: jm.db.one("SELECT status, outcome, worker_id FROM jobs WHERE id = %s", j)
              for j in (again, last, cancelled, moved, done)}
    assert status == {again: ("pending", None, None), last: ("failed", "failed", None),
                      cancelled: ("cancelled", "cancelled", None),
                      moved: ("running", None, other), done: ("completed", None, worker)}
    assert jm.db.query("SELECT job_id, state, reason FROM pending_jobs") == [
        (again, "ready", "worker lost")]
    assert jm.db.query("SELECT status FROM job_steps WHERE job_id = %s", again) == [("failed",)]
    assert jm.db.query("SELECT status FROM job_steps WHERE job_id = %s", moved) == [("running",)]
    assert jm.db.value("SELECT count(*) FROM job_attempts WHERE outcome = 'lost'") == 3
    assert set(jm.db.query("SELECT job_id, seq, level FROM job_logs")) == {
        (again, 1000000001, "WARNING"), (last, 1000000003, "ERROR"),
        (cancelled, 1000000001, "WARNING")}
    assert jm.db.value("SELECT count(*) FROM dedup_keys") == 0
    assert dict(jm.db.query("SELECT status, sum(jobs) FROM job_stats GROUP BY 1")) == {
        "failed": 1, "cancelled": 1}


def test_rescue_goes_on_where_another_stopped(jm):
    """The worker is marked, but not all of its claims are done: whoever did it was killed."""
    worker = lost_worker(jm.db, lease_s=3600)
    jm.db.execute("UPDATE workers SET state = 'lost'")
    job = running_job(jm.db, worker)
    jm.db.execute("INSERT INTO claims (worker_id, seq, job_ids) VALUES (%s, 7, %s::uuid[])", worker,
                  [job])
    jm.start_producer()
    jm.wait_status(job, "pending", 10)


def test_rescue_waits_for_a_whole_lease_of_contact(jm):
    """A producer that has just come up cannot tell a lost worker from a database that was away."""
    worker = lost_worker(jm.db, lease_s=5, expired_s=3600)
    began = jm.db.value("SELECT clock_timestamp()")
    producer = jm.start_producer()
    wait_until(lambda: jm.db.value("SELECT state FROM workers WHERE id = %s", worker) == "lost", 30)
    assert jm.db.value("SELECT clock_timestamp()") - began >= dt.timedelta(seconds=5)
    # Stopped and continued, it has to wait anew: meanwhile it could not see renewals.
    second = lost_worker(jm.db, lease_s=5, expired_s=3600)
    producer.pause()
    paused = jm.db.value("SELECT clock_timestamp()")
    wait_until(lambda: jm.db.value("SELECT clock_timestamp()") - paused > dt.timedelta(seconds=4),
               10)
    producer.resume()
    resumed = jm.db.value("SELECT clock_timestamp()")
    wait_until(lambda: jm.db.value("SELECT state FROM workers WHERE id = %s", second) == "lost", 30)
    assert jm.db.value("SELECT clock_timestamp()") - resumed >= dt.timedelta(seconds=4.5)


def test_rescue_of_very_many_jobs(jm):
    """In batches, each a transaction."""
    worker = lost_worker(jm.db)
    jm.db.execute("INSERT INTO jobs (id, type, status, attempt, worker_id, started_at) SELECT "
                  "uuid7(), 'noop', 'running', 1, %s, now() FROM generate_series(1, 20000)", worker)
    jm.db.execute("INSERT INTO claims (worker_id, seq, job_ids) SELECT %s, n, array_agg(id) FROM "
                  "(SELECT id, row_number() OVER () / 500 AS n FROM jobs) j GROUP BY n", worker)
    jm.start_producer()
    wait_until(lambda: jm.db.statuses() == {"pending": 20000}, 60)
    assert pending(jm.db) == {"ready": 20000}
    wait_until(lambda: jm.db.value("SELECT count(*) FROM claims") == 0, 10)


def test_hints_are_few_and_apart_from_the_data(jm):
    """2,000 jobs become ready at one instant: some notifications, not 2,000."""
    with jm.db.connect() as listener:
        heard = []
        listener.add_notify_handler(lambda n: heard.append(n.payload))
        listener.execute("LISTEN jobmill")
        jm.db.execute(
            "INSERT INTO schedules (id, name, type, kind, interval_seconds, anchor_at, next_run_at, "
            "priority) SELECT uuid7(), 's' || i, 'noop', 'interval', 3600, t, "
            "t + interval '1 hour', 9 FROM generate_series(1, 2000) i, LATERAL (SELECT "
            "clock_timestamp() - interval '1 hour' AS t) t")
        jm.start_producer()
        wait_until(lambda: pending(jm.db) == {"ready": 2000}, 30)
        wait_until(lambda: listener.execute("SELECT 1") and heard, 10)
    assert set(heard) == {"ready default"} and len(heard) < 100


@pytest.mark.slow
def test_retention_ends_what_it_could_not_finish(jm):
    """A reader of history delays the detaching of a week; once it is gone, the week goes too."""
    week = jm.db.value("SELECT date_trunc('week', now() - interval '100 days')")
    jm.db.execute("SELECT partition_ensure(%s, %s)", week, week)
    with jm.db.connect() as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM jobs")
        producer = jm.start_producer(**{"retention.history_days": 30})
        producer.wait_log("chore=retention", 20)
        assert jm.db.value("SELECT count(*) FROM pg_inherits WHERE inhdetachpending") == 1
        reader.execute("COMMIT")
    wait_until(lambda: jm.db.value("SELECT to_regclass('jobs_' || to_char(%s::timestamptz AT TIME "
                                   "ZONE 'UTC', 'YYYYMMDD'))", week) is None, 30)
    assert jm.db.value("SELECT count(*) FROM pg_inherits WHERE inhdetachpending") == 0


@pytest.mark.tsan
def test_all_parts_at_once(jm):
    """For the sanitizers: every thread has something to do at the same time."""
    producer = jm.start_producer()
    for i in range(20):
        add_schedule(jm.db, f"s{i}")
    worker = lost_worker(jm.db)
    job = running_job(jm.db, worker)
    jm.db.execute("INSERT INTO claims (worker_id, seq, job_ids) VALUES (%s, 1, %s::uuid[])", worker,
                  [job])
    jm.db.execute("SELECT count(submit('noop')) FROM generate_series(1, 500)")
    jm.db.execute("NOTIFY jobmill")
    jm.wait_status(job, "pending", 30)
    wait_until(lambda: pending(jm.db).get("published", 0) >= 560, 30)
    producer.signal(signal.SIGUSR1)
    assert producer.terminate() == 0
