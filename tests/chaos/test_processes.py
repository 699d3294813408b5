"""Processes that are killed, frozen and come back: nothing lost, nothing recorded twice. Each test
ends with the invariants program."""
import threading
import time

import psycopg

from lib.ids import uuid7
from lib.wait import wait_until


def count(jm, where):
    return jm.db.value(f"SELECT count(*) FROM jobs WHERE {where}")


def test_kill_worker_with_200_jobs_running(jm, moment):
    jm.start_producer()
    victim = jm.start_worker(lease_s=2)
    jm.send(*[{"type": "sleep", "params": {"seconds": 2.5}}] * 200)
    wait_until(lambda: count(jm, "status = 'running'") == 200, 30, what="200 jobs run")
    victim.kill()
    jm.start_worker(lease_s=2)
    jm.wait_ended(200, 60)
    assert jm.db.statuses() == {"completed": 200}
    assert count(jm, "attempt = 2") == 200
    assert dict(jm.db.query("SELECT outcome, count(*) FROM job_attempts WHERE attempt = 1 "
                            "GROUP BY 1")) == {"lost": 200}
    assert jm.db.value("SELECT state FROM workers WHERE pid = %s", victim.pid) == "lost"
    jm.check()


def test_kill_worker_in_a_burst(jm, moment):
    """Killed somewhere between accept, record and commit of offsets."""
    jm.start_producer()
    victim = jm.start_worker(lease_s=2)
    jm.send(*[{"type": "noop", "params": {"i": i}} for i in range(5000)])
    some = moment(1, 2500)
    wait_until(lambda: jm.db.ended() >= some, 30, 0.01, what="some have ended")
    victim.kill()
    jm.start_worker(lease_s=2)
    jm.wait_ended(5000, 60)
    jm.wait_offsets()
    assert jm.db.statuses() == {"completed": 5000}
    jm.check()


def test_last_attempt_lost_is_failed(jm, moment):
    """max_attempts 1 means at most once: a job whose worker is lost is failed, not run again."""
    jm.start_producer()
    victim = jm.start_worker(lease_s=2)
    jm.send(*[{"type": "sleep", "params": {"seconds": 60}, "max_attempts": 1}] * 5)
    wait_until(lambda: count(jm, "status = 'running'") == 5, 20, what="5 jobs run")
    victim.kill()
    jm.start_worker(lease_s=2)
    jm.wait_ended(5, 30)
    assert jm.db.statuses() == {"failed": 5}
    assert count(jm, "attempt = 1") == 5
    jm.check()


def test_kill_worker_takes_its_handlers_along(jm, moment):
    """The children of a killed worker do not go on working (checked by the fixture as well)."""
    jm.start_producer()
    jm.job_type("child", ["/bin/sh", "-c", f"mkdir {jm.dir}/one && exec sleep 300; exit 0"])
    victim = jm.start_worker(lease_s=2)
    jm.send({"type": "child"})
    wait_until(lambda: (jm.dir / "one").exists(), 20, what="it runs")
    victim.kill()
    jm.start_worker(lease_s=2)
    jm.wait_ended(1, 30)
    assert jm.db.statuses() == {"completed": 1}
    jm.check()


def test_kill_producer_in_a_burst(jm, moment):
    """The relay is safe to kill anywhere: what it had not marked goes out again and runs once."""
    victim = jm.start_producer()
    jm.start_worker()
    with psycopg.connect(jm.database_url, autocommit=True) as conn:
        for _ in range(4):
            conn.execute("SELECT count(jobmill.submit('noop', jsonb_build_object('i', i))) "
                         "FROM generate_series(1, 1000) i")
        some = moment(1, 2000)
        wait_until(lambda: jm.db.ended() >= some, 30, 0.01, what="some have ended")
        victim.kill()
        conn.execute("SELECT count(jobmill.submit('noop')) FROM generate_series(1, 500)")
    jm.start_producer()
    jm.wait_ended(4500, 90)
    assert jm.db.statuses() == {"completed": 4500}
    assert jm.db.value("SELECT max(attempt) FROM jobs") == 1
    jm.check()


