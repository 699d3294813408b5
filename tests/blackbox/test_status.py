"""The worker's own port: health, readiness, metrics, jobs."""
import json
import os
import socket
import subprocess

import pytest

from lib import page
from lib.paths import ROOT
from lib.stack import is_ci
from lib.wait import wait_until

HOLD = '{"type":"sleep","params":{"seconds":%s}}'


def value_is(worker, wanted, name, labels):
    def there():
        value = page.metric(worker, name, labels)
        assert value == wanted, f"{name}{labels} is {value}, not {wanted}"
        return True
    return there


@pytest.mark.tsan
def test_metrics_count_what_happened(jm):
    jm.job_type("fails", ["/bin/false"], max_attempts=2, backoff={"initial_s": 0.05})
    worker = jm.start_worker()
    jm.send(*['{"type":"noop"}'] * 30, '{"type":"fails"}', '{"typo":1}', '{"type":"nobody.has.it"}')
    jm.wait_ended(31)
    default = {"queue": "default"}
    for wanted, name, labels in [
            (30, "jobmill_jobs_finished_total", {**default, "type": "noop", "status": "completed"}),
            (1, "jobmill_jobs_finished_total", {**default, "type": "fails", "status": "failed"}),
            (30, "jobmill_jobs_submitted_total", {**default, "type": "noop", "source": "kafka"}),
            (1, "jobmill_jobs_submitted_total", {**default, "type": "other", "source": "kafka"}),
            (1, "jobmill_attempts_total", {"type": "fails", "outcome": "retried"}),
            (1, "jobmill_attempts_total", {"type": "fails", "outcome": "failed"}),
            (1, "jobmill_dead_letters_total", {}),
            (30, "jobmill_job_duration_seconds_count", {"type": "noop"}),
            (2, "jobmill_job_duration_seconds_count", {"type": "fails"}),
            (31, "jobmill_job_wait_seconds_count", {"queue": "default"}),
            (0, "jobmill_fenced_writes_total", {}),
            (1, "jobmill_database_up", {}),
            (1, "jobmill_kafka_up", {}),
            (4, "jobmill_consumer_partitions", {}),
            (1, "jobmill_build_info", {"program": "jobmill-worker"}),
            (0, "jobmill_worker_slots", {"state": "used"}),
            (0, "jobmill_watchdog_stuck", {}),
            (1, "jobmill_queue_jobs", {**default, "status": "pending"})]:
        wait_until(value_is(worker, wanted, name, labels), 15)
    assert page.metric(worker, "jobmill_transaction_jobs_sum", {"what": "record"}) >= 32
    # librdkafka tells its statistics every 5 s.
    wait_until(value_is(worker, 0, "jobmill_consumer_lag_records", {"topic": jm.topic_name()}), 20)


def test_gauges_of_what_waits_and_runs(jm):
    worker = jm.start_worker(concurrency_async=2, shutdown_grace_s=0)
    jm.send(*[HOLD % 60] * 5)
    wait_until(value_is(worker, 2, "jobmill_queue_jobs", {"queue": "default", "status": "running"}), 20)
    wait_until(value_is(worker, 2, "jobmill_worker_slots", {"class": "async", "state": "used"}), 10)
    wait_until(value_is(worker, 0, "jobmill_worker_slots", {"class": "async", "state": "free"}), 10)
    wait_until(value_is(worker, 3, "jobmill_queue_jobs", {"queue": "default", "status": "pending"}), 10)
    wait_until(value_is(worker, 3, "jobmill_pending_jobs", {"state": "ready"}), 20)
    assert page.metric(worker, "jobmill_queue_oldest_pending_seconds", {"queue": "default"}) < 60


def test_no_id_becomes_a_label(jm):
    worker = jm.start_worker()
    jm.send(*[json.dumps({"type": f"unknown-{i}"}) for i in range(50)])
    wait_until(value_is(worker, 50, "jobmill_jobs_submitted_total", {"type": "other"}), 20)
    text = page.get(worker, "/metrics").text()
    assert "unknown-" not in text
    for job_id, in jm.db.query("SELECT id::text FROM jobs"):
        assert job_id not in text


