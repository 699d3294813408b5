"""Every way in leads to rows: a Kafka message, kcat alone, SQL, the command line, a schedule."""
import datetime as dt
import json
import subprocess
import uuid

import psycopg
import pytest

from lib.ids import uuid7
from lib.wait import wait_until


@pytest.mark.tsan
def test_kcat_to_rows(jm):
    jm.start_worker()
    subprocess.run(["kcat", "-P", "-b", jm.bootstrap, "-t", jm.topic_name()], check=True,
                   input='{"type":"noop"}\n', text=True, timeout=30)
    jm.wait_ended(1)
    job, = jm.db.rows("SELECT * FROM jobs")
    assert (job["type"], job["status"], job["outcome"]) == ("noop", "completed", None)
    assert (job["queue"], job["project"], job["params"]) == ("default", "default", {})
    assert job["attempt"] == 1 and job["started_at"] <= job["completed_at"]
    assert job["duration_ms"] >= 0 and job["submitted_by"].startswith("kafka")
    steps = jm.db.rows("SELECT * FROM job_steps")
    assert [(s["job_id"], s["attempt"], s["seq"], s["name"], s["status"]) for s in steps] == \
        [(job["id"], 1, 1, "run", "success")]
    logs = jm.db.rows("SELECT * FROM job_logs")
    assert [(x["job_id"], x["level"], x["step"]) for x in logs] == [(job["id"], "INFO", "run")]
    jm.wait_offsets()
    jm.check()


def test_all_fields_arrive(jm):
    jm.start_worker()
    job_id = uuid7()
    jm.send({"type": "noop", "id": job_id, "params": {"a": [1, {"b": None}], "n": 2 ** 60 + 1},
             "priority": 9, "timeout_s": 60, "max_attempts": 2,
             "metadata": {"po": "A-1", "n": 5}, "x-note": "kept out"}, key="k1",
            headers=[("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")])
    job = jm.wait_status(job_id, "completed")
    assert job["params"] == {"a": [1, {"b": None}], "n": 2 ** 60 + 1}
    assert (job["priority"], job["timeout_s"], job["max_attempts"]) == (9, 60, 2)
    assert job["metadata"] == {"po": "A-1", "n": 5}
    assert job["ordering_key"] in (None, "k1")
    assert job["trace_context"].startswith("00-0af7651916cd43dd8448eb211c80319c")
    jm.check()


def test_cloudevent_to_rows(jm):
    jm.start_worker()
    jm.send({"specversion": "1.0", "type": "noop", "source": "/orders", "id": "17",
             "datacontenttype": "application/json", "data": {"a": 1}},
            headers=[("content-type", "application/cloudevents+json; charset=UTF-8")])
    jm.send({"a": 2}, headers=[("ce_specversion", "1.0"), ("ce_type", "noop"),
                               ("ce_source", "/orders"), ("ce_id", "18"),
                               ("content-type", "application/json")])
    jm.wait_ended(2)
    got = jm.db.query("SELECT external_id, params FROM jobs ORDER BY external_id")
    assert got == [("/orders#17", {"a": 1}), ("/orders#18", {"a": 2})]
    jm.check()


def test_sql_to_rows(jm):
    """jobmill.submit(): committed, one job; rolled back, none; without NOTIFY within seconds."""
    jm.start_producer()
    jm.start_worker()
    with psycopg.connect(jm.database_url) as conn:
        kept, = conn.execute("SELECT jobmill.submit('noop', '{\"a\": 1}')").fetchone()
        conn.commit()
        lost, = conn.execute("SELECT jobmill.submit('noop')").fetchone()
        conn.rollback()
    job = jm.wait_status(kept, "completed")
    assert job["params"] == {"a": 1}
    assert jm.db.job(lost) is None
    assert jm.db.value("SELECT count(*) FROM jobs") == 1
    jm.check()


def test_sql_ten_thousand_in_one_transaction(jm):
    jm.start_producer()
    jm.start_worker()
    with psycopg.connect(jm.database_url) as conn:
        conn.execute("SELECT count(jobmill.submit('noop', jsonb_build_object('i', i))) "
                     "FROM generate_series(1, 10000) i")
    jm.wait_ended(10000, 120)
    assert jm.db.statuses() == {"completed": 10000}
    jm.check()


@pytest.mark.tsan
def test_cli_to_rows(jm):
    jm.start_producer()
    jm.start_worker()
    job_id = jm.cli("job", "submit", "--type", "noop", "--params", '{"a": 1}').out.strip()
    assert uuid.UUID(job_id)
    jm.cli("job", "wait", job_id, "--timeout", "30")
    shown = jm.cli("job", "show", job_id, "--json").json()
    assert shown["id"] == job_id and shown["status"] == "completed"
    assert shown["params"] == {"a": 1}
    assert [(s["name"], s["status"]) for s in shown["steps"]] == [("run", "success")]
    assert job_id in jm.cli("job", "list").out
    assert job_id in jm.cli("job", "list", "--json").out
    assert "run" in jm.cli("job", "steps", job_id).out
    assert "run" in jm.cli("job", "logs", job_id).out
    jm.check()


