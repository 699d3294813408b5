"""What is made of records: dead letters, duplicates, redelivery. The line never stops."""
import json
import time

import pytest

from lib.ids import uuid7
from lib.wait import wait_until

POISON = {
    "not json": (b"{nope", "bad_json", None),
    "empty": (b"", "empty", None),
    "tombstone": (None, "empty", None),
    "an array": (b"[]", "bad_json", None),
    "broken utf-8": (b'{"type":"no\xff"}', "bad_json", None),
    "a zero character": (b'{"type":"noop","params":{"a":"\\u0000"}}', "bad_json", None),
    "a key twice": (b'{"type":"noop","type":"noop"}', "bad_json", None),
    "no type": ({"params": {}}, "missing_field", "type"),
    "an unknown field": ({"type": "noop", "pririty": 3}, "unknown_field", "pririty"),
    "a wrong type": ({"type": "noop", "priority": "high"}, "bad_field", "priority"),
    "a project that is not there": ({"type": "noop", "project": "nowhere"}, "unknown_project",
                                    "project"),
    "depends_on": ({"type": "noop", "id": "me", "depends_on": [{"external_id": "me"}]},
                   "bad_field", "depends_on"),
    "own type": ({"type": "jobmill.callback"}, "bad_field", "type"),
    "exclusive": ({"type": "noop", "exclusive": "order:t/k"}, "bad_field", "exclusive"),
    "an id of next month": ({"type": "noop", "id": "0fffb000-0000-7000-8000-000000000000"},
                            "bad_time", "id"),
}


def test_poison_is_set_aside_whole_with_its_reason(jm):
    jm.start_worker()
    places = {}
    for name, (value, _, _) in POISON.items():
        (place,) = jm.send(value, key="k-" + name, headers=[("h", b"\xff\x00"), ("t", "text")])
        places[name] = place
    jm.send({"type": "noop"})
    jm.wait_ended(1)
    wait_until(lambda: jm.db.value("SELECT count(*) FROM dead_letters") == len(POISON), 20,
               what=f"{len(POISON)} dead letters")
    for name, (value, reason, field) in POISON.items():
        partition, offset, _ = places[name]
        row = jm.db.rows("SELECT * FROM dead_letters WHERE partition = %s AND record_offset = %s",
                         partition, offset)[0]
        if isinstance(value, dict):
            value = json.dumps(value).encode()
        assert row["value"] == value or (value == b"" and not row["value"]), name
        assert row["key"] == f"k-{name}".encode() and row["topic"] == jm.topic_name()
        assert row["reason"] == reason, (name, row["reason"], row["detail"])
        if field:
            assert row["field"] == field, (name, row["field"], row["detail"])
        assert row["headers"]["t"] == "text" and "base64" in json.dumps(row["headers"]["h"])
    assert "priority" in jm.db.value("SELECT detail FROM dead_letters WHERE field = 'pririty'")
    assert jm.db.value("SELECT count(*) FROM jobs") == 1
    listed = jm.cli("dead", "list", "--json").out
    assert "unknown_field" in listed and "bad_json" in listed
    jm.wait_offsets()
    jm.check()


@pytest.mark.tsan
def test_poison_and_refused_among_a_thousand(jm):
    """One record nobody can read, and one row that PostgreSQL refuses, in the middle of 1,000."""
    jm.db.execute("ALTER TABLE jobs ADD CONSTRAINT test_refuses "
                  "CHECK (params->>'x' IS DISTINCT FROM 'refuse') NOT VALID")
    messages = [{"type": "noop", "params": {"i": i}} for i in range(1000)]
    messages[300:300] = ["{poison"]
    messages[600:600] = [{"type": "noop", "params": {"x": "refuse"}}]
    jm.send(*messages, partition=0)
    jm.start_worker()
    jm.wait_ended(1000, 60)
    wait_until(lambda: jm.db.value("SELECT count(*) FROM dead_letters") == 2, 20)
    assert jm.db.statuses() == {"completed": 1000}
    dead = dict(jm.db.query("SELECT reason, detail FROM dead_letters"))
    assert set(dead) == {"bad_json", "refused"}
    assert "test_refuses" in dead["refused"]
    jm.wait_offsets()
    jm.check()


def test_values_that_json_allows_and_jsonb_does_not(jm):
    """However they are caught, they are dead letters and nothing else is touched."""
    jm.start_worker()
    jm.send({"type": "noop"}, b'{"type":"noop","params":{"n":1e200000}}',
            b'{"type":"noop","params":{"s":"\\ud800"}}', {"type": "noop"}, partition=0)
    jm.wait_ended(2)
    wait_until(lambda: jm.db.value("SELECT count(*) FROM dead_letters") == 2, 20)
    jm.check()


