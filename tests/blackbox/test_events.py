"""Events about jobs on <prefix>.events: what is published, its form, and what happens when it cannot be."""
import collections
import json

import jsonschema
import pytest

from lib import page
from lib.http_server import HttpServer
from lib.ids import uuid7
from lib.paths import ROOT
from lib.wait import wait_until

SCHEMA = json.loads((ROOT / "schema/job_event.v1.json").read_text())
SCHEDULE_VALIDATOR = jsonschema.Draft202012Validator(json.loads((ROOT / "schema/schedule_event.v1.json").read_text()),
                                                     format_checker=jsonschema.FormatChecker())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker())
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def read(stack):
    """All events about jobs so far, each checked against the schema."""
    return [event for event in read_all(stack) if event["type"].startswith("jobmill.job.")]


def read_all(stack):
    found = []
    for record in stack.kafka.read_all(stack.events_topic):
        assert record.headers == {"content-type": b"application/cloudevents+json"}
        event = json.loads(record.value)
        (VALIDATOR if event["type"].startswith("jobmill.job.") else SCHEDULE_VALIDATOR).validate(event)
        assert event["subject"] == event["data"]["id"]
        event["key"] = record.key
        found.append(event)
    return found


def events_are(stack, count):
    """Waits for so many events."""
    def there():
        events = read(stack)
        assert len(events) == count, [(e["type"], e["data"]["type"]) for e in events]
        return events
    return wait_until(there, 30, 0.3)


@pytest.mark.tsan
def test_every_end_is_an_event(jm):
    jm.job_type("fails", ["/bin/sh", "-c", "echo 'no \"luck\"\t\\' >&2; exit 65"])
    jm.job_type("again", ["/bin/false"], max_attempts=2, backoff={"initial_s": 0.05})
    jm.job_type("gives", ["/bin/sh", "-c", """echo '{"result":{"n":1.50}}' >&3"""])
    jm.job_type("much", ["/usr/bin/python3", "-c",
                         "import os, json; os.write(3, json.dumps({'result': 'x' * 70000}).encode() + b'\\n')"])
    jm.start_worker()
    jm.send('{"type":"noop","id":"mine"}', '{"type":"fails"}', '{"type":"again"}', '{"type":"gives"}', '{"type":"much"}',
            '{"nonsense":1}')
    jm.wait_ended(5)
    events = {e["data"]["type"]: e for e in events_are(jm, 5)}
    for kind, event in events.items():
        row = jm.db.job(event["subject"])
        data = event["data"]
        assert event["type"] == f"jobmill.job.{row['status']}"
        assert event["source"] == "/jobmill/default"
        assert event["id"] == f"{row['id']}.{row['attempt']}.{row['status']}"
        assert (data["status"], data["attempt"], data["queue"]) == (row["status"], row["attempt"], "default")
        assert data["completed_at"] == row["completed_at"].strftime("%Y-%m-%dT%H:%M:%S.%fZ") == event["time"]
        assert data["duration_ms"] == row["duration_ms"]
        assert data.get("error") == row["error"], kind
        assert data.get("external_id") == row["external_id"]
        assert "traceparent" not in event and event["key"] is None
    assert events["again"]["data"]["attempt"] == 2
    assert events["gives"]["data"]["result"] == {"n": 1.5}
    assert b"1.50" in [r.value for r in jm.kafka.read_all(jm.events_topic) if b'"gives"' in r.value][0]
    assert events["much"]["data"]["result_omitted"] is True and "result" not in events["much"]["data"]
    assert events["noop"]["data"]["external_id"] == "mine"


def test_traceparent_reaches_child_http_request_and_event(jm):
    seen = jm.dir / "seen"
    server = HttpServer()
    try:
        jm.job_type("traced", {"name": "child", "exec": {
            "argv": ["/bin/sh", "-c", f'echo "$TRACEPARENT" >{seen}']}},
            {"name": "call", "http": {"method": "GET", "url": server.url("/traced")}})
        jm.start_worker(http_allow_private="true")
        jm.send('{"type":"traced"}', headers=[("traceparent", TRACE.encode())])
        jm.wait_ended(1)
        assert jm.db.value("SELECT status FROM jobs") == "completed"
        sent = server.requests[0].headers["traceparent"]
    finally:
        server.close()
    event, = events_are(jm, 1)
    assert event["traceparent"] == TRACE
    assert seen.read_text().strip() == TRACE
    # A request is a span of its own in the same trace.
    assert sent[:36] == TRACE[:36] and sent[36:52] != TRACE[36:52] and sent[52:] == TRACE[52:]
    assert jm.db.value("SELECT trace_context FROM jobs") == TRACE


