"""Cancelling: a pending job never starts, a running one is stopped, and the record says who asked and why."""
import json
import os
import time

import pytest

from lib.ids import uuid7
from lib.wait import wait_until

REASON = "not needed any more"


def stubborn(jm, name="stubborn"):
    """A type whose child ignores SIGTERM and says that it has begun."""
    script = jm.script(name, "#!/bin/sh\ntrap '' TERM\necho begun >> \"$0.begun\"\n"
                             "while :; do sleep 0.1; done\n")
    jm.job_type(name, [script])
    return script


def polite(jm, name="polite"):
    """A type whose child ends at SIGTERM, saying so."""
    script = jm.script(name, "#!/bin/sh\ntrap 'echo told >> \"$0.told\"; kill $!; exit 0' TERM\n"
                             "echo begun >> \"$0.begun\"\nsleep 60 & wait\n")
    jm.job_type(name, [script])
    return script


def ended_as_cancelled(jm, job_id, by, reason=REASON):
    job = jm.wait_status(job_id, "cancelled")
    assert job["outcome"] == "cancelled" and job["completed_at"] is not None
    assert by in job["error"] and reason in job["error"], job["error"]
    said = jm.db.query("SELECT message FROM job_logs WHERE job_id = %s AND level IN ('WARNING', 'ERROR')",
                       job_id)
    assert any(by in m and reason in m for m, in said), said
    return job


def test_pending_by_cli(jm):
    job_id = jm.cli("job", "submit", "--type", "noop", "--run-at", "2099-01-01T00:00:00Z",
                    "--dedup-key", "k").out.strip()
    said = jm.cli("job", "cancel", job_id, "--reason", REASON)
    assert said.out.strip() == "cancelled"
    job = ended_as_cancelled(jm, job_id, "cli:")
    assert job["attempt"] == 0 and job["started_at"] is None
    assert job["cancel_requested"]["reason"] == REASON and "at" in job["cancel_requested"]
    assert jm.db.value("SELECT count(*) FROM pending_jobs") == 0
    assert jm.db.value("SELECT count(*) FROM dedup_keys") == 0
    again = jm.cli("job", "cancel", job_id, check=False)
    assert again.code == 1 and "cancelled" in again.err
    assert jm.cli("job", "cancel", uuid7(), check=False).code == 3
    jm.check()


@pytest.mark.parametrize("way", ["sql", "kafka"])
def test_pending_by_psql_alone(jm, way):
    """UPDATE and nothing else: it never starts, and the janitor ends it."""
    if way == "kafka":  # published by the relay, taken by no worker yet
        producer = jm.start_producer()
        job_id = jm.cli("job", "submit", "--type", "noop").out.strip()
        wait_until(lambda: jm.db.value("SELECT state FROM pending_jobs") == "published", 20)
        producer.terminate()
    else:
        job_id = jm.cli("job", "submit", "--type", "noop", "--priority", "9").out.strip()
    jm.db.execute("UPDATE jobs SET cancel_requested = '{\"by\": \"ann\", \"reason\": \"not needed any more\"}'")
    jm.start_worker()
    other = uuid7()
    jm.send({"type": "noop", "id": other})
    jm.wait_status(other, "completed")
    jm.wait_offsets()
    assert jm.db.job(job_id)["status"] == "pending"
    jm.start_producer()
    job = ended_as_cancelled(jm, job_id, "ann")
    assert job["attempt"] == 0 and job["started_at"] is None
    jm.check()


LISTENERS = ("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'jobmill wakeup' "
             "AND datname = current_database() AND query LIKE 'LISTEN%%' AND state = 'idle' AND pid <> ALL (%s)")


def test_a_connection_that_listens_comes_back(jm):
    """After PostgreSQL was away a cancel is heard at once again, not at the next heartbeat."""
    jm.start_worker(**{"worker.lease_s": 3600})
    jm.start_producer()
    gone = wait_until(lambda: (now := jm.db.value(
        "SELECT array_agg(pid) FROM pg_stat_activity WHERE application_name = 'jobmill wakeup' "
        "AND datname = current_database() AND query LIKE 'LISTEN%%'")) and len(now) == 2 and now, 20)
    jm.db.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) pid", gone)
    wait_until(lambda: jm.db.value(LISTENERS, gone) == 2, 20)
    job_id = jm.cli("job", "submit", "--type", "sleep", "--params", '{"seconds": 600}').out.strip()
    jm.wait_status(job_id, "running")
    assert jm.cli("job", "cancel", job_id).out.strip() == "requested"
    assert jm.wait_status(job_id, "cancelled", 20)["completed_at"]
    jm.check()


@pytest.mark.tsan
def test_running_by_cli(jm):
    script = polite(jm)
    jm.start_worker()
    job_id = uuid7()
    jm.send({"type": "polite", "id": job_id, "dedup_key": "k"})
    wait_until(lambda: os.path.exists(script + ".begun"), 20)
    asked = time.monotonic()
    assert jm.cli("job", "cancel", job_id, "--reason", REASON).out.strip() == "requested"
    wait_until(lambda: os.path.exists(script + ".told"), 20, 0.02)
    took = time.monotonic() - asked
    job = ended_as_cancelled(jm, job_id, "cli:")
    assert took < 3, took  # a second, and what a laden machine needs
    assert job["attempt"] == 1
    steps = jm.db.query("SELECT status FROM job_steps WHERE job_id = %s", job_id)
    assert steps == [("cancelled",)]
    assert jm.db.value("SELECT outcome FROM job_attempts WHERE job_id = %s", job_id) == "cancelled"
    assert jm.db.value("SELECT count(*) FROM dedup_keys") == 0
    jm.check()


