"""Kafka restarts, freezes, rebalances without end, or is away together with PostgreSQL: nothing is lost
and the worker comes back by itself. Each test ends with the invariants program."""
import random
import signal
import time

import pytest

from lib.database import Server
from lib.load import Load, settle
from lib.wait import wait_until


def goes_on(jm, by=100, timeout=60):
    """So many more have ended, of those from Kafka."""
    more = jm.db.ended("submitted_by LIKE 'kafka%%'") + by
    wait_until(lambda: jm.db.ended("submitted_by LIKE 'kafka%%'") >= more, timeout, what="it goes on")


@pytest.mark.chaos_only
def test_twenty_broker_restarts_under_load(jm_kafka, rounds):
    """kill -9 and SIGTERM by turns, each as soon as records come through again."""
    jm = jm_kafka
    jm.start_producer()
    workers = [jm.start_worker() for _ in range(2)]
    with Load(jm) as load:
        for i in range(20):
            goes_on(jm)
            jm.broker.restart(signal.SIGTERM if i % 2 else signal.SIGKILL)
        goes_on(jm)
    settle(jm, load)
    assert all(w.alive() for w in workers)
    assert jm.db.value("SELECT max(attempt) FROM jobs") == 1


def test_a_rebalance_every_second(jm, rounds):
    """A worker joins or leaves each second under load: 60 times (4 where each test runs once)."""
    rng = random.Random(f"rebalance {rounds}")
    jm.start_producer()
    workers = [jm.start_worker(), jm.start_worker()]
    with Load(jm, pause=0.02) as load:
        for _ in range(60 if rounds > 1 else 4):
            began = time.monotonic()
            if len(workers) >= 4 or (len(workers) > 2 and rng.random() < 0.5):
                leaver = workers.pop(rng.randrange(len(workers)))
                assert leaver.terminate() == 0, leaver.tail()
            else:
                workers.append(jm.start_worker(wait=False))
            wait_until(lambda: time.monotonic() - began >= 1, 5, what="a second has passed")
        goes_on(jm)
    settle(jm, load)
    assert jm.db.value("SELECT count(*) FROM jobs WHERE max_attempts - attempt <> 2") == 0


@pytest.mark.parametrize("seconds", [4, pytest.param(20, marks=pytest.mark.chaos_only)])
def test_broker_frozen(jm_kafka, moment, seconds):
    """It answers nothing, for less or for longer than the session lasts, and goes on."""
    jm = jm_kafka
    jm.start_producer()
    worker = jm.start_worker()
    with Load(jm) as load:
        goes_on(jm, moment(1, 200))
        jm.broker.freeze()
        frozen = time.monotonic()
        try:
            wait_until(lambda: time.monotonic() - frozen > seconds, seconds + 5, what="it is frozen")
        finally:
            jm.broker.freeze(False)
        goes_on(jm)
    settle(jm, load)
    assert worker.alive()
    assert jm.db.value("SELECT max(attempt) FROM jobs") == 1


@pytest.mark.chaos_only
def test_both_away(private_postgres, private_kafka, make_stack, moment, rounds):
    """PostgreSQL and Kafka go, in either order, while jobs run, and come back in either order: every job
    ends once, in its first attempt."""
    jm = make_stack(Server(private_postgres.url, private_postgres.dir).create(), private_kafka.bootstrap)
    jm.topic()
    jm.start_producer()
    jm.start_worker(lease_s=2, **{"kafka.session.timeout.ms": 6000})
    sleepers = 30
    jm.send(*[{"type": "sleep", "params": {"seconds": 3}}] * sleepers)
    wait_until(lambda: jm.db.value("SELECT count(*) FROM jobs WHERE status = 'running'") == sleepers, 30,
               what="30 jobs run")
    with Load(jm) as load:
        goes_on(jm, moment(1, 200))
    load.accepted += sleepers
    how = signal.SIGKILL if rounds > 1 and moment(0, 1) else signal.SIGTERM
    servers = [lambda: private_postgres.stop("immediate"), lambda: private_kafka.stop(how)]
    back = [private_postgres.start, private_kafka.start]
    for i in (0, 1) if moment(0, 1) else (1, 0):
        servers[i]()
    gone = time.monotonic()
    wait_until(lambda: time.monotonic() - gone > 3, 10, what="a lease has passed")
    for i in (0, 1) if moment(0, 1) else (1, 0):
        back[i]()
    jm.send(*[{"type": "noop"}] * 10)
    load.accepted += 10
    settle(jm, load)
    assert jm.db.value("SELECT max(attempt) FROM jobs") == 1
    assert jm.db.value("SELECT count(*) FROM job_attempts") == 0
    wrong = jm.finish()
    assert not wrong, "\n".join(wrong)