def test_cli_wait_says_how_it_ended(jm):
    jm.start_producer()
    jm.start_worker()
    bad = jm.cli("job", "submit", "--type", "fail", "--params", '{"message": "no luck"}',
                 "--max-attempts", "1").out.strip()
    assert jm.cli("job", "wait", bad, "--timeout", "30", check=False).code == 1
    assert "no luck" in jm.cli("job", "show", bad).out
    missing = uuid7()
    assert jm.cli("job", "show", missing, check=False).code == 3
    assert jm.cli("job", "submit", check=False).code == 2
    jm.check()


def test_result_by_cli(jm):
    jm.job_type("answer", ["/bin/sh", "-c", "echo '{\"x\": 42}'"])
    jm.start_producer()
    jm.start_worker()
    job_id = jm.cli("job", "submit", "--type", "answer").out.strip()
    jm.cli("job", "wait", job_id, "--timeout", "30")
    assert json.loads(jm.cli("job", "result", job_id).out) == {"x": 42}


def test_interval_fires_each_instant_once(jm):
    """Three producers, one interval of a second: every instant once in the ledger."""
    for _ in range(3):
        jm.start_producer()
    jm.start_worker()
    schedule = jm.cli("schedule", "add", "tick", "--every", "1s", "--type", "noop").out.strip()
    wait_until(lambda: jm.db.value("SELECT count(*) FROM schedule_ticks") >= 5, 30,
               what="five ticks")
    jm.db.execute("UPDATE schedules SET paused = true WHERE id = %s", schedule)
    wait_until(lambda: not jm.db.value("SELECT count(*) FROM jobs WHERE status IN "
                                       "('pending','running')"), 30, what="its jobs have ended")
    ticks = jm.db.query("SELECT due_at, outcome FROM schedule_ticks ORDER BY due_at")
    gaps = {b[0] - a[0] for a, b in zip(ticks, ticks[1:])}
    assert gaps == {dt.timedelta(seconds=1)}, ticks
    fired = sum(outcome == "fired" for _, outcome in ticks)
    assert fired >= 3 and jm.db.value("SELECT count(*) FROM jobs") == fired
    jm.check()


@pytest.mark.slow
def test_cron_fires_in_the_next_minute_once(jm):
    """The README's `* * * * *`, with three producers."""
    for _ in range(3):
        jm.start_producer()
    jm.start_worker()
    added = jm.db.value("SELECT clock_timestamp()")
    jm.cli("schedule", "add", "minute", "--cron", "* * * * *", "--type", "noop")
    jm.wait_ended(1, 75)
    due, outcome, job_id = jm.db.one("SELECT due_at, outcome, job_id FROM schedule_ticks")
    assert outcome == "fired" and due > added and due - added <= dt.timedelta(seconds=61)
    assert (due.second, due.microsecond) == (0, 0)
    job, = jm.db.rows("SELECT * FROM jobs")
    assert job["id"] == job_id and job["due_at"] == due and job["status"] == "completed"
    assert job["created_at"] - due < dt.timedelta(seconds=2)
    assert jm.kafka.size(jm.topic_name()) == 1
    jm.check()


def test_schedule_by_cli(jm):
    """add, list, show, preview."""
    schedule = jm.cli("schedule", "add", "nightly", "--cron", "30 2 * * *", "--type", "noop",
                      "--timezone", "Europe/Paris").out.strip()
    assert uuid.UUID(schedule)
    assert "nightly" in jm.cli("schedule", "list").out
    shown = jm.cli("schedule", "show", "nightly", "--json").json()
    assert shown["id"] == schedule and shown["timezone"] == "Europe/Paris"
    assert shown["next_run_at"] is not None
    items = jm.cli("schedule", "preview", "--cron", "30 2 * * *", "--timezone", "Europe/Paris",
                   "--from", "2026-03-28T00:00:00Z", "--count", "2", "--json").json()["items"]
    assert len(items) == 2 and items[0]["at"].startswith("2026-03-28T01:30:00")
    assert jm.cli("schedule", "add", "bad", "--cron", "61 * * * *", "--type", "noop",
                  check=False).code != 0


def test_once_fires_once(jm):
    jm.start_producer()
    jm.start_producer()
    jm.start_worker()
    at = dt.datetime.now(dt.timezone.utc) + dt.timedelta(seconds=1)
    jm.cli("schedule", "add", "once", "--at", at.isoformat(), "--type", "noop")
    jm.wait_ended(1, 20)
    assert jm.db.query("SELECT outcome FROM schedule_ticks") == [("fired",)]
    assert jm.db.value("SELECT next_run_at FROM schedules") is None
    jm.check()