def test_result_that_jsonb_refuses_does_not_stop_the_line(jm):
    """What a handler gives may be no jsonb either: its job ends all the same, and so do others."""
    jm.job_type("odd", ["/bin/sh", "-c", "echo '{\"n\": 1e200000}'"], max_attempts=1)
    jm.start_worker()
    jm.send({"type": "odd"}, *[{"type": "noop"}] * 20, partition=0)
    jm.wait_ended(21, 30)
    assert jm.db.statuses("type = 'noop'") == {"completed": 20}
    jm.check()


def test_redelivered_records_run_once(jm):
    """The group set back to the beginning: every record comes again, none runs again."""
    worker = jm.start_worker()
    jm.send(*[{"type": "noop", "params": {"i": i}} for i in range(300)], "{bad")
    jm.wait_ended(300)
    jm.wait_offsets()
    assert worker.terminate() == 0
    jm.kafka.rewind(jm.group(), jm.topic_name())
    jm.start_worker()
    jm.send({"type": "noop", "params": {"i": "last"}})
    jm.wait_ended(301)
    jm.wait_offsets()
    assert jm.db.statuses() == {"completed": 301}
    assert jm.db.value("SELECT count(*) FROM job_steps") == 301
    assert jm.db.value("SELECT count(*) FROM job_logs") == 301
    assert jm.db.value("SELECT count(*) FROM dead_letters") == 1
    assert jm.db.value("SELECT max(attempt) FROM jobs") == 1
    jm.check()


def test_same_id_runs_once(jm):
    job_id = uuid7()
    jm.start_worker()
    jm.send(*[{"type": "noop", "id": job_id, "params": {"a": 1}}] * 5)
    jm.wait_ended(1)
    jm.wait_offsets()
    assert jm.db.statuses() == {"completed": 1}
    jm.check()


def test_same_id_with_other_content_is_a_conflict(jm):
    job_id = uuid7()
    jm.start_worker()
    jm.send({"type": "noop", "id": job_id, "params": {"a": 1, "b": 2}}, partition=0)
    jm.wait_ended(1)
    jm.send({"type": "noop", "id": job_id, "params": {"b": 2, "a": 1}},   # the same
            {"type": "noop", "id": job_id, "params": {"a": 2}},
            {"type": "sleep", "id": job_id, "params": {"a": 1, "b": 2}}, partition=0)
    wait_until(lambda: jm.db.query("SELECT reason FROM dead_letters") == [("id_conflict",)] * 2, 20)
    assert jm.db.value("SELECT count(*) FROM jobs") == 1
    jm.check()


def test_external_id_runs_once(jm):
    jm.start_worker()
    jm.send(*[{"type": "noop", "id": "order-17"}] * 4, partition=0)
    jm.send({"type": "noop", "id": "order-18"}, partition=1)
    jm.wait_ended(2)
    jm.wait_offsets()
    assert jm.db.query("SELECT external_id FROM jobs ORDER BY 1") == [("order-17",), ("order-18",)]
    jm.send({"type": "noop", "id": "order-17"}, partition=2)
    jm.wait_offsets()
    assert jm.db.value("SELECT count(*) FROM jobs") == 2
    jm.check()


def test_dedup_key_runs_once_until_it_failed(jm):
    jm.start_worker()
    jm.send(*[{"type": "noop", "dedup_key": "d", "params": {"i": i}} for i in range(3)],
            partition=0)
    jm.wait_offsets()
    jm.wait_ended(1)
    assert jm.db.value("SELECT count(*) FROM jobs") == 1
    failing = {"type": "fail", "dedup_key": "f", "max_attempts": 1, "params": {"message": "m"}}
    jm.send(failing, partition=1)
    jm.wait_ended(1, 30, "type = 'fail'")
    jm.send(failing, partition=1)
    jm.wait_ended(2, 30, "type = 'fail'")
    jm.check()


def test_relayed_record_never_makes_a_row(jm):
    """A record with the header jobmill-job that names no row is ignored."""
    jm.start_worker()
    jm.send({"type": "noop"}, headers=[("jobmill-job", uuid7())], partition=0)
    jm.send({"type": "noop"}, partition=0)
    jm.wait_ended(1)
    jm.wait_offsets()
    assert jm.db.value("SELECT count(*) FROM jobs") == 1


