"""What becomes of a job once a worker has it: steps, results, retries, waiting, slots."""
import datetime as dt
import json

import pytest

from lib.wait import wait_until


def in_s(seconds):
    return (dt.datetime.now(dt.timezone.utc) + dt.timedelta(seconds=seconds)).isoformat()


@pytest.mark.tsan
def test_exec_with_steps_logs_and_result(jm):
    """Two steps in sequence; the second sees what the first gave; logs, metadata and result land."""
    first = jm.script("first.sh", """#!/bin/sh
read job
echo '{"log":{"level":"WARNING","message":"looking","details":{"at":1}}}' >&3
echo '{"set":{"po":"A-77"}}' >&3
echo '{"progress":{"total":3,"ok":2,"failed":1}}' >&3
echo '{"result":{"rows":3}}' >&3
echo noise on stderr >&2
""")
    second = jm.script("second.sh", """#!/bin/sh
cat > "$JOBMILL_OUTPUT_DIR/seen.json"
cat "$JOBMILL_OUTPUT_DIR/seen.json"
""")
    jm.job_type("two", [first], [second])
    jm.start_worker()
    jm.send({"type": "two", "params": {"name": "x y"}})
    jm.wait_ended(1)
    job, = jm.db.rows("SELECT * FROM jobs")
    assert job["status"] == "completed", job["error"]
    steps = jm.db.rows("SELECT * FROM job_steps ORDER BY seq")
    assert [(s["name"], s["status"]) for s in steps] == [("s1", "success"), ("s2", "success")]
    assert steps[0]["data"] == {"rows": 3}
    seen = steps[1]["data"]
    assert seen["job"]["params"] == {"name": "x y"} and seen["job"]["id"] == str(job["id"])
    assert seen["job"]["attempt"] == 1 and seen["steps"] == {"s1": {"rows": 3}}
    assert job["result"] == seen
    assert job["metadata"]["po"] == "A-77"
    assert (job["items_total"], job["items_ok"], job["items_failed"]) == (3, 2, 1)
    logs = jm.db.query("SELECT level, message, details FROM job_logs ORDER BY attempt, seq")
    assert ("WARNING", "looking", {"at": 1}) in logs
    assert any("noise on stderr" in message for _, message, _ in logs)
    attempt, = jm.db.rows("SELECT * FROM job_attempts")
    assert attempt["outcome"] == "completed" and "noise on stderr" in attempt["stderr"]
    assert attempt["return_code"] == 0
    assert "seen.json" in json.dumps(attempt["output_files"])
    jm.check()


def test_retry_with_backoff_then_completes(jm):
    """Fails twice, then succeeds; the first step, which succeeded, is not run again."""
    flaky = jm.script("flaky.sh", f"""#!/bin/sh
echo x >> {jm.dir}/tries
[ $(wc -l < {jm.dir}/tries) -ge 3 ] || {{ echo not yet >&2; exit 1; }}
""")
    once = jm.script("once.sh", f"#!/bin/sh\necho x >> {jm.dir}/once\n")
    jm.job_type("flaky", [once], [flaky], backoff={"initial_s": 0.3, "factor": 2})
    jm.start_worker()
    jm.send({"type": "flaky"})
    jm.wait_ended(1)
    job, = jm.db.rows("SELECT * FROM jobs")
    assert (job["status"], job["attempt"]) == ("completed", 3), job["error"]
    assert (jm.dir / "once").read_text().count("x") == 1
    attempts = jm.db.query("SELECT attempt, outcome, return_code FROM job_attempts WHERE attempt < 3 "
                           "ORDER BY 1")
    assert attempts == [(1, "retried", 1), (2, "retried", 1)]
    steps = jm.db.query("SELECT attempt, name, status FROM job_steps ORDER BY attempt, seq")
    assert steps == [(1, "s1", "success"), (1, "s2", "failed"), (2, "s2", "failed"),
                     (3, "s2", "success")]
    jm.check()


def test_attempts_run_out(jm):
    jm.job_type("bad", ["/bin/sh", "-c", "echo why >&2; exit 3"], max_attempts=2,
                backoff={"initial_s": 0.1})
    jm.start_worker()
    jm.send({"type": "bad"})
    jm.wait_ended(1)
    job, = jm.db.rows("SELECT * FROM jobs")
    assert (job["status"], job["outcome"], job["attempt"]) == ("failed", "failed", 2)
    assert "3" in job["error"]
    assert jm.db.query("SELECT attempt, outcome, return_code FROM job_attempts ORDER BY 1") == \
        [(1, "retried", 3), (2, "failed", 3)]
    assert jm.db.value("SELECT count(*) FROM job_logs WHERE level = 'ERROR'") >= 1
    jm.check()


