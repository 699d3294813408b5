"""A worker with the database left out: jobs run from Kafka alone, at least once."""
import json
import signal

import pytest

from lib.wait import wait_until


@pytest.fixture
def alone(make_stack, bootstrap):
    """A stack without a database."""
    jm = make_stack(None, bootstrap)
    jm.topic()
    return jm


def start(jm, **config):
    return jm.start_worker(**{"database.enabled": "false", **config})


def outcomes(jm):
    """{job id: [event data]} of what was published."""
    found = {}
    for record in jm.kafka.read_all(f"{jm.prefix}.events"):
        event = json.loads(record.value)
        found.setdefault(event["subject"], []).append(event)
    return found


def wait_outcomes(jm, count, timeout=60):
    return wait_until(lambda: len(got := outcomes(jm)) >= count and got, timeout, 0.3,
                      f"{count} outcomes")


def test_outcomes_are_published(alone):
    jm = alone
    jm.job_type("hello", ["/bin/sh", "-c", "echo '{\"n\": 12345678901234567890}'"])
    start(jm)
    jm.send(*[{"type": "noop"}] * 50, {"type": "hello", "id": "a-1", "metadata": {"k": "v"}},
            {"type": "fail", "params": {"message": "on purpose"}, "max_attempts": 1})
    got = [e for events in wait_outcomes(jm, 52).values() for e in events]
    assert len(got) == 52
    by_type = {}
    for event in got:
        assert event["specversion"] == "1.0"
        by_type.setdefault(event["data"]["type"], []).append(event)
    assert len(by_type["noop"]) == 50
    hello, = by_type["hello"]
    assert hello["type"] == "jobmill.job.completed"
    assert hello["data"]["external_id"] == "a-1"
    failed, = by_type["fail"]
    assert failed["type"] == "jobmill.job.failed"
    assert "on purpose" in failed["data"]["error"]
    jm.wait_offsets()


def test_a_slow_job_holds_the_offset_but_nothing_else(alone):
    jm = alone
    jm.send({"type": "sleep", "params": {"seconds": 3600}, "id": "slow"}, partition=0)
    jm.send(*[{"type": "noop"}] * 100, partition=0)
    worker = start(jm, shutdown_grace_s=0)
    wait_outcomes(jm, 100)
    committed = jm.kafka.committed(jm.group(), jm.topic_name())
    assert committed[0] <= 0
    assert worker.terminate(30) == 0
    # At least once: all of it again, since the first was not done.
    start(jm, shutdown_grace_s=0)
    wait_until(lambda: sum(len(e) for e in outcomes(jm).values()) == 200, 60, 0.3,
               "they ran again")


def test_killed_worker_loses_nothing(alone):
    jm = alone
    jm.send(*[{"type": "sleep", "params": {"seconds": 0.05}}] * 400)
    worker = start(jm, concurrency_async=20)
    wait_outcomes(jm, 40)
    worker.signal(signal.SIGKILL)
    worker.wait(10)
    start(jm)
    assert len(wait_outcomes(jm, 400)) == 400
    jm.wait_offsets()


def test_retries_in_memory(alone):
    jm = alone
    marker = jm.dir / "marker"
    jm.job_type("twice", ["/bin/sh", "-c", f"echo x >> {jm.dir}/first"],
                ["/bin/sh", "-c", f"test -e {marker} || {{ touch {marker}; exit 75; }}"],
                backoff={"initial_s": 0.1})
    start(jm)
    jm.send({"type": "twice"})
    (event,), = wait_outcomes(jm, 1).values()
    assert event["type"] == "jobmill.job.completed"
    assert event["data"]["attempt"] == 2
    assert (jm.dir / "first").read_text() == "x\n"  # a step that succeeded is not run again


@pytest.mark.parametrize("message, field", [
    ({"type": "noop", "run_at": "2030-01-01T00:00:00Z"}, "run_at"),
    ({"type": "noop", "depends_on": ["0190a3b4-5c6d-7e8f-9a0b-1c2d3e4f5a6b"]}, "depends_on"),
    ({"type": "noop", "dedup_key": "k"}, "dedup_key"),
    ({"type": "noop", "exclusive": "x"}, "exclusive"),
    ({"type": "ordered"}, "type"),
    ({"type": "noop", "callback_url": "http://example.org/"}, "callback_url"),
    ({"type": "nobody"}, "type"),
    ({"type": "noop", "prams": {}}, "prams"),
])
def test_what_needs_a_database_is_a_dead_letter(alone, message, field):
    jm = alone
    jm.job_type("ordered", ["/bin/true"], ordering="key")
    start(jm)
    jm.send(message, key="k", headers=[("mine", b"1")])
    jm.send({"type": "noop"})
    dead = wait_until(lambda: jm.kafka.read_all(f"{jm.prefix}.dead"), 60, 0.3, "a dead letter")
    assert len(dead) == 1
    assert json.loads(dead[0].value) == message
    headers = {k: v.decode() for k, v in dead[0].headers.items()}
    assert headers["jobmill-field"] == field
    assert headers["jobmill-reason"] and headers["jobmill-detail"] and headers["mine"] == "1"
    assert headers["jobmill-topic"] == jm.topic_name()
    wait_outcomes(jm, 1)
    jm.wait_offsets()


def test_start_by(alone):
    jm = alone
    start(jm)
    jm.send({"type": "noop", "start_by": "2020-01-01T00:00:00Z"})
    (event,), = wait_outcomes(jm, 1).values()
    assert event["type"] == "jobmill.job.expired"
    jm.wait_offsets()


def test_a_saturated_type_holds_up_no_other(alone):
    jm = alone
    jm.job_type("one", {"name": "s", "sleep": {"seconds": 600}}, concurrency=1)
    jm.send(*[{"type": "one"}] * 200)
    jm.send(*[{"type": "noop"}] * 500)
    worker = start(jm, shutdown_grace_s=0)
    wait_outcomes(jm, 500)
    assert worker.terminate(30) == 0
