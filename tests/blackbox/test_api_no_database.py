"""The HTTP API of a producer with the database left out."""
import subprocess

import pytest

from lib.api import Api
from lib.paths import bin_dir
from lib.wait import wait_until

NONE = {"database.enabled": "false"}


@pytest.fixture
def alone(make_stack, bootstrap):
    jm = make_stack(None, bootstrap)
    jm.topic()
    return jm


def start(jm, **config):
    return Api.of(jm.start_producer(**{"http.auth": "off", **NONE, **config}))


def submit(api, job, **headers):
    answer = api.call("POST", "/api/v1/jobs", job, **headers)
    assert answer.status == 202, answer
    return answer.json["id"]


def wait_recent(api, count, path="/jobs/recent"):
    return wait_until(lambda: len(items := api.get(path)["items"]) >= count and items, 30, what=f"{count} recent jobs")


def test_jobs_are_taken_run_and_told_about(alone):
    alone.start_worker(**NONE)
    api = start(alone)
    good = submit(api, {"type": "noop"}, Idempotency_Key="k-1")
    bad = submit(api, {"type": "fail", "params": {"message": "on purpose"}, "max_attempts": 1, "id": "order-7"})
    items = wait_recent(api, 2)
    assert {j["status"] for j in items} == {"completed", "failed"}
    assert [j["updated_at"] for j in items] == sorted((j["updated_at"] for j in items), reverse=True)
    assert api.get(f"/jobs/{good}")["status"] == "completed"
    failed = api.get("/jobs/order-7")
    assert "on purpose" in failed["error"] and failed["external_id"] == bad == "order-7"
    assert [j["id"] for j in api.get("/jobs?status=completed")["items"]] == [good]
    assert [j["type"] for j in api.get("/jobs?type=fail&queue=default")["items"]] == ["fail"]
    assert api.get("/jobs?project=nobody")["items"] == []
    assert len(api.get("/jobs?limit=1")["items"]) == 1
    assert len(api.get("/jobs?limit=1&offset=2")["items"]) == 0
    missing = api.get("/jobs/01946c1e-7d4f-7a61-9f0a-1c2b3d4e5f60", expect=404)
    assert missing["detail"] == "there is no job 01946c1e-7d4f-7a61-9f0a-1c2b3d4e5f60"
    # What ended before a producer began is known to it as well.
    assert {j["id"] for j in wait_recent(start(alone), 2)} == {j["id"] for j in items}


def test_the_rest_says_that_it_needs_a_database(alone):
    api = start(alone)
    for path in ("/types", "/schedules", "/workers", "/projects", "/jobs/stats", "/jobs/search", "/jobs/x/steps",
                 "/jobs/x?include=steps", "/jobs?schedule=x", "/jobs?metadata.a=b"):
        problem = api.get(path, expect=503)
        assert problem["code"] == "no_database" and "no database" in problem["detail"], path
    assert api.call("POST", "/api/v1/jobs/x/cancel").json["code"] == "no_database"
    assert api.get("/jobs?limit=x", expect=400)["code"] == "bad_parameter"
    assert api.get("/nothing", expect=404)["code"] == "not_found"
    assert api.get("/whoami")["actor"] == "anonymous"
    assert "/jobs" in api.get("/openapi.json")["paths"]
    assert api.call("GET", "/docs").status == 200
    assert "jobmill_http_requests_total" in api.call("GET", "/metrics").raw.decode()


def test_keys_come_from_a_file(alone, tmp_path):
    keys = tmp_path / "keys"

    def key(name, scope, *more):
        return subprocess.run([bin_dir() / "jobmill", "key", "create", "--name", name, "--scope", scope, "--keys-file", keys,
                               *more], check=True, capture_output=True, text=True).stdout.strip()
    reader, acme = key("r", "read"), key("a", "submit", "--project", "acme")
    alone.start_worker(**NONE)
    api = start(alone, **{"http.auth": "keys", "http.keys_file": str(keys)})
    assert api.call("GET", "/api/v1/jobs").status == 401
    assert api.with_key("x" * 40).call("GET", "/api/v1/jobs").status == 401
    assert api.with_key(reader).call("POST", "/api/v1/jobs", {"type": "noop"}).status == 403
    mine = submit(api.with_key(acme), {"type": "noop"})
    assert [j["project"] for j in wait_recent(api.with_key(reader), 1)] == ["acme"]
    other = key("o", "read", "--project", "other")
    api = start(alone, **{"http.auth": "keys", "http.keys_file": str(keys)})  # the file is read at the start
    assert [j["id"] for j in wait_recent(api.with_key(acme), 1)] == [mine]
    assert api.with_key(other).get("/jobs")["items"] == []
    assert api.with_key(other).get(f"/jobs/{mine}", expect=404)["detail"] == f"there is no job {mine}"


def test_events_are_streamed(alone):
    """From when the stream's consumer has found the end of the topic on: until then there are more jobs."""
    alone.start_worker(**NONE)
    api = start(alone)
    jobs = [submit(api, {"type": "noop"})]
    wait_recent(api, 1)
    with api.listen("/events?type=jobmill.job.completed") as stream:
        def told():
            jobs.append(submit(api, {"type": "noop"}))
            try:
                return stream.next(2)
            except TimeoutError:
                return None
        kind, event, _ = wait_until(told, 30, what="an event")
        assert kind == "jobmill.job.completed" and event["subject"] in jobs[1:]


def test_no_file_is_said(alone):
    producer = alone.start_producer(**{"http.auth": "off", **NONE})
    Api.of(producer)
    assert "no schedules fire" in producer.text()
    assert producer.terminate(30) == 0