def test_worker_stopped_past_its_lease_and_woken(jm, moment):
    """What a zombie still had to say changes nothing; it is kept as superseded."""
    jm.start_producer()
    zombie = jm.start_worker(lease_s=2)
    jm.send(*[{"type": "sleep", "params": {"seconds": 1}}] * 20)
    wait_until(lambda: count(jm, "status = 'running'") == 20, 20, what="20 jobs run")
    zombie.pause()
    jm.start_worker(lease_s=2)
    jm.wait_ended(20, 40)
    assert count(jm, "attempt = 2") == 20
    zombie.resume()
    wait_until(lambda: jm.db.value("SELECT count(*) FROM job_attempts WHERE attempt = 1 AND "
                                   "outcome = 'superseded'") == 20, 30, what="20 superseded")
    jm.send(*[{"type": "noop"}] * 20)
    jm.wait_ended(40)
    assert jm.db.statuses() == {"completed": 40}
    jm.check()
    # It is alive under its lease again, or has said why not.
    assert zombie.alive()


def test_rebalance_under_load(jm, moment):
    """Workers come and go while records arrive."""
    jm.start_producer()
    workers = [jm.start_worker(), jm.start_worker()]
    total = 6000
    sender = threading.Thread(target=lambda: [jm.send(*[{"type": "noop"}] * 500)
                                              for _ in range(total // 500)])
    sender.start()
    try:
        some = moment(1, 3000)
        wait_until(lambda: jm.db.ended() >= some, 30, what="some have ended")
        workers.append(jm.start_worker())
        assert workers[0].terminate() == 0
        workers.append(jm.start_worker())
        assert workers[1].terminate() == 0
    finally:
        sender.join()
    jm.wait_ended(total, 60)
    jm.wait_offsets()
    assert jm.db.statuses() == {"completed": total}
    assert jm.db.value("SELECT max(attempt) FROM jobs WHERE type = 'noop'") <= 2
    jm.check()


def test_everything_twice(jm, moment):
    """Every record is written twice and delivered twice."""
    ids = [uuid7() for _ in range(500)]
    messages = [{"type": "noop", "id": i} for i in ids]
    started = [jm.start_worker() for _ in range(moment(1, 2))]
    jm.send(*messages)
    jm.send(*messages)
    jm.wait_ended(500)
    jm.wait_offsets()
    for worker in started:
        assert worker.terminate() == 0
    jm.kafka.rewind(jm.group(), jm.topic_name())
    jm.start_worker()
    jm.send({"type": "noop"})
    jm.wait_ended(501)
    jm.wait_offsets()
    assert jm.db.statuses() == {"completed": 501}
    jm.check()


def test_killed_between_poll_and_accept(jm_pg, moment):
    """Records that were polled while the database hung are nobody's yet: their offsets stay where
    they are, however long it takes."""
    jm = jm_pg
    jm.start_producer()
    worker = jm.start_worker(lease_s=2)
    jm.send(*[{"type": "noop"}] * 50)
    jm.wait_ended(50)
    jm.wait_offsets()
    jm.postgres.freeze()
    try:
        total = 50 + moment(100, 2000)
        jm.send(*[{"type": "noop"}] * (total - 50))
        polled = time.monotonic()
        # Offsets are committed once a second: three times over.
        wait_until(lambda: time.monotonic() - polled > 3, 10, what="commits would have been made")
        committed = jm.kafka.committed(jm.group(), jm.topic_name())
        assert sum(max(0, o) for o in committed.values()) == 50
        worker.kill()
    finally:
        jm.postgres.freeze(False)
    jm.start_worker(lease_s=2)
    jm.wait_ended(total, 60)
    jm.wait_offsets()
    assert jm.db.statuses() == {"completed": total}
    jm.check()