def test_endpoints(jm):
    worker = jm.start_worker()
    for path, kind in [("/healthz", "application/json"), ("/readyz", "application/json"),
                       ("/jobs", "application/json"), ("/metrics", "text/plain; version=0.0.4; charset=utf-8")]:
        answer = page.get(worker, path)
        assert (answer.status, answer.headers["Content-Type"]) == (200, kind), answer
        head = page.request(worker, path, method="HEAD")
        assert (head.status, head.body) == (200, b"")
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            refused = page.request(worker, path, method=method, body=b'{"a":1}')
            assert refused.status == 405, refused
            assert refused.headers["Allow"] == "GET, HEAD"
            assert refused.headers["Content-Type"] == "application/problem+json"
            assert refused.json()["code"] == "method_not_allowed"
    missing = page.get(worker, "/nowhere")
    assert missing.status == 404
    assert missing.json() == {"type": "about:blank", "title": "Not Found", "status": 404,
                              "code": "not_found", "detail": "there is nothing at this path"}
    assert page.get(worker, "/healthz").json() == {"status": "ok", "reasons": []}
    assert page.get(worker, "/readyz").json() == {"status": "ready", "reasons": []}
    for query in ("limit=0", "limit=1001", "limit=x", "limit=", "status=odd"):
        bad = page.get(worker, "/jobs?" + query)
        assert bad.status == 400, bad
        assert bad.json()["errors"][0]["parameter"] == query.split("=")[0]


def test_jobs_running_and_recent(jm):
    handler = jm.script("steps.py", """#!/usr/bin/python3
import os, time
os.write(3, b'{"progress":{"total":9,"ok":4,"failed":1}}\\n')
while not os.path.exists(os.environ["GO"]):
    time.sleep(0.01)
""")
    go = jm.dir / "go"
    jm.job_type("slow", {"name": "work", "exec": {"argv": [handler], "env": {"GO": str(go)}}})
    jm.job_type("broken", ["/bin/sh", "-c", "echo out of luck >&2; exit 65"])
    worker = jm.start_worker()
    jm.send('{"type":"slow"}', '{"type":"broken"}', '{"type":"noop"}')
    jm.wait_ended(2)

    def progressed():
        jobs = page.get(worker, "/jobs").json()["running"]
        assert [j["progress"] for j in jobs] == [{"total": 9, "ok": 4, "failed": 1}], jobs
        return jobs[0]
    running = wait_until(progressed, 20)
    row = jm.db.job(running["id"])
    assert (running["type"], running["queue"], running["project"]) == ("slow", "default", "default")
    assert (running["status"], running["attempt"], running["step"]) == ("running", 1, "work")
    assert running["started_at"][:10] == row["started_at"].strftime("%Y-%m-%d")
    assert running["stopping"] is False
    assert jm.worker_id(worker) and str(jm.worker_id(worker)) == page.get(worker, "/jobs").json()["worker_id"]
    failed = page.get(worker, "/jobs?status=failed").json()
    assert failed["running"] == []
    assert [j["type"] for j in failed["recent"]] == ["broken"]
    assert failed["recent"][0]["error"] == jm.db.value("SELECT error FROM jobs WHERE type = 'broken'")
    go.touch()
    jm.wait_ended(3)
    done = page.get(worker, "/jobs?type=slow&limit=1").json()
    assert (done["running"], [j["status"] for j in done["recent"]]) == ([], ["completed"])
    assert done["recent"][0]["duration_ms"] > 0
    everything = page.get(worker, "/jobs").json()
    assert {j["type"] for j in everything["recent"]} == {"slow", "broken", "noop"}
    assert len(page.get(worker, "/jobs?limit=2").json()["recent"]) == 2


def test_taken_port_is_a_warning(jm):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        worker = jm.start_worker(listen="127.0.0.1:%d" % taken.getsockname()[1])
        worker.wait_log("ready: queues")
        assert "no health page and no metrics" in worker.text()
        assert "listening on nothing" in worker.text()
        jm.send('{"type":"noop"}')
        jm.wait_ended(1)


