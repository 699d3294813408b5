"""PostgreSQL and Kafka restart, are away, or are not there yet: each test has that server for
itself, and ends with the invariants program."""
import time

import psycopg
import pytest

from lib.load import Load, settle
from lib.pgproxy import PgProxy
from lib.wait import wait_until


def test_postgres_restarts_under_load(jm_pg, moment):
    """Immediate restart, as a crash, twice."""
    jm = jm_pg
    jm.start_producer()
    jm.start_worker()
    with Load(jm) as load:
        for _ in range(2):
            before = jm.db.ended() + moment(1, 400)
            wait_until(lambda: jm.db.ended() >= before, 40, what="some have ended")
            jm.postgres.restart("immediate")
    settle(jm, load)


def test_postgres_away_longer_than_a_lease(jm_pg, moment):
    """Running jobs go on, their results wait, and nobody is rescued: every job in one attempt."""
    jm = jm_pg
    jm.start_producer()
    jm.start_producer()
    worker = jm.start_worker(lease_s=2)
    jm.start_worker(lease_s=2)
    jm.send(*[{"type": "sleep", "params": {"seconds": 5}}] * 50)
    wait_until(lambda: jm.db.value("SELECT count(*) FROM jobs WHERE status = 'running'") == 50, 30,
               what="50 jobs run")
    jm.postgres.stop("immediate")
    gone = time.monotonic()
    jm.send(*[{"type": "noop"}] * 10)
    wait_until(lambda: time.monotonic() - gone > 6, 10, what="three leases have passed")
    assert worker.alive()
    jm.postgres.start()
    jm.wait_ended(60, 60)
    assert jm.db.statuses() == {"completed": 60}
    assert jm.db.value("SELECT max(attempt) FROM jobs") == 1
    assert jm.db.value("SELECT count(*) FROM job_attempts") == 0
    assert jm.db.value("SELECT count(*) FROM workers WHERE state = 'lost'") == 0
    jm.wait_offsets()
    jm.check()


def test_the_janitor_is_back_before_the_worker(jm, db_url, moment):
    """After an outage longer than a lease the janitor reaches the database first: it rescues nobody
    before it has been in contact for a whole lease itself."""
    with PgProxy(db_url) as to_worker, PgProxy(db_url) as to_producer:
        producer = jm.start_producer(**{"database.url": to_producer.url(db_url)})
        jm.start_worker(lease_s=3, **{"database.url": to_worker.url(db_url)})
        jm.send(*[{"type": "sleep", "params": {"seconds": 8}}] * 20)
        wait_until(lambda: jm.db.value("SELECT count(*) FROM jobs WHERE status = 'running'") == 20,
                   30, what="20 jobs run")
        to_worker.away()
        to_producer.away()
        wait_until(lambda: jm.db.value("SELECT bool_and(expires_at < clock_timestamp()) FROM workers "
                                       "WHERE kind = 'worker'"), 20, what="the lease has lapsed")
        to_producer.away(False)
        producer.wait_log('connected to PostgreSQL again connection="jobmill-producer janitor"')
        back = time.monotonic()
        pause = moment(500, 1800) / 1000
        wait_until(lambda: time.monotonic() - back > pause, 5, what="the janitor looks around")
        to_worker.away(False)
        jm.wait_ended(20, 60)
        assert jm.db.statuses() == {"completed": 20}
        assert jm.db.value("SELECT max(attempt) FROM jobs") == 1
        assert jm.db.value("SELECT count(*) FROM job_attempts") == 0
    jm.check()


def test_postgres_frozen(jm_pg, moment):
    """It answers nothing for a while, without closing a connection."""
    jm = jm_pg
    jm.start_producer()
    jm.start_worker(lease_s=2)
    with Load(jm, sql=False) as load:
        some = moment(1, 200)
        wait_until(lambda: jm.db.ended() >= some, 40, what="some have ended")
        jm.postgres.freeze()
        frozen = time.monotonic()
        wait_until(lambda: time.monotonic() - frozen > 4, 10, what="two leases have passed")
        jm.postgres.freeze(False)
        before = jm.db.ended()
        wait_until(lambda: jm.db.ended() > before + 50, 60, what="it goes on")
    settle(jm, load)


def test_start_without_postgres(jm_pg, moment):
    """Each program starts with the database away, says so, and goes to work when it is back."""
    jm = jm_pg
    jm.postgres.stop("fast")
    jm.send(*[{"type": "noop"}] * 10)
    worker = jm.start_worker(wait=False)
    producer = jm.start_producer(wait=False)
    wait_until(lambda: worker.text().strip() and producer.text().strip(), 20,
               what="they say something")
    assert worker.alive() and producer.alive(), worker.tail() + producer.tail()
    jm.postgres.start()
    worker.wait_log("ready")
    producer.wait_log("ready")
    jm.wait_ended(10)
    jm.check()


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
def test_kafka_restarts_under_load(jm_kafka, moment, how):
    import signal
    jm = jm_kafka
    jm.start_producer()
    jm.start_worker()
    with Load(jm) as load:
        some = moment(1, 200)
        wait_until(lambda: jm.db.ended() >= some, 40, what="some have ended")
        jm.broker.restart(getattr(signal, how))
        before = jm.db.ended()
        wait_until(lambda: jm.db.ended() > before + 200, 60, what="it goes on")
    settle(jm, load)


def test_kafka_away(jm_kafka, moment):
    """SQL goes on accepting; the schedule goes on firing; all of it runs once Kafka is back."""
    jm = jm_kafka
    jm.start_producer()
    jm.start_worker()
    jm.send({"type": "noop"})
    jm.wait_ended(1)
    jm.broker.stop()
    with psycopg.connect(jm.database_url) as conn:
        conn.execute("SELECT count(jobmill.submit('noop')) FROM generate_series(1, 50)")
    schedule = jm.cli("schedule", "add", "s", "--every", "1s", "--type", "noop", "--overlap",
                      "allow").out.strip()
    wait_until(lambda: jm.db.value("SELECT count(*) FROM schedule_ticks WHERE outcome = 'fired'")
               >= 2, 30, what="the schedule fires")
    jm.broker.start()
    jm.wait_ended(53, 60)
    jm.db.execute("UPDATE schedules SET paused = true WHERE id = %s", schedule)
    jm.check()


def test_start_without_kafka(jm_kafka, moment):
    jm = jm_kafka
    jm.broker.stop()
    jm.start_producer(wait=False)
    worker = jm.start_worker(wait=False)
    with psycopg.connect(jm.database_url) as conn:
        conn.execute("SELECT jobmill.submit('noop')")
    wait_until(lambda: worker.text().strip(), 20)
    jm.broker.start()
    jm.send({"type": "noop"})
    jm.wait_ended(2, 60)
    assert jm.db.statuses() == {"completed": 2}
    jm.check()