def test_all_also_tells_what_goes_on(jm):
    jm.job_type("again", ["/bin/sh", "-c", """
        echo '{"progress":{"total":4,"ok":1}}' >&3; sleep 1; [ $JOBMILL_ATTEMPT = 2 ]"""],
                max_attempts=2, backoff={"initial_s": 0.05})
    worker = jm.start_worker(**{"events.publish": "all"})
    jm.send('{"type":"again"}', '{"type":"noop"}')
    jm.wait_ended(2)
    wait_until(lambda: len(read(jm)) >= 8, 30, 0.3)
    events = read(jm)
    by_job = collections.defaultdict(list)
    for event in events:  # those of a job have one key, so one partition, so their order
        assert event["key"] == event["subject"].encode()
        by_job[event["data"]["type"]].append(event)
    assert [e["type"].split(".")[-1] for e in by_job["noop"]] == ["started", "completed"]
    kinds = [e["type"].split(".")[-1] for e in by_job["again"]]
    assert kinds == ["started", "progress", "retried", "started", "progress", "completed"], kinds
    assert [e["data"]["status"] for e in by_job["again"]] == [
        "running", "running", "pending", "running", "running", "completed"]
    assert by_job["again"][1]["data"]["items_total"] == 4
    assert by_job["again"][2]["data"]["run_at"] > by_job["again"][2]["time"]
    assert len({e["id"] for e in events}) == len(events)
    assert page.metric(worker, "jobmill_events_published_total") == len(events)
    assert page.metric(worker, "jobmill_events_dropped_total") == 0


def test_none_is_none(jm):
    worker = jm.start_worker(**{"events.publish": "none"})
    jm.send('{"type":"noop"}')
    jm.wait_ended(1)
    jm.wait_offsets()
    assert jm.events_topic not in jm.kafka.admin().list_topics(timeout=10).topics
    assert page.metric(worker, "jobmill_events_published_total") is None


def test_no_event_is_lost_by_a_stop(jm):
    worker = jm.start_worker()
    jm.send(*['{"type":"noop"}'] * 3000)
    jm.wait_ended(3000)
    assert worker.terminate() == 0
    events = read(jm)
    assert len({e["subject"] for e in events}) == 3000 == len(events)


def test_a_broker_that_is_away_holds_up_nothing(jm_kafka):
    """Jobs end and are recorded; their events are dropped after a time, and counted."""
    worker = jm_kafka.start_worker(**{"kafka.message.timeout.ms": 2000, "watchdog_s": 5})
    jm_kafka.send(*['{"type":"noop"}'] * 5)
    events_are(jm_kafka, 5)
    jm_kafka.send(*['{"type":"sleep","params":{"seconds":3}}'] * 20)
    wait_until(lambda: page.metric(worker, "jobmill_worker_jobs") == 20, 20)
    jm_kafka.broker.stop()
    jm_kafka.wait_ended(25)

    def dropped():
        count = page.metric(worker, "jobmill_events_dropped_total", {"reason": "not_delivered"})
        assert count == 20, count
        return True
    wait_until(dropped, 30)
    worker.wait_log("events are not delivered")
    assert page.get(worker, "/healthz").status == 200
    jm_kafka.broker.start()
    jm_kafka.send('{"type":"noop"}')
    jm_kafka.wait_ended(26)
    events_are(jm_kafka, 6)


def test_a_deleted_topic_is_made_again(jm):
    worker = jm.start_worker(**{"kafka.message.timeout.ms": 2000, "kafka.topic.metadata.refresh.interval.ms": 500})
    jm.send('{"type":"noop"}')
    events_are(jm, 1)
    jm.kafka.admin().delete_topics([jm.events_topic], operation_timeout=10)[jm.events_topic].result(20)

    def published():
        jm.send('{"type":"noop"}')
        assert jm.kafka.read_all(jm.events_topic)
        return True
    wait_until(published, 40, 0.5)
    assert worker.alive()