def test_too_large(jm):
    jm.start_worker()
    jm.send({"type": "noop", "params": {"a": "x" * (1024 * 1024 - 100)}},
            {"type": "noop"}, partition=0)
    jm.wait_ended(1)
    assert jm.db.value("SELECT count(*) FROM dead_letters") <= 1
    jm.wait_offsets()
    jm.check()


def test_jobs_of_a_batch_that_was_halved_are_all_claimed(jm):
    """A claim that names only some of them would leave the others running for ever after a crash."""
    jm.db.execute("ALTER TABLE jobs ADD CONSTRAINT test_refuses "
                  "CHECK (params->>'x' IS DISTINCT FROM 'refuse') NOT VALID")
    sleeps = [{"type": "sleep", "params": {"seconds": 60}} for _ in range(40)]
    sleeps[20:20] = [{"type": "noop", "params": {"x": "refuse"}}]
    jm.send(*sleeps, partition=0)
    worker = jm.start_worker()
    wait_until(lambda: jm.db.statuses().get("running") == 40, 20)
    jm.check(waiting_ok=True)
    worker.kill()


def test_id_and_dedup_key_twice_in_one_batch(jm):
    """A submitter that repeats its record: the first of them runs."""
    message = {"type": "noop", "id": uuid7(), "dedup_key": "k"}
    jm.send(message, message, message, partition=0)
    jm.start_worker()
    jm.wait_offsets()
    job = jm.wait_status(message["id"], "completed")
    assert job["attempt"] == 1
    jm.check()


def test_the_second_of_an_id_runs_if_the_first_is_a_dead_letter(jm):
    job = uuid7()
    jm.send({"type": "noop", "id": job, "project": "nowhere"}, {"type": "noop", "id": job},
            partition=0)
    jm.start_worker()
    jm.wait_offsets()
    jm.wait_status(job, "completed")
    assert jm.db.value("SELECT count(*) FROM dead_letters") == 1
    jm.check()


def test_mended_record_runs_under_the_id_of_its_dead_letter(jm):
    jm.start_worker()
    jm.send({"type": "noop", "id": "mine", "dedup_key": "k", "exclusive": "order:x"}, partition=0)
    wait_until(lambda: jm.db.value("SELECT count(*) FROM dead_letters") == 1, 20)
    jm.send({"type": "noop", "id": "mine", "dedup_key": "k"}, partition=0)
    jm.wait_ended(1)
    jm.check()


def test_second_job_of_a_dedup_key_leaves_nothing_behind(jm):
    """It need not be the same job, and its own id is free once the first has failed."""
    jm.start_worker()
    jm.send({"type": "fail", "id": "first", "dedup_key": "k", "run_at": "2000-01-01T00:00:00Z",
             "max_attempts": 2}, partition=0)
    wait_until(lambda: jm.db.value("SELECT count(*) FROM jobs") == 1, 20)
    again = {"type": "fail", "id": "second", "dedup_key": "k", "params": {"n": 2}}
    jm.send(again, partition=0)
    jm.wait_offsets()
    assert jm.db.value("SELECT count(*) FROM dead_letters") == 0
    jm.wait_ended(1, 30)
    jm.send(again, partition=0)
    jm.wait_ended(2, 30)


def test_an_old_id_beside_new_ones_makes_its_own_week_alone(jm):
    before = jm.db.value("SELECT count(*) FROM pg_inherits WHERE inhparent = 'jobs'::regclass")
    old = uuid7((time.time() - 3 * 365 * 86400) * 1000)
    jm.send({"type": "noop"}, {"type": "noop", "id": old}, {"type": "noop"}, partition=0)
    jm.start_worker()
    jm.wait_ended(3, 60)
    after = jm.db.value("SELECT count(*) FROM pg_inherits WHERE inhparent = 'jobs'::regclass")
    assert after == before + 1
    jm.check()


@pytest.mark.slow
def test_a_session_given_up_commits_nothing_behind_our_back(jm):
    """What PostgreSQL does not answer for half a minute, here for want of a lock, is done again: the
    first session must not commit after that, or its jobs would be nobody's."""
    jm.start_worker()
    jm.send({"type": "noop"}, partition=0)
    jm.wait_ended(1)
    with jm.db.connect() as conn, conn.transaction():
        conn.execute("LOCK claims IN SHARE MODE")
        jm.send(*[{"type": "noop"}] * 5, partition=0)
        time.sleep(33)
    jm.wait_ended(6, 20)
    jm.wait_offsets()
    jm.check()
