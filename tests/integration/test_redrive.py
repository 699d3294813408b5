"""jobmill dead redrive: dead letters go to their topics again, each once, also when it is interrupted."""
import json
import signal
import subprocess
import time

import pytest

from lib.api import Api
from lib.ids import uuid7
from lib.paths import bin_dir
from lib.wait import wait_until

DEAD = """INSERT INTO dead_letters (id, topic, partition, record_offset, key, value, headers, reason, field, detail)
          VALUES (%s, %s, 0, %s, %s, %s, %s, %s, %s, 'why')"""


def dead(jm, value, key=None, headers=None, reason="unknown_project", field="project", queue="default", offset=0):
    """Puts a dead letter aside as a worker would; returns its id."""
    letter = uuid7()
    value = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
    jm.db.execute(DEAD, letter, jm.topic_name(queue), offset, key, value, json.dumps(headers or {}), reason, field)
    return letter


def letter(jm, id):
    return jm.cli("dead", "show", id, "--json").json()


def redrive(jm, *args, **more):
    return jm.cli("dead", "redrive", *args, "--json", **more).json()


def wait_dead(jm, count):
    wait_until(lambda: jm.db.value("SELECT count(*) FROM dead_letters") >= count, 30,
               what=f"{count} dead letters")


# What becomes of them

def test_from_the_record_to_the_job_and_its_history(jm):
    """A project that was missing is made, and what was sent for it runs."""
    jm.topic()
    jm.start_worker()
    jm.send(*[{"type": "noop", "project": "late", "params": {"n": n}} for n in range(5)], {"type": "noop"})
    wait_dead(jm, 5)
    jm.db.execute("INSERT INTO projects (name) VALUES ('late')")
    dry = redrive(jm, "--code", "unknown_project", "--dry-run")
    assert (dry["redriven"], dry["refused"], dry["dry_run"], len(dry["items"])) == (5, 0, True, 5)
    assert jm.db.value("SELECT count(*) FROM dead_letters WHERE redriven_as IS NOT NULL") == 0
    done = redrive(jm, "--code", "unknown_project", "--reason", "made it")
    assert done["redriven"] == 5
    jm.wait_ended(6)
    jobs = {str(i) for (i,) in jm.db.query("SELECT id FROM jobs WHERE project = 'late' AND status = 'completed'")}
    rows = jm.db.query("SELECT redriven_at IS NOT NULL, redriven_as::text FROM dead_letters")
    assert all(at for at, _ in rows) and {job for _, job in rows} == jobs and len(jobs) == 5
    audit = jm.db.rows("SELECT * FROM audit_log")
    assert {a["after"]["redriven_as"] for a in audit} == jobs
    assert {(a["object"], a["action"], a["source"], a["reason"]) for a in audit} == {
        ("dead_letter", "redrive", "cli", "made it")}
    # Nothing is left to be sent by mistake; one that is named says so.
    assert redrive(jm, "--all")["redriven"] == 0
    one = jm.db.value("SELECT id FROM dead_letters LIMIT 1")
    refused = jm.cli("dead", "redrive", one, check=False)
    assert refused.code == 1 and "was sent again at" in refused.err and "--again" in refused.err
    assert redrive(jm, one, "--again")["redriven"] == 1
    jm.wait_ended(7)
    assert str(jm.db.value("SELECT redriven_as FROM dead_letters WHERE id = %s", one)) not in jobs


def test_the_record_is_what_it_was(jm):
    topic = jm.topic()
    one = dead(jm, {"type": "noop", "x-a": 1}, key=b"k\xff",
               headers={"traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-01", "raw": {"base64": "AP8="},
                        "none": None, "jobmill-redrive": "old"})
    done = redrive(jm, one)
    (record,) = jm.kafka.read_all(topic)
    assert json.loads(record.value) == {"type": "noop", "x-a": 1} and record.key == b"k\xff"
    job = done["items"][0]["redriven_as"]
    assert record.headers == {"traceparent": b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01", "raw": b"\x00\xff",
                              "none": None, "jobmill-redrive": job.encode(), "jobmill-dead-letter": one.encode()}
    assert letter(jm, one)["redriven_as"] == done["items"][0]["redriven_as"]