def test_running_that_does_not_listen_is_killed(jm):
    script = stubborn(jm)
    jm.start_worker()
    job_id = uuid7()
    jm.send({"type": "stubborn", "id": job_id})
    wait_until(lambda: os.path.exists(script + ".begun"), 20)
    jm.cli("job", "cancel", job_id, "--reason", REASON)
    ended_as_cancelled(jm, job_id, "cli:")
    jm.check()


def test_running_by_psql_without_notification(jm):
    """Nobody tells the worker: it finds the request at its next heartbeat."""
    jm.start_worker(lease_s=3)
    job_id = uuid7()
    jm.send({"type": "sleep", "id": job_id, "params": {"seconds": 60}})
    jm.wait_status(job_id, "running")
    jm.db.execute("UPDATE jobs SET cancel_requested = '{\"by\": \"ann\", \"reason\": \"not needed any more\"}'")
    ended_as_cancelled(jm, job_id, "ann")
    jm.check()


def test_odd_requests_are_requests(jm):
    """Whatever stands in the column."""
    jm.start_worker(lease_s=3)
    jm.start_producer()
    odd = ["{}", '"please"', "[1]", "true", '{"by": 7, "reason": {"a": 1}}']
    for text in odd:
        job_id = uuid7()
        jm.send({"type": "sleep", "id": job_id, "params": {"seconds": 60}})
        jm.wait_status(job_id, "running")
        jm.db.execute("UPDATE jobs SET cancel_requested = %s::jsonb WHERE id = %s", text, job_id)
        waits = jm.cli("job", "submit", "--type", "noop", "--run-at", "2099-01-01T00:00:00Z").out.strip()
        jm.db.execute("UPDATE jobs SET cancel_requested = %s::jsonb WHERE id = %s", text, waits)
    jm.db.execute("NOTIFY jobmill, 'cancel'")
    jm.wait_ended(2 * len(odd))
    assert jm.db.statuses() == {"cancelled": 2 * len(odd)}
    jm.check()


def test_race_with_completion(jm):
    """A job that completes before the signal arrives stays completed; whatever wins, there is one end."""
    jm.start_worker()
    jm.start_producer()
    ids = [uuid7() for _ in range(40)]
    for i, job_id in enumerate(ids):
        jm.send({"type": "sleep", "id": job_id, "params": {"seconds": 0.02 * (i % 10)}})
        wait_until(lambda j=job_id: jm.db.job(j), 20, 0.005)
        done = jm.cli("job", "cancel", job_id, check=False)
        assert done.code in (0, 1), done
        if done.code == 1:
            assert jm.db.job(job_id)["status"] == "completed"
        elif done.out.strip() == "cancelled":
            assert jm.db.job(job_id)["status"] == "cancelled"
    jm.wait_ended(len(ids))
    assert set(jm.db.statuses()) <= {"completed", "cancelled"}
    jm.check()


def test_retry_pending_is_cancelled_with_its_history(jm):
    """A job between two attempts is pending: it ends at once, and its first attempt is kept."""
    jm.job_type("again", [jm.script("again", "#!/bin/sh\nexit 75\n")], backoff={"initial_s": 600})
    jm.start_worker()
    job_id = uuid7()
    jm.send({"type": "again", "id": job_id})
    wait_until(lambda: (jm.db.job(job_id) or {}).get("status") == "pending"
               and jm.db.job(job_id)["attempt"] == 1, 20)
    assert jm.cli("job", "cancel", job_id, "--reason", REASON).out.strip() == "cancelled"
    ended_as_cancelled(jm, job_id, "cli:")
    jm.check()


def test_lost_worker_with_a_request(jm):
    """Its worker is gone: the rescue ends the job instead of starting it again."""
    worker = jm.start_worker(lease_s=2)
    jm.start_producer()
    job_id = uuid7()
    jm.send({"type": "sleep", "id": job_id, "params": {"seconds": 60}})
    jm.wait_status(job_id, "running")
    worker.kill()
    jm.cli("job", "cancel", job_id, "--reason", REASON)
    job = jm.wait_status(job_id, "cancelled")
    assert job["attempt"] == 1 and REASON in job["error"] and "worker lost" in job["error"]
    jm.check()


def test_retry_and_delete(jm):
    jm.start_worker()
    jm.start_producer()
    bad = jm.cli("job", "submit", "--type", "fail", "--params", '{"message": "no"}', "--max-attempts", "1",
                 "--metadata", '{"a": 1}', "--dedup-key", "d", "--id", "mine").out.strip()
    assert jm.cli("job", "retry", uuid7(), check=False).code == 3
    jm.cli("job", "wait", bad, "--timeout", "30", check=False)
    again = jm.cli("job", "retry", bad, "--json").json()["id"]
    job = jm.wait_status(again, "failed")
    assert str(job["retry_of"]) == bad and job["params"] == {"message": "no"}
    assert job["metadata"] == {"a": 1} and job["max_attempts"] == 1 and job["external_id"] is None
    assert jm.db.job(bad)["status"] == "failed"
    jm.check()
    waits = jm.cli("job", "submit", "--type", "noop", "--run-at", "2099-01-01T00:00:00Z").out.strip()
    refused = jm.cli("job", "retry", waits, check=False)
    assert refused.code == 1 and "pending" in refused.err
    assert jm.cli("job", "delete", waits, check=False).code == 1
    assert json.loads(jm.cli("job", "delete", bad, "--json").out) == {"id": bad, "fate": "deleted"}
    assert jm.db.job(bad) is None
    for table in ("job_steps", "job_logs", "job_attempts", "job_metadata"):
        assert jm.db.value(f"SELECT count(*) FROM {table} WHERE job_id = %s", bad) == 0
    assert jm.cli("job", "delete", bad, check=False).code == 3
