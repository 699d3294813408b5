"""Idempotency-Key of requests that are no submission: carried out once, answered as often as they come."""
import re
import threading

import pytest

from lib import openapi
from lib.api import Api
from lib.wait import wait_until


@pytest.fixture
def api(jm):
    jm.topic()
    key = jm.cli("key", "create", "--name", "first", "--scope", "admin").out.strip()
    return Api.of(jm.start_producer("--no-scheduler"), key)


@pytest.fixture
def schedule(api):
    return api.post("/schedules", {"name": "nightly", "type": "noop", "cron_expression": "0 3 * * *"}, 201)["id"]


def call(api, path, body=None, key="k1", **headers):
    return api.call("POST", "/api/v1" + path, body, Idempotency_Key=key, **headers)


def same(first, again):
    assert (again.status, again.raw) == (first.status, first.raw)
    for name in ("Location", "ETag"):
        assert again.headers[name] == first.headers[name], name
    assert first.headers["Idempotency-Replayed"] is None and again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["X-Request-Id"] != first.headers["X-Request-Id"]


def test_the_document_says_which_requests_heed_it(api):
    """Those alone, and all of those, refuse one that is too long."""
    document, heed, said = openapi.document(), set(), set()
    for method, path, operation in document.operations():
        if method != "post" or operation["x-scope"] not in ("submit", "admin"):
            continue
        if "Idempotency-Key" in {p["name"] for p in document.parameters(path, method)}:
            said.add(path)
        body = {"type": "noop"} if path == "/jobs" else {}
        answer = call(api, re.sub(r"{[^}]*}", "x", path), body, "k" * 201)
        if answer.status == 400 and answer.json["code"] == "bad_header":
            heed.add(path)
    assert heed == said and "/jobs" in said and "/keys" not in said and len(said) > 15


def test_a_run_is_one_job(jm, api, schedule):
    first = call(api, f"/schedules/{schedule}/run")
    assert first.status == 201
    same(first, call(api, f"/schedules/{schedule}/run"))
    assert jm.db.value("SELECT count(*) FROM jobs") == 1
    assert call(api, f"/schedules/{schedule}/run", key="k2").status == 201
    assert jm.db.value("SELECT count(*) FROM jobs") == 2


def test_a_retry_and_changes(jm, api, schedule):
    jm.start_worker()
    job = api.post("/jobs?wait_s=30", {"type": "noop"}, 201)["id"]
    same(call(api, f"/jobs/{job}/retry"), call(api, f"/jobs/{job}/retry"))
    assert jm.db.value("SELECT count(*) FROM jobs") == 2
    same(call(api, f"/schedules/{schedule}/pause", key="p"), call(api, f"/schedules/{schedule}/pause", key="p"))
    made = {"name": "weekly", "type": "noop", "cron_expression": "0 3 * * 1"}
    same(call(api, "/schedules", made, key="s"), call(api, "/schedules", made, key="s"))
    assert jm.db.value("SELECT count(*) FROM audit_log WHERE action IN ('retry', 'pause', 'create')"
                       " AND object IN ('job', 'schedule')") == 4


def test_another_request_under_the_key(api, schedule):
    call(api, f"/schedules/{schedule}/pause", key="k")
    for path, body in ((f"/schedules/{schedule}/resume", None), (f"/schedules/{schedule}/pause?project=default", None),
                       (f"/schedules/{schedule}/pause", {})):
        refused = call(api, path, body, key="k")
        assert (refused.status, refused.json["code"]) == (409, "idempotency_conflict")
    for wrong in ("", "x" * 201):
        assert call(api, f"/schedules/{schedule}/run", key=wrong).json["code"] == "bad_header"


def test_keys_are_the_callers_own(jm, api, schedule):
    other = api.with_key(jm.cli("key", "create", "--name", "another", "--scope", "admin").out.strip())
    first = call(api, f"/schedules/{schedule}/run")
    second = call(other, f"/schedules/{schedule}/run")
    assert first.json["id"] != second.json["id"] and "Idempotency-Replayed" not in second.headers


def test_what_was_refused_may_be_mended(jm, api, schedule):
    wrong = call(api, "/schedules", {"name": "bad", "type": "noop", "cron_expression": "x"})
    assert wrong.status == 400
    right = call(api, "/schedules", {"name": "bad", "type": "noop", "cron_expression": "0 3 * * *"})
    assert right.status == 201 and "Idempotency-Replayed" not in right.headers


def test_many_at_once(jm, api, schedule):
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(call(api, f"/schedules/{schedule}/run"))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert jm.db.value("SELECT count(*) FROM jobs") == 1
    job = str(jm.db.value("SELECT id FROM jobs"))
    for answer in answers:
        assert answer.status in (201, 409)
        assert answer.json["id"] == job if answer.status == 201 else answer.json["code"] == "idempotency_busy"
    assert call(api, f"/schedules/{schedule}/run").json["id"] == job


def test_an_answer_that_was_lost(jm, api, schedule):
    """The producer was killed after the change, or before it: the audit log tells which."""
    done = call(api, f"/schedules/{schedule}/run", X_Request_Id="r-1")
    lost = "UPDATE request_replays SET status = NULL, body = NULL, busy_until = clock_timestamp() + %s * interval '1 second'"
    jm.db.execute(lost, 60)
    assert call(api, f"/schedules/{schedule}/run").json["code"] == "idempotency_busy"
    jm.db.execute(lost, -1)
    assert call(api, f"/schedules/{schedule}/run").json["code"] == "idempotency_unanswered"
    assert jm.db.value("SELECT count(*) FROM jobs") == 1
    assert jm.db.value("SELECT count(*) FROM audit_log WHERE request_id = 'r-1'") == 1
    # Nothing had been changed: it is carried out now.
    jm.db.execute("UPDATE request_replays SET request_id = 'r-2'")
    again = call(api, f"/schedules/{schedule}/run")
    assert again.status == 201 and again.json["id"] != done.json["id"]


def test_kept_for_a_day(jm, api, schedule):
    call(api, f"/schedules/{schedule}/run")
    kept = jm.db.value("SELECT extract(epoch FROM expires_at - clock_timestamp()) FROM request_replays")
    assert 86300 < kept <= 86400
    jm.db.execute("UPDATE request_replays SET expires_at = clock_timestamp()")
    assert "Idempotency-Replayed" not in call(api, f"/schedules/{schedule}/run").headers
    assert jm.db.value("SELECT count(*) FROM jobs") == 2
    jm.db.execute("UPDATE request_replays SET expires_at = clock_timestamp()")
    jm.start_producer()  # its janitor drops them at the start
    wait_until(lambda: jm.db.value("SELECT count(*) FROM request_replays") == 0, 30)


def test_the_key_of_a_key_is_kept_nowhere(jm, api):
    made = call(api, "/keys", {"name": "secret", "scope": "read"})
    assert made.status == 201
    assert call(api, "/keys", {"name": "secret", "scope": "read"}).status == 409
    assert jm.db.value("SELECT count(*) FROM request_replays") == 0
