"""Watchdogs: a thread that hangs is logged, counted, seen by /healthz and by systemd; one that waits for a database is not."""
import socket
import time

import pytest

from lib import page
from lib.freeze import frozen
from lib.wait import wait_until


def health_is(worker, status, reasons):
    def there():
        answer = page.get(worker, "/healthz")
        assert (answer.status, answer.json()["reasons"]) == (status, reasons), answer
        return True
    return there


@pytest.mark.parametrize("thread", ["consumer", "store", "runner", "record", "events"])
def test_a_thread_that_hangs(jm, thread):
    worker = jm.start_worker(watchdog_s=2)
    with frozen(worker, thread):
        wait_until(health_is(worker, 503, [f"the {thread} thread is stuck"]), 15)
        ready = page.get(worker, "/readyz")
        assert (ready.status, ready.json()["reasons"]) == (503, [f"the {thread} thread is stuck"])
        worker.wait_log(f"the {thread} thread is stuck: it has not turned for", 10)
        assert page.metric(worker, "jobmill_watchdog_stuck", {"thread": thread}) == 1
        assert page.metric(worker, "jobmill_watchdog_stuck") == 1  # and no other
        assert page.metric(worker, "jobmill_watchdog_trips_total", {"thread": thread}) == 1
        assert page.metric(worker, "jobmill_watchdog_silent_seconds", {"thread": thread}) > 2
        if thread == "runner":  # the one that /jobs needs
            assert page.get(worker, "/jobs").status == 503
    wait_until(health_is(worker, 200, []), 15)
    worker.wait_log(f"the {thread} thread turns again", 10)
    jm.send('{"type":"noop"}')
    jm.wait_ended(1)


def test_systemd_is_fed_only_while_all_threads_turn(jm):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        path = str(jm.dir / "notify")
        systemd.bind(path)
        systemd.settimeout(10)
        worker = jm.start_worker(watchdog_s=2, env={"NOTIFY_SOCKET": path})

        def fed_within(seconds):
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                systemd.settimeout(max(0.01, until - time.monotonic()))
                try:
                    if b"WATCHDOG=1" in systemd.recv(65536):
                        return True
                except TimeoutError:
                    break
            return False
        assert fed_within(10)
        with frozen(worker, "consumer"):
            worker.wait_log("the consumer thread is stuck", 15)
            while fed_within(0.05):  # what was sent before
                pass
            assert not fed_within(3)
        worker.wait_log("the consumer thread turns again", 15)
        assert fed_within(10)


def test_a_database_that_hangs_is_no_thread_that_hangs(jm_pg):
    worker = jm_pg.start_worker(watchdog_s=2, lease_s=3)
    jm_pg.postgres.freeze()
    try:
        worker.wait_log("no answer within 1000 ms; the connection is given up", 20)
        wait_until(lambda: page.metric(worker, "jobmill_database_timeouts_total", {"thread": "lease"}), 10)
        wait_until(lambda: page.get(worker, "/readyz").json()["reasons"] == ["the database is away"], 20)
        until = time.monotonic() + 3  # longer than the watchdog waits
        while time.monotonic() < until:
            assert page.get(worker, "/healthz").status == 200
            time.sleep(0.1)
    finally:
        jm_pg.postgres.freeze(False)
    wait_until(lambda: page.get(worker, "/readyz").status == 200, 30)
    assert page.metric(worker, "jobmill_watchdog_trips_total") == 0