def test_exit_65_is_for_ever_and_75_is_tried_again(jm):
    jm.job_type("data", ["/bin/sh", "-c", "exit 65"], backoff={"initial_s": 0.1})
    jm.job_type("temp", ["/bin/sh", "-c", f"mkdir {jm.dir}/there && exit 75; exit 0"],
                backoff={"initial_s": 0.1})
    jm.start_worker()
    jm.send({"type": "data"}, {"type": "temp"})
    jm.wait_ended(2)
    assert jm.db.query("SELECT type, status, attempt FROM jobs ORDER BY 1") == \
        [("data", "failed", 1), ("temp", "completed", 2)]
    jm.check()


def test_fail_says_its_message(jm):
    jm.start_worker()
    jm.send({"type": "fail", "params": {"message": "as asked"}, "max_attempts": 1})
    jm.wait_ended(1)
    job, = jm.db.rows("SELECT * FROM jobs")
    assert job["status"] == "failed" and "as asked" in job["error"]
    jm.check()


def test_timeout_kills_the_whole_group(jm):
    """A handler that ignores SIGTERM, and its child, are gone when the attempt is over."""
    jm.job_type("stuck", ["/bin/sh", "-c", "trap '' TERM; sleep 300 & sleep 300; sleep 300"],
                timeout_s=1, max_attempts=1)
    jm.start_worker()
    jm.send({"type": "stuck"})
    jm.wait_ended(1, 45)
    job, = jm.db.rows("SELECT * FROM jobs")
    assert job["status"] == "failed" and "time" in job["error"].lower()
    assert jm.db.value("SELECT outcome FROM job_attempts") == "timeout"
    jm.check()


def test_run_at(jm):
    jm.start_worker()
    jm.send({"type": "noop", "run_at": in_s(2)}, {"type": "noop"})
    jm.wait_ended(1)
    waiting = jm.db.rows("SELECT * FROM jobs WHERE run_at IS NOT NULL")
    assert waiting and waiting[0]["status"] == "pending" and waiting[0]["attempt"] == 0
    assert jm.db.value("SELECT state FROM pending_jobs") == "ready"
    jm.wait_ended(2)
    job, = jm.db.rows("SELECT * FROM jobs WHERE run_at IS NOT NULL")
    assert job["started_at"] >= job["run_at"]
    assert job["started_at"] - job["run_at"] < dt.timedelta(seconds=3)
    jm.check()


def test_start_by_expires(jm):
    """What nobody could start in time is expired, not run."""
    jm.start_producer()
    jm.start_worker()
    jm.send({"type": "unknown.type", "start_by": in_s(1.5)})
    wait_until(lambda: jm.db.statuses() == {"expired": 1}, 40, what="the job expires")
    job, = jm.db.rows("SELECT * FROM jobs")
    assert job["outcome"] == "expired" and job["attempt"] == 0
    jm.check()


def test_unknown_type_waits_for_a_worker_that_has_it(jm):
    jm.start_worker()
    jm.send({"type": "later", "params": {"a": 1}}, {"type": "noop"})
    jm.wait_ended(1)
    job = wait_until(lambda: jm.db.rows("SELECT * FROM jobs WHERE type = 'later'"))[0]
    assert job["status"] == "pending"
    assert jm.db.one("SELECT state, type FROM pending_jobs") == ("ready", "later")
    jm.job_type("later", ["/bin/true"])
    jm.start_worker()  # reads the directory anew; the first worker still does not know the type
    jm.wait_ended(2)
    assert jm.wait_status(job["id"], "completed")["attempt"] == 1
    jm.check()


def test_reload_brings_a_type(jm):
    import signal
    worker = jm.start_worker()
    jm.send({"type": "later"})
    wait_until(lambda: jm.db.value("SELECT count(*) FROM pending_jobs") == 1)
    (jm.jobs_dir / "broken.json").write_text('{"type": "broken", "stepz": []}')
    jm.job_type("later", ["/bin/true"])
    worker.signal(signal.SIGHUP)
    jm.wait_ended(1)
    assert "broken.json" in worker.text()
    jm.check()


