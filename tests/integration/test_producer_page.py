"""What a producer serves: health, readiness, metrics."""
import os
import socket
import subprocess
import time

import pytest

from lib import page
from lib.api import Api
from lib.freeze import frozen
from lib.paths import ROOT
from lib.servers import free_port
from lib.stack import is_ci
from lib.wait import wait_until


def not_ready(producer, *reasons):
    def there():
        answer = page.get(producer, "/readyz")
        assert (answer.status, answer.json()["reasons"]) == (503, list(reasons)), answer
        return True
    return there


def test_endpoints(jm):
    producer = jm.start_producer()
    wait_until(lambda: page.get(producer, "/readyz").status == 200, 20)
    for path, kind in [("/healthz", "application/json"), ("/readyz", "application/json"),
                       ("/metrics", "text/plain; version=0.0.4; charset=utf-8")]:
        answer = page.get(producer, path)
        assert (answer.status, answer.headers["Content-Type"]) == (200, kind), answer
        assert page.request(producer, path, method="POST").status == 405
    assert page.get(producer, "/nothing").status == 404
    assert page.get(producer, "/healthz").json() == {"status": "ok", "reasons": []}
    assert page.get(producer, "/readyz").json() == {"status": "ready", "reasons": []}
    assert producer.text().count("Scheduler started with 0 active schedules") == 1
    assert "ready: listening on %s:%d; database" % page.address(producer) in producer.text()


def test_taken_port_is_a_warning(jm):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        producer = jm.start_producer(**{"http.listen": "127.0.0.1:%d" % taken.getsockname()[1]})
        assert "no health page and no metrics" in producer.text()
        assert "ready: listening on nothing;" in producer.text()
        jm.db.value("SELECT submit('noop')")
        wait_until(lambda: jm.db.value("SELECT state FROM pending_jobs") == "published", 10)


def test_no_http_serves_nothing(jm):
    port = free_port()
    producer = jm.start_producer("--no-http", **{"http.listen": f"127.0.0.1:{port}"})
    assert "ready: listening on nothing;" in producer.text()
    with socket.socket() as s:
        assert s.connect_ex(("127.0.0.1", port)) != 0


def test_served_while_the_database_is_not_there_yet(jm_pg):
    jm_pg.db.close()
    jm_pg.postgres.stop("immediate")
    producer = jm_pg.start_producer(wait=False)
    producer.wait_log("waiting for the database")
    not_ready(producer, "the database has not been reached yet")()
    assert page.get(producer, "/healthz").status == 200
    assert page.metric(producer, "jobmill_database_up") == 0
    jm_pg.postgres.start()
    wait_until(lambda: page.get(producer, "/readyz").status == 200, 30)


@pytest.mark.parametrize("how", ["stopped", "frozen"])
def test_ready_only_with_database(jm_pg, how):
    producer = jm_pg.start_producer()
    wait_until(lambda: page.get(producer, "/readyz").status == 200, 20)
    jm_pg.db.close()
    if how == "stopped":
        jm_pg.postgres.stop("immediate")
    else:
        jm_pg.postgres.freeze()
    wait_until(not_ready(producer, "the database is away"), 30)
    assert page.get(producer, "/healthz").status == 200
    assert page.metric(producer, "jobmill_database_up") == 0
    if how == "stopped":
        jm_pg.postgres.start()
    else:
        jm_pg.postgres.freeze(False)
    wait_until(lambda: page.get(producer, "/readyz").status == 200, 40)
    assert page.metric(producer, "jobmill_database_up") == 1


@pytest.mark.parametrize("how", ["stopped", "frozen"])
def test_ready_only_with_kafka(jm_kafka, how):
    """Also with nothing to publish."""
    producer = jm_kafka.start_producer()
    wait_until(lambda: page.get(producer, "/readyz").status == 200, 20)
    if how == "stopped":
        jm_kafka.broker.stop()
    else:
        jm_kafka.broker.freeze()
    wait_until(not_ready(producer, "Kafka is away"), 30)
    assert page.get(producer, "/healthz").status == 200
    assert page.metric(producer, "jobmill_kafka_up") == 0
    if how == "stopped":
        jm_kafka.broker.start()
    else:
        jm_kafka.broker.freeze(False)
    wait_until(lambda: page.get(producer, "/readyz").status == 200, 40)
    producer.wait_log("Kafka answers again", 5)


