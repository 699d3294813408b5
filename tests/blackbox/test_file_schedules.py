"""A producer without a database: schedules from a file, straight to Kafka."""
import datetime as dt
import json
import signal

import pytest

from lib import page
from lib.wait import wait_until

UTC = dt.timezone.utc


@pytest.fixture
def alone(make_stack, bootstrap):
    """A stack without a database, with a file of schedules to be written."""
    jm = make_stack(None, bootstrap)
    jm.topic()
    jm.file = jm.dir / "schedules.json"
    return jm


def write(jm, *schedules, calendars=()):
    jm.file.write_text(json.dumps({"calendars": list(calendars), "schedules": list(schedules)}))


def start(jm, **config):
    return jm.start_producer(**{"database.enabled": "false", "scheduler.file": jm.file, **config})


def every(name, seconds=1, **more):
    return {"name": name, "type": "noop", "interval_seconds": seconds, **more}


def records(jm, name=None):
    """Messages in the topic, those of one schedule by its param."""
    found = [json.loads(r.value) for r in jm.kafka.read_all(jm.topic_name())]
    return [m for m in found if name is None or m.get("params", {}).get("of") == name]


def due_of(message):
    return int(message["id"].replace("-", "")[:12], 16) / 1000


def assert_each_second(messages):
    """No instant is missing, and none is there twice."""
    times = sorted(due_of(m) for m in messages)
    assert all(abs(b - a - 1) < 1e-6 for a, b in zip(times, times[1:])), times


def wait_records(jm, count, name=None, timeout=30):
    return wait_until(lambda: len(got := records(jm, name)) >= count and got, timeout, 0.2, f"{count} records")


def test_fires_once_an_instant(alone):
    jm = alone
    anchor = dt.datetime.now(UTC).replace(microsecond=250000)
    write(jm, every("a", params={"of": "a"}, anchor_at=anchor.isoformat(), priority=7, metadata={"k": 1}),
          {"name": "c", "type": "noop", "cron_expression": "*/2 * * * * *", "params": {"of": "c"}})
    producer = start(jm)
    producer.wait_log("2 schedules in", 5)
    got = wait_records(jm, 4, "a")
    assert_each_second(got)
    assert all(abs(due_of(m) % 1 - 0.25) < 1e-3 for m in got)
    assert got[0]["priority"] == 7 and got[0]["metadata"] == {"k": 1} and got[0]["type"] == "noop"
    assert all(due_of(m) % 2 == 0 for m in wait_records(jm, 2, "c"))
    assert page.metric(producer, "jobmill_schedule_ticks_total", {"outcome": "fired"}) >= 6
    assert page.get(producer, "/readyz").status == page.get(producer, "/healthz").status == 200


def test_workers_without_a_database_run_them(alone):
    jm = alone
    write(jm, every("a"))
    jm.start_worker(**{"database.enabled": "false"})
    start(jm)
    wait_until(lambda: len(jm.kafka.read_all(f"{jm.prefix}.events")) >= 3, 60, 0.3, "outcomes")


def test_the_file_changes(alone):
    """What is the same goes on, what is new begins, a broken file changes nothing."""
    jm = alone
    write(jm, every("keep", params={"of": "keep"}))
    producer = start(jm)
    wait_records(jm, 2, "keep")
    write(jm, every("keep", params={"of": "keep"}), every("new", params={"of": "new"}))
    producer.signal(signal.SIGHUP)
    wait_records(jm, 2, "new")
    jm.file.write_text('{"schedules": [{"name": "x", "type": "noop", "cron_expression": "61 * * * *"}]}')
    producer.signal(signal.SIGHUP)
    producer.wait_log("schedules[0]", 10)
    n = len(records(jm, "new"))
    wait_records(jm, n + 2, "new")
    write(jm)
    producer.signal(signal.SIGHUP)
    producer.wait_log("0 schedules in", 10)
    assert_each_second(records(jm, "keep"))


@pytest.mark.parametrize("schedule,word", [
    (every("x", overlap="queue"), "need a database"), (every("x", exclusive="l"), "needs a database"),
    (every("x", calendar="none"), "no calendar"), (every("x", timezone="No/Where"), "timezone"),
    ({"name": "x"}, "is needed"), ({"name": "x", "type": "noop", "cron_expression": "* * *"}, "cron_expression"),
    ({"nme": "x"}, "nme")])
def test_refused(alone, schedule, word):
    jm = alone
    write(jm, schedule)
    producer = start(jm, wait=False)
    assert producer.wait(20) == 1 and word in producer.text(), producer.text()


def test_needs_a_file(alone):
    """To one that serves no API there is nothing else to do."""
    producer = alone.start_producer("--no-http", wait=False, **{"database.enabled": "false"})
    assert producer.wait(20) == 2 and "[scheduler] file" in producer.text()


def test_calendar(alone):
    jm = alone
    today = dt.datetime.now(UTC).date()
    days = [str(today + dt.timedelta(days=d)) for d in (-1, 0, 1)]
    write(jm, every("closed", params={"of": "closed"}, calendar="c"), every("open", params={"of": "open"}),
          calendars=[{"project": "default", "name": "c", "definition": {"exclude": days}}])
    producer = start(jm)
    wait_records(jm, 3, "open")
    assert not records(jm, "closed")
    assert page.metric(producer, "jobmill_schedule_ticks_total", {"outcome": "skipped"}) >= 2


def test_kafka_away_loses_nothing(make_stack, private_kafka):
    """What is due while the broker is stopped is published once it is back, once."""
    jm = make_stack(None, private_kafka.bootstrap)
    jm.topic()
    jm.file = jm.dir / "schedules.json"
    write(jm, every("a", params={"of": "a"}))
    producer = start(jm)
    wait_records(jm, 2, "a")
    private_kafka.restart(signal.SIGKILL)
    n = page.metric(producer, "jobmill_schedule_ticks_total", {"outcome": "fired"})
    got = wait_records(jm, n + 3, "a", 60)
    assert_each_second({m["id"]: m for m in got}.values())
    assert producer.terminate() == 0


def test_kafka_away_is_said(make_stack, private_kafka):
    """Readiness, metric and log name it; what Kafka has not taken at the end is counted as lost."""
    jm = make_stack(None, private_kafka.bootstrap)
    jm.topic()
    jm.file = jm.dir / "schedules.json"
    write(jm, every("a"))
    producer = start(jm)
    wait_records(jm, 1)
    assert page.metric(producer, "jobmill_kafka_up") == 1
    assert page.metric(producer, "jobmill_schedule_publish_delay_seconds_count") >= 1
    private_kafka.stop()
    producer.wait_log("Kafka does not answer", 30)
    assert page.get(producer, "/readyz").status == 503 and page.metric(producer, "jobmill_kafka_up") == 0
    assert producer.terminate(40) == 1
    assert "jobs: they are lost" in producer.text()
    private_kafka.start()