def test_saturated_type_does_not_hold_up_others(jm):
    """Three slow jobs of a type with one slot; noops behind them in the same partition go on, and
    the slow ones never run side by side."""
    jm.job_type("slow", ["/bin/sh", "-c", f"""
        mkdir {jm.dir}/busy || {{ echo two at once >&2; exit 65; }}
        sleep 0.7; rmdir {jm.dir}/busy"""], concurrency=1)
    jm.start_worker()
    jm.send(*[{"type": "slow"}] * 3, *[{"type": "noop"}] * 50, partition=0)
    jm.wait_ended(50, 20, "type = 'noop'")
    assert jm.db.ended("type = 'slow'") < 3
    jm.wait_ended(53)
    assert jm.db.statuses() == {"completed": 53}
    jm.check()


def test_slow_jobs_do_not_hold_offsets(jm):
    """While a job runs, the offset behind it is committed and the partition goes on."""
    jm.start_worker()
    jm.send({"type": "sleep", "params": {"seconds": 6}}, {"type": "noop"}, partition=0)
    jm.wait_ended(1)
    jm.wait_offsets(timeout=5)
    assert jm.db.statuses()["running"] == 1
    jm.wait_ended(2, 20)
    jm.check()


def test_long_step_is_seen_while_it_runs(jm):
    jm.start_worker()
    jm.send({"type": "sleep", "params": {"seconds": 2}})
    running = wait_until(lambda: jm.db.rows("SELECT * FROM job_steps WHERE status = 'running'"), 20)
    assert running[0]["name"] == "run" and running[0]["completed_at"] is None
    jm.wait_ended(1)
    assert jm.db.query("SELECT status FROM job_steps") == [("success",)]
    assert jm.db.value("SELECT duration_ms FROM jobs") >= 2000
    jm.check()


def test_priority_among_waiting_jobs(jm):
    jm.job_type("one", ["/bin/sleep", "0.2"], concurrency=1)
    jm.send(*[{"type": "one", "priority": p} for p in (1, 5, 9, 1, 9)], partition=0)
    jm.start_worker()
    jm.wait_ended(5)
    order = [p for p, in jm.db.query("SELECT priority FROM jobs ORDER BY started_at")]
    # The first takes the free slot; from then on what waits goes by priority.
    assert order[2:] == sorted(order[2:], reverse=True), order
    jm.check()


def test_a_queue_with_much_to_start_leaves_the_others_their_share(jm):
    """What waits in the database is weighed, too, and not only what comes from Kafka."""
    jm.topic("mail")
    jm.job_type("nap", ["/bin/sleep", "0.1"])
    jm.send(*[{"type": "nap"}] * 60)
    worker = jm.start_worker(queues="default,mail", concurrency=1)
    wait_until(lambda: jm.db.value("SELECT count(*) FROM pending_jobs") > 40, 20)
    jm.db.execute("SELECT submit('nap', '{}', '{\"queue\":\"mail\",\"priority\":3}') "
                  "FROM generate_series(1, 5)")
    jm.wait_ended(5, 40, "queue = 'mail'")
    assert jm.db.ended("queue = 'default'") < 60, "the other queue was served first"
    worker.kill()


def test_two_queues_one_worker(jm):
    jm.topic("mail")
    jm.start_worker(queues="default:2,mail")
    jm.send(*[{"type": "noop"}] * 5)
    jm.send(*[{"type": "noop"}] * 5, queue="mail")
    jm.wait_ended(10)
    assert dict(jm.db.query("SELECT queue, count(*) FROM jobs GROUP BY 1")) == \
        {"default": 5, "mail": 5}
    jm.check(queues=("default", "mail"))


def test_worker_registers(jm):
    worker = jm.start_worker()
    row = jm.db.rows("SELECT * FROM workers WHERE id = %s", jm.worker_id(worker))[0]
    assert row["kind"] == "worker" and row["state"] == "running" and row["queues"] == ["default"]
    assert {"noop", "sleep", "fail"} <= set(row["types"])
    beat = row["heartbeat_at"]
    assert "noop" in jm.cli("type", "list").out
    assert str(worker.pid) in jm.cli("worker", "list", "--json").out
    assert jm.db.value("SELECT count(*) FROM job_types WHERE name = 'noop'") == 1
    wait_until(lambda: jm.db.value("SELECT heartbeat_at FROM workers WHERE id = %s", row["id"])
               > beat, 30, what="it renews its lease")
    assert worker.terminate() == 0
    assert jm.db.value("SELECT state FROM workers WHERE id = %s", row["id"]) == "stopped"