def test_topic_properties_of_the_user_leave_the_beginning(jm):
    """One property of topics in [kafka] once made the worker skip what was in the topic before it came."""
    jm.send(*['{"type":"noop"}'] * 5)
    jm.start_worker(**{"kafka.request.timeout.ms": 20000})
    jm.wait_ended(5)


def test_slow_clients_hold_up_nobody(jm):
    worker = jm.start_worker()
    host, port = page.address(worker)
    idle = [socket.create_connection((host, port)) for _ in range(40)]
    try:
        for s in idle:
            s.sendall(b"GET /healthz HTTP/1.1\r\nHost:")  # and no more
        assert page.get(worker, "/healthz").status == 200
        big = page.request(worker, "/healthz", headers={"X-Big": "x" * 60000})
        assert 400 <= big.status < 500, big
        assert page.get(worker, "/metrics").status == 200
    finally:
        for s in idle:
            s.close()


def test_ready_only_with_database(jm_pg):
    worker = jm_pg.start_worker()
    assert page.get(worker, "/readyz").status == 200
    jm_pg.postgres.stop("immediate")

    def away():
        answer = page.get(worker, "/readyz")
        assert (answer.status, answer.json()["reasons"]) == (503, ["the database is away"]), answer
        return True
    wait_until(away, 30)
    assert page.get(worker, "/healthz").status == 200
    assert page.metric(worker, "jobmill_database_up") == 0
    jm_pg.postgres.start()
    wait_until(lambda: page.get(worker, "/readyz").status == 200, 30)
    assert page.metric(worker, "jobmill_database_up") == 1


@pytest.mark.parametrize("how", ["stopped", "frozen"])
def test_ready_only_with_kafka(jm_kafka, how):
    worker = jm_kafka.start_worker()
    assert page.get(worker, "/readyz").status == 200
    if how == "stopped":
        jm_kafka.broker.stop()
    else:
        jm_kafka.broker.freeze()

    def away():
        answer = page.get(worker, "/readyz")
        assert (answer.status, answer.json()["reasons"]) == (503, ["Kafka is away"]), answer
        return True
    wait_until(away, 30)
    assert page.get(worker, "/healthz").status == 200
    assert page.metric(worker, "jobmill_kafka_up") == 0
    if how == "stopped":
        jm_kafka.broker.start()
    else:
        jm_kafka.broker.freeze(False)
    wait_until(lambda: page.get(worker, "/readyz").status == 200, 40)


def test_not_ready_while_stopping(jm):
    worker = jm.start_worker(shutdown_grace_s=5)
    jm.send(HOLD % 60)
    wait_until(value_is(worker, 1, "jobmill_worker_jobs", {}), 20)
    worker.signal(15)

    def stopping():
        answer = page.get(worker, "/readyz")
        assert (answer.status, answer.json()["reasons"]) == (503, ["the worker is stopping"]), answer
        return True
    wait_until(stopping, 10)


def promtool():
    """Debian's promtool, unpacked by tests/run.sh or installed."""
    for path in (os.environ.get("PROMTOOL"), ROOT / "build/promtool/usr/bin/promtool", "/usr/bin/promtool"):
        if path and os.access(path, os.X_OK):
            return str(path)
    if is_ci():
        pytest.fail("no promtool")
    pytest.skip("no promtool")


def test_promtool_has_nothing_to_say(jm):
    tool = promtool()
    jm.job_type("fails", ["/bin/false"], max_attempts=1)
    worker = jm.start_worker()
    jm.send(*['{"type":"noop"}'] * 3, '{"type":"fails"}', '{}')
    jm.wait_ended(4)
    wait_until(lambda: page.metric(worker, "jobmill_consumer_lag_records") is not None, 20)
    text = page.get(worker, "/metrics").text()
    done = subprocess.run([tool, "check", "metrics"], input=text, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), f"{done}\n{text}"
