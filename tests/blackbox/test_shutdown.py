"""SIGTERM: what runs may end or is handed back, nothing is lost, the exit code is 0."""
import pytest

from lib.wait import wait_until


def running(jm):
    return jm.db.value("SELECT count(*) FROM jobs WHERE status = 'running'")


@pytest.mark.tsan
def test_short_jobs_may_end(jm):
    worker = jm.start_worker(shutdown_grace_s=20)
    jm.send(*[{"type": "sleep", "params": {"seconds": 1.5}}] * 20)
    wait_until(lambda: running(jm) == 20, 20, what="20 jobs run")
    assert worker.terminate() == 0
    assert jm.db.statuses() == {"completed": 20}
    assert jm.db.value("SELECT max(attempt) FROM jobs") == 1
    assert jm.db.value("SELECT count(*) FROM claims") == 0
    jm.check()


def test_long_jobs_are_handed_back(jm):
    """The grace over, jobs go back without losing an attempt, and another worker runs them."""
    once = jm.script("once.sh", f"""#!/bin/sh
mkdir {jm.dir}/first && exec sleep 300
exit 0
""")
    jm.job_type("long", [once], max_attempts=1)
    worker = jm.start_worker(shutdown_grace_s=1)
    jm.send({"type": "long"})
    wait_until(lambda: running(jm) == 1 and (jm.dir / "first").exists(), 20, what="it runs")
    assert worker.terminate() == 0
    job, = jm.db.rows("SELECT * FROM jobs")
    assert (job["status"], job["attempt"], job["max_attempts"]) == ("pending", 1, 2)
    assert jm.db.query("SELECT outcome FROM job_attempts") == [("returned",)]
    assert jm.db.value("SELECT count(*) FROM claims") == 0
    jm.start_worker()
    jm.wait_ended(1)
    job, = jm.db.rows("SELECT * FROM jobs")
    assert (job["status"], job["attempt"]) == ("completed", 2), job["error"]
    jm.check()


def test_everybody_stops_with_nothing_to_do(jm):
    producer = jm.start_producer()
    worker = jm.start_worker()
    assert worker.terminate() == 0
    assert producer.terminate() == 0
    assert jm.db.query("SELECT DISTINCT state FROM workers") == [("stopped",)]


def test_stop_while_starting(jm):
    """SIGTERM at any moment of the start ends it as well."""
    import time
    for delay in (0.0, 0.05, 0.2):
        worker = jm.start_worker(wait=False)
        time.sleep(delay)  # no condition: the point is an arbitrary moment
        assert worker.terminate(20) in (0, -15)


def test_stop_in_the_middle_of_a_burst(jm):
    """What the stopped worker has accepted it ends or hands back; the rest is left in Kafka."""
    first = jm.start_worker()
    jm.send(*[{"type": "noop"}] * 3000)
    wait_until(lambda: jm.db.ended() > 100, 30, 0.02, what="some have ended")
    assert first.terminate() == 0
    jm.start_worker()
    jm.wait_ended(3000)
    jm.wait_offsets()
    assert jm.db.statuses() == {"completed": 3000}
    jm.check()