def test_what_would_be_put_aside_again_is_left(jm):
    jm.topic()
    good = dead(jm, {"type": "noop"})
    for value, reason in ((b"{", "bad_json"), (None, "empty"), (b'{"typ":"noop"}', "unknown_field"), (b"\xff", "bad_json")):
        dead(jm, value, reason=reason, field=None)
    done = redrive(jm, "--all")
    assert (done["redriven"], done["refused"], done["left"]) == (1, 4, 0)
    why = {i["id"]: i["refused"] for i in done["items"]}
    assert why[good] is None and any("unknown_field: typ" in (w or "") for w in why.values())
    assert jm.db.value("SELECT count(*) FROM dead_letters WHERE redriven_as IS NULL") == 4


def test_a_project_that_is_still_missing(jm):
    jm.topic()
    one = dead(jm, {"type": "noop", "project": "acme"})
    done = redrive(jm, "--all")
    assert (done["redriven"], done["refused"]) == (0, 1) and "project acme" in done["items"][0]["refused"]
    jm.cli("project", "add", "acme")
    assert redrive(jm, one)["redriven"] == 1


def test_a_mended_value(jm, tmp_path):
    jm.topic()
    jm.start_worker()
    jm.send(b'{"type":"noop","params":{"n":1}')
    wait_dead(jm, 1)
    one = jm.db.value("SELECT id FROM dead_letters")
    assert redrive(jm, one, check=False)["refused"] == 1
    mended = tmp_path / "m.json"
    mended.write_text('{"type":"noop","params":{"n":1}}')
    assert redrive(jm, one, "--set-value", mended)["redriven"] == 1
    jm.wait_ended(1)
    assert jm.db.value("SELECT params FROM jobs") == {"n": 1}
    assert letter(jm, one)["value"] == '{"type":"noop","params":{"n":1}', "its own value stays"
    assert jm.db.value("SELECT after->'value_replaced' FROM audit_log") is True
    mended.write_text('{"type":1}')
    assert redrive(jm, one, "--again", "--set-value", mended, check=False)["refused"] == 1
    assert jm.cli("dead", "redrive", "--all", "--set-value", mended, check=False).code == 2


def test_ids_of_the_message_are_kept(jm):
    """Its own UUIDv7 is the job's; an external id runs once however often it is sent."""
    jm.topic()
    jm.start_worker()
    own = uuid7()
    first = dead(jm, {"type": "noop", "id": own})
    twice = [dead(jm, {"type": "noop", "id": "order-1"}) for _ in range(2)]
    done = redrive(jm, "--all")
    assert done["redriven"] == 3
    assert {i["id"]: i["redriven_as"] for i in done["items"]}[first] == own
    jm.wait_offsets()
    jm.wait_ended(2)
    assert jm.db.value("SELECT count(*) FROM jobs") == 2
    assert str(jm.db.value("SELECT id FROM jobs WHERE external_id IS NULL")) == own
    assert str(jm.db.value("SELECT id FROM jobs WHERE external_id = 'order-1'")) in {
        letter(jm, t)["redriven_as"] for t in twice}


# Which

def test_filters(jm):
    jm.topic()
    jm.topic("other")
    a = dead(jm, {"type": "noop"}, reason="unknown_project", field="project")
    b = dead(jm, {"type": "noop"}, reason="bad_field", field="params", queue="other")
    c = dead(jm, {"type": "noop"}, reason="bad_field", field="key")
    jm.db.execute("UPDATE dead_letters SET at = '2026-01-01' WHERE id = %s", c)

    def chosen(*args):
        return {i["id"] for i in redrive(jm, "--dry-run", *args)["items"]}
    assert chosen("--all") == {a, b, c}
    assert chosen("--code", "bad_field") == {b, c}
    assert chosen("--field", "params") == {b}
    assert chosen("--topic", jm.topic_name("other")) == {b}
    assert chosen("--to", "2026-01-02T00:00:00Z") == {c}
    assert chosen("--from", "2026-01-02T00:00:00Z", "--code", "bad_field") == {b}
    assert chosen(a, c) == {a, c}
    limited = redrive(jm, "--all", "--limit", 2)
    # The oldest ids: those of one millisecond are in no order that the test knows.
    *two, left = sorted((a, b, c))
    assert {i["id"] for i in limited["items"]} == set(two) and limited["left"] == 1
    listed = jm.cli("dead", "list", "--open", "--json").json()["items"]
    assert [i["id"] for i in listed] == [left]
    assert len(jm.cli("dead", "list", "--redriven", "--json").json()["items"]) == 2
    assert [i["id"] for i in jm.cli("dead", "list", "--field", "key", "--json").json()["items"]] == [c]