def test_ends_without_a_worker_are_events(jm):
    """Cancelled while it waited, with it what depended on it, expired, and lost with its last worker."""
    jm.start_producer()
    worker = jm.start_worker(lease_s=2)
    waits, child, late, lost = uuid7(), uuid7(), uuid7(), uuid7()
    jm.send({"type": "noop", "id": waits, "run_at": "2099-01-01T00:00:00Z"},
            {"type": "noop", "id": late, "run_at": "2099-01-01T00:00:00Z", "start_by": "2099-01-01T00:00:00Z"},
            {"type": "sleep", "id": lost, "params": {"seconds": 600}, "max_attempts": 1})
    jm.wait_status(lost, "running")
    jm.wait_status(waits, "pending")
    jm.send({"type": "noop", "id": child, "depends_on": [waits]})
    jm.wait_status(child, "pending")
    jm.cli("job", "cancel", waits)
    jm.db.execute("UPDATE pending_jobs SET start_by = now() WHERE job_id = %s", late)
    worker.kill()
    events = {e["subject"]: e for e in events_are(jm, 4)}
    assert {job: e["type"] for job, e in events.items()} == {
        waits: "jobmill.job.cancelled", child: "jobmill.job.cancelled", late: "jobmill.job.expired",
        lost: "jobmill.job.failed"}
    for job_id, event in events.items():
        row, data = jm.db.job(job_id), event["data"]
        assert (data["status"], data["attempt"], data["error"]) == (row["status"], row["attempt"], row["error"])
        assert data["completed_at"] == row["completed_at"].strftime("%Y-%m-%dT%H:%M:%S.%fZ") == event["time"]
    assert jm.db.value("SELECT count(*) FROM unannounced") == 0
    jm.check()


def schedule_events(stack, count, timeout=30):
    def there():
        events = [e for e in read_all(stack) if e["type"].startswith("jobmill.schedule.")]
        assert len(events) == count, [e["type"] for e in events]
        return events
    return wait_until(there, timeout, 0.3)


@pytest.mark.tsan
def test_changes_of_schedules_are_events(jm):
    jm.start_producer("--no-scheduler", **{"events.publish": "all"})
    ident = jm.cli("schedule", "add", "nightly", "--type", "noop", "--cron", "0 3 * * *", "--external-id", "x1",
                   "--reason", "asked for").out.strip()
    jm.cli("schedule", "update", "nightly", "--cron", "0 4 * * *", "--queue", "slow")
    jm.cli("schedule", "update", "nightly", "--queue", "slow")  # changes nothing
    jm.cli("schedule", "update", "nightly", "--queue", "x", "--dry-run")
    for action in ("disable", "enable", "pause", "resume"):
        jm.cli("schedule", action, "nightly")
    jm.cli("schedule", "rollback", "nightly", "--version", "1")
    jm.cli("schedule", "run", "nightly")  # makes a job, and no version
    jm.cli("schedule", "delete", "nightly", "--yes")
    jm.cli("schedule", "add", "other", "--type", "noop", "--every", "1h")
    events = schedule_events(jm, 9)
    ours = [e for e in events if e["subject"] == ident]
    assert [e["type"].rsplit(".", 1)[1] for e in ours] == [
        "created", "updated", "disabled", "enabled", "paused", "resumed", "rolled_back", "deleted"]
    assert [e["data"]["version"] for e in ours] == list(range(1, 9))
    log = {str(r["id"]): r for r in jm.db.rows("SELECT id, at, actor FROM audit_log WHERE object = 'schedule'")}
    for event in events:
        row = log[event["id"]]
        assert event["key"] == event["subject"].encode() and event["source"] == "/jobmill/default"
        assert event["time"][:19] == row["at"].strftime("%Y-%m-%dT%H:%M:%S") and event["data"]["actor"] == row["actor"]
    assert (ours[0]["data"]["name"], ours[0]["data"]["external_id"], ours[0]["data"]["reason"]) == ("nightly", "x1", "asked for")
    assert ours[1]["data"]["changed"] == ["cron_expression", "queue"] and "reason" not in ours[1]["data"]
    assert jm.db.value("SELECT count(*) FROM unannounced_changes") == 0


def test_changes_of_schedules_wait_for_a_producer_and_are_told_once(jm):
    for n in range(30):
        jm.cli("schedule", "add", f"s{n}", "--type", "noop", "--every", "1h")
    assert jm.db.value("SELECT count(*) FROM unannounced_changes") == 30
    for _ in range(2):
        jm.start_producer("--no-scheduler")
    events = schedule_events(jm, 30)
    assert len({e["id"] for e in events}) == 30
    jm.cli("schedule", "pause", "s0")
    assert {e["type"] for e in events} == {"jobmill.schedule.created"}
    paused = [e for e in schedule_events(jm, 31) if e["id"] not in {e["id"] for e in events}]
    assert [(e["type"], e["data"]["name"]) for e in paused] == [("jobmill.schedule.paused", "s0")]


def test_with_no_events_changes_are_forgotten(jm):
    jm.start_producer("--no-scheduler", **{"events.publish": "none"})
    jm.cli("schedule", "add", "nightly", "--type", "noop", "--every", "1h")
    wait_until(lambda: jm.db.value("SELECT count(*) FROM unannounced_changes") == 0, 20, what="nothing is kept")
