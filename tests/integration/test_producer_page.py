"""What a producer serves: health, readiness, metrics."""
import socket

import pytest

from lib import page
from lib.freeze import frozen
from lib.servers import free_port
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
    assert page.get(producer, "/").status == 404
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