def test_mistakes(jm):
    assert jm.cli("dead", "redrive", check=False).code == 2
    assert jm.cli("dead", "redrive", "x", check=False).code == 2
    missing = jm.cli("dead", "redrive", uuid7(), check=False)
    assert missing.code == 3 and "no dead letter" in missing.err
    for rate in ("0", "x", "5/m", "-1"):
        assert jm.cli("dead", "redrive", "--all", f"--rate={rate}", check=False).code == 2


def test_the_rate_is_kept(jm):
    topic = jm.topic()
    for n in range(30):
        dead(jm, {"type": "noop", "params": {"n": n}})
    began = time.monotonic()
    assert redrive(jm, "--all", "--rate", "20/s")["redriven"] == 30
    assert time.monotonic() - began > 29 / 20
    assert jm.kafka.size(topic) == 30


# Interrupted

def test_killed_in_the_middle_it_is_done_over_without_a_second_job(jm):
    """Killed at any moment: afterwards each has been sent, and is one job."""
    jm.topic()
    count = 400
    for n in range(count):
        dead(jm, {"type": "noop", "params": {"n": n}})
    jm.start_worker()
    for _ in range(3):
        argv = [str(bin_dir() / "jobmill"), "dead", "redrive", "--all", "--rate", "150"]
        process = subprocess.Popen(argv, env=jm.env(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        at = jm.db.value("SELECT count(*) FROM jobs") + 20
        wait_until(lambda: jm.db.value("SELECT count(*) FROM jobs") >= at, 30, what="some are sent")
        process.send_signal(signal.SIGKILL)
        process.wait()
    marked = jm.db.value("SELECT count(*) FROM dead_letters WHERE redriven_at IS NOT NULL")
    assert marked < count, "the last kill came before the end"
    assert redrive(jm, "--all")["redriven"] == count - marked
    jm.wait_offsets()
    jm.wait_ended(count)
    assert jm.db.value("SELECT count(*) FROM jobs") == count
    assert jm.db.value("SELECT count(DISTINCT params) FROM jobs") == count
    assert jm.db.value("SELECT count(*) FROM dead_letters d JOIN jobs j ON j.id = d.redriven_as "
                       "WHERE d.redriven_at IS NOT NULL AND j.params = convert_from(d.value, 'UTF8')::jsonb->'params'"
                       ) == count


def test_two_at_once_make_one_job_each(jm):
    jm.topic()
    jm.start_worker()
    for n in range(200):
        dead(jm, {"type": "noop", "params": {"n": n}})
    argv = [str(bin_dir() / "jobmill"), "dead", "redrive", "--all", "--rate", "400"]
    both = [subprocess.Popen(argv, env=jm.env(), stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [p.wait(60) for p in both] == [0, 0]
    jm.wait_offsets()
    jm.wait_ended(200)
    assert jm.db.value("SELECT count(*) FROM jobs") == 200


def test_without_kafka_it_says_so_and_nothing_is_marked(jm):
    dead(jm, {"type": "noop"})
    env = {"JOBMILL_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    failed = jm.cli("dead", "redrive", "--all", check=False, env=env)
    assert failed.code == 1 and "Kafka at 127.0.0.1:1" in failed.err and "do it over" in failed.err
    assert jm.db.value("SELECT count(*) FROM dead_letters WHERE redriven_at IS NULL") == 1
    assert redrive(jm, "--all", "--dry-run", env=env)["redriven"] == 1, "a dry run needs none"
    jm.topic()
    assert redrive(jm, "--all")["redriven"] == 1


@pytest.mark.parametrize("header", [b"", b"x", b"00000000-0000-4000-8000-000000000000"])
def test_a_header_that_is_no_id_is_ignored(jm, header):
    jm.topic()
    jm.start_worker()
    jm.send({"type": "noop"}, headers=[("jobmill-redrive", header)])
    jm.wait_ended(1)
    assert jm.db.statuses() == {"completed": 1}


# HTTP

@pytest.fixture
def api(jm):
    key = jm.cli("key", "create", "--name", "admin", "--scope", "admin").out.strip()
    return Api.of(jm.start_producer(), key)


def bound(jm, api, project, scope="admin"):
    return api.with_key(jm.cli("key", "create", "--name", "b" + scope, "--scope", scope, "--project", project).out.strip())


def test_over_http(jm, api):
    jm.topic()
    jm.start_worker()
    first = dead(jm, {"type": "noop"}, key=b"\xff")
    bad = dead(jm, b"{", reason="bad_json", field=None)
    listed = api.get("/dead-letters")
    assert [i["id"] for i in listed["items"]] == [bad, first] and listed["next"] is None
    page = api.get("/dead-letters?limit=1")
    assert [i["id"] for i in api.get(f"/dead-letters?limit=1&cursor={page['next']}")["items"]] == [first]
    assert [i["id"] for i in api.get("/dead-letters?reason=bad_json&redriven=false")["items"]] == [bad]
    assert api.get(f"/dead-letters/{first}")["value"] == '{"type": "noop"}'
    assert api.get(f"/dead-letters/{first}")["key"] == {"base64": "/w=="}
    api.get(f"/dead-letters/{uuid7()}", expect=404)
    api.get("/dead-letters/x", expect=404)
    dry = api.post("/dead-letters/redrive?dry_run=1", {"all": True})
    assert (dry["redriven"], dry["refused"], dry["dry_run"]) == (1, 1, True)
    done = api.call("POST", "/api/v1/dead-letters/redrive", {"all": True}, X_Reason="mended").json
    assert (done["redriven"], done["refused"]) == (1, 1)
    jm.wait_ended(1)
    assert api.get("/dead-letters?redriven=true")["items"][0]["id"] == first
    again = api.call("POST", "/api/v1/dead-letters/redrive", {"ids": [first]})
    assert again.status == 409 and "was sent again at" in again.json["detail"]
    api.post("/dead-letters/redrive", {"ids": [uuid7()]}, expect=404)
    assert api.post("/dead-letters/redrive", {"ids": [bad], "value": '{"type":"noop"}'})["redriven"] == 1
    jm.wait_ended(2)
    row = jm.db.rows("SELECT * FROM audit_log WHERE object = 'dead_letter' ORDER BY id")[0]
    assert (row["actor"], row["source"], row["reason"], row["address"]) == ("key:admin", "api", "mended", "127.0.0.1")


@pytest.mark.parametrize("body, pointer", [
    ({}, None), ({"ids": []}, "/ids"), ({"ids": ["x"]}, "/ids"), ({"ids": "x"}, "/ids"), ({"limit": 0, "all": True}, "/limit"),
    ({"limit": 1001, "all": True}, "/limit"), ({"from": "x"}, "/from"), ({"all": 1}, "/all"), ({"reason": 5}, "/reason"),
    ({"all": True, "value": "{}"}, "/value"), ({"al": True}, "/al")])
def test_bad_bodies(jm, api, body, pointer):
    dead(jm, {"type": "noop"})
    answer = api.call("POST", "/api/v1/dead-letters/redrive", body)
    assert answer.status == 400, answer
    if pointer:
        assert answer.json["errors"][0]["pointer"] == pointer
    assert jm.db.value("SELECT count(*) FROM dead_letters WHERE redriven_as IS NOT NULL") == 0


def test_who_is_bound_to_a_project_does_not_see_them(jm, api):
    one = dead(jm, {"type": "noop"})
    key = bound(jm, api, "default")
    key.get("/dead-letters", expect=403)
    key.get(f"/dead-letters/{one}", expect=403)
    key.post("/dead-letters/redrive", {"all": True}, expect=403)