@pytest.mark.slow
def test_threads_that_hang(jm):
    producer = jm.start_producer()
    wait_until(lambda: page.get(producer, "/readyz").status == 200, 20)
    reasons = [f"the {name} thread is stuck" for name in ("relay", "janitor", "scheduler")]
    with frozen(producer, "jm-relay"), frozen(producer, "jm-janitor"), frozen(producer, "jm-scheduler"):
        def stuck():
            answer = page.get(producer, "/healthz")
            assert (answer.status, answer.json().get("reasons")) == (503, reasons), answer
            return True
        wait_until(stuck, 80)
        wait_until(lambda: page.metric(producer, "jobmill_watchdog_trips_total") == 3, 10)
    wait_until(lambda: page.get(producer, "/healthz").status == 200, 20)


# Metrics

SCHEDULE = ("INSERT INTO schedules (id, name, type, kind, interval_seconds, anchor_at, next_run_at, overlap, priority) "
            "VALUES (uuid7(), %s, 'noop', 'interval', 1, date_trunc('second', clock_timestamp()), "
            "date_trunc('second', clock_timestamp()) + interval '1 second', %s, %s)")


def value_is(producer, wanted, name, labels=None):
    def there():
        value = page.metric(producer, name, labels)
        assert value == wanted, f"{name}{labels} is {value}, not {wanted}"
        return True
    return there


def promtool():
    for path in (os.environ.get("PROMTOOL"), ROOT / "build/promtool/usr/bin/promtool", "/usr/bin/promtool"):
        if path and os.access(path, os.X_OK):
            return str(path)
    if is_ci():
        pytest.fail("no promtool")
    pytest.skip("no promtool")


@pytest.mark.tsan
def test_metrics_count_what_happened(jm):
    producer = jm.start_producer()
    for name, overlap, priority in (("plain", "allow", 4), ("skips", "skip", 4), ("urgent", "allow", 9)):
        jm.db.execute(SCHEDULE, name, overlap, priority)
    jm.db.execute("SELECT submit('noop')")
    wait_until(lambda: jm.db.value("SELECT count(*) FROM schedule_ticks") >= 9, 30)
    jm.db.execute("UPDATE schedules SET paused = true")
    wait_until(lambda: jm.db.value("SELECT count(*) FROM pending_jobs WHERE state = 'unpublished'") == 0, 10)
    ticks = dict(jm.db.query("SELECT outcome, count(*) FROM schedule_ticks GROUP BY 1"))
    through_kafka = jm.db.value("SELECT count(*) FROM jobs WHERE schedule_id IS NOT NULL AND priority = 4")
    urgent = jm.db.value("SELECT count(*) FROM jobs WHERE priority = 9")
    for wanted, name, labels in [
            (ticks["fired"], "jobmill_schedule_ticks_total", {"outcome": "fired"}),
            (ticks["skipped"], "jobmill_schedule_ticks_total", {"outcome": "skipped"}),
            (0, "jobmill_schedule_ticks_total", {"outcome": "missed"}),
            (ticks["fired"], "jobmill_jobs_submitted_total", {"queue": "default", "type": "noop", "source": "schedule"}),
            (through_kafka, "jobmill_schedule_publish_delay_seconds_count", {}),
            (through_kafka + 1, "jobmill_relay_published_total", {}),
            (0, "jobmill_relay_failed_total", {}),
            (0, "jobmill_relay_in_flight", {}),
            (0, "jobmill_rescues_total", {}),
            (1, "jobmill_database_up", {}),
            (1, "jobmill_kafka_up", {}),
            (1, "jobmill_build_info", {"program": "jobmill-producer"}),
            (through_kafka + 1, "jobmill_pending_jobs", {"state": "published"}),
            (urgent, "jobmill_pending_jobs", {"state": "ready"}),
            (urgent, "jobmill_queue_jobs", {"queue": "default", "status": "pending"}),
            (None, "jobmill_queue_jobs", {"status": "running"}),
            (0, "jobmill_unpublished_oldest_seconds", {}),
            (0, "jobmill_schedules_overdue", {})]:
        wait_until(value_is(producer, wanted, name, labels), 15)
    assert 0 < page.metric(producer, "jobmill_queue_oldest_pending_seconds", {"queue": "default"}) < 60
    assert 0 < page.metric(producer, "jobmill_schedule_publish_delay_seconds_sum") < through_kafka
    Api.of(producer).get("/jobs", expect=401)
    for method, counted in (("GET", "GET"), ("PUT", "PUT"), ("BREW", "other")):
        page.request(producer, "/nothing", method)
        assert page.metric(producer, "jobmill_http_requests_total",
                           {"method": counted, "route": "none", "status": "404"}) == 1
    text = page.get(producer, "/metrics").text()
    assert "jobmill_http_requests_total" in text and "jobmill_http_request_duration_seconds_bucket" in text
    assert "plain" not in text.replace("text/plain", "") and "urgent" not in text
    for job_id, in jm.db.query("SELECT id::text FROM jobs UNION SELECT id::text FROM schedules"):
        assert job_id not in text
    done = subprocess.run([promtool(), "check", "metrics"], input=text, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), f"{done}\n{text}"


def test_what_runs_is_counted_by_queue(jm):
    producer = jm.start_producer()
    jm.start_worker(shutdown_grace_s=0)
    jm.send(*['{"type":"sleep","params":{"seconds":60}}'] * 3)
    wait_until(value_is(producer, 3, "jobmill_queue_jobs", {"queue": "default", "status": "running"}), 30)


def test_what_is_late_shows(jm):
    """Nobody fires, nobody publishes: Kafka has no such topic and may make none."""
    producer = jm.start_producer("--no-scheduler", **{"kafka.bootstrap.servers": "127.0.0.1:1"})
    jm.db.execute(SCHEDULE, "s", "allow", 4)
    jm.db.execute("SELECT submit('noop')")
    wait_until(value_is(producer, 1, "jobmill_schedules_overdue"), 20)
    assert page.metric(producer, "jobmill_schedule_ticks_total") is None
    assert page.metric(producer, "jobmill_kafka_up") == 0

    def waits():
        assert page.metric(producer, "jobmill_unpublished_oldest_seconds") > 3
        assert page.metric(producer, "jobmill_pending_jobs", {"state": "unpublished"}) == 1
        return True
    wait_until(waits, 30)


def test_rescues_are_counted(jm):
    producer = jm.start_producer()
    worker = jm.db.value("INSERT INTO workers (id, kind, host, pid, version, lease_s, expires_at) VALUES (uuid7(), "
                         "'worker', 'h', 1, '0', 2, clock_timestamp() - interval '1 second') RETURNING id")
    job = jm.db.value("INSERT INTO jobs (id, type, status, worker_id, attempt, started_at) VALUES (uuid7(), 'noop', "
                      "'running', %s, 1, now()) RETURNING id", worker)
    jm.db.execute("INSERT INTO claims (worker_id, seq, job_ids) VALUES (%s, 1, %s::uuid[])", worker, [job])
    wait_until(value_is(producer, 1, "jobmill_rescues_total"), 20)
    assert page.metric(producer, "jobmill_workers_lost_total") == 1


@pytest.mark.parametrize("how", ["stopped", "frozen"])
def test_what_cannot_be_read_is_left_out(jm_pg, how):
    producer = jm_pg.start_producer()
    wait_until(value_is(producer, 0, "jobmill_schedules_overdue"), 20)
    jm_pg.db.close()
    if how == "stopped":
        jm_pg.postgres.stop("immediate")
    else:
        jm_pg.postgres.freeze()
    wait_until(value_is(producer, None, "jobmill_schedules_overdue"), 40)
    assert page.metric(producer, "jobmill_pending_jobs") is None
    assert page.metric(producer, "jobmill_relay_published_total") == 0
    if how == "stopped":
        jm_pg.postgres.start()
    else:
        jm_pg.postgres.freeze(False)
    wait_until(value_is(producer, 0, "jobmill_schedules_overdue"), 40)


def test_gauges_are_read_at_most_once_in_five_seconds(jm):
    producer = jm.start_producer()
    wait_until(value_is(producer, 0, "jobmill_schedules_overdue"), 20)
    jm.db.execute("SELECT submit('noop', '{}', '{\"priority\": 9}')")
    began = time.monotonic()
    wait_until(value_is(producer, 1, "jobmill_pending_jobs", {"state": "ready"}), 20, 0.05)
    assert time.monotonic() - began > 3
