"""Jobs over the API: lists that neither skip nor repeat, search, statistics, actions, and programs outside that run jobs."""
import datetime
import gzip

import pytest

from lib import openapi
from lib.api import Api
from lib.wait import wait_until


class Checked(Api):
    """Every answer is held against the API's description."""

    def call(self, method, path, body=None, **more):
        answer = super().call(method, path, body, **more)
        wrong = openapi.document().check(method, path, answer)
        assert not wrong, f"{method} {path}: {wrong}: {answer}"
        return answer


@pytest.fixture
def api(jm):
    jm.topic()
    return Checked.of(jm.start_producer("--no-scheduler", **{"http.auth": "off", "http.access_log": "false"}))


def pages(api, query, limit=7, between=lambda: None):
    found, cursor = [], ""
    while cursor is not None:
        page = api.get(f"/jobs?limit={limit}{query}{cursor and '&cursor=' + cursor}")
        found += [j["id"] for j in page["items"]]
        cursor = page["next"]
        between()
    return found


def submit(api, *jobs):
    return [j["id"] for j in api.post("/jobs", list(jobs), 201)["items"]]


@pytest.fixture
def searchable(jm):
    jm.db.execute("INSERT INTO job_types (name, definition_hash, searchable) VALUES ('order', 'h', '{city,no}')")


def test_pages_neither_skip_nor_repeat_while_jobs_arrive(api):
    ids = [i for n in range(4) for i in submit(api, *[{"type": "t"}] * 12)]
    found = pages(api, "", between=lambda: submit(api, {"type": "late"}))
    assert sorted(found, reverse=True) == found
    assert [i for i in found if i in set(ids)] == sorted(ids, reverse=True)
    assert len(pages(api, "&type=t", 12)) == 48


def test_filters(jm, api):
    jm.db.execute("INSERT INTO projects (name) VALUES ('p2')")
    a, b, c = submit(api, {"type": "a", "metadata": {"k": "v", "n": 1}}, {"type": "b", "project": "p2", "metadata": {"k": "w"}},
                     {"type": "a", "queue": "slow"})
    for query, expected in (("&type=a", {a, c}), ("&project=p2", {b}), ("&queue=slow", {c}), ("&status=pending", {a, b, c}),
                            ("&status=running", set()), ("&metadata.k=v", {a}), ("&metadata.k=v&metadata.n=1", {a}),
                            ("&metadata.k=v&metadata.n=2", set()), ("&status=pending&metadata.k=w", {b}),
                            ("&created_from=2099-01-01T00:00:00Z", set()), ("&created_to=2099-01-01T00:00:00Z", {a, b, c}),
                            ("&completed_from=2000-01-01T00:00:00Z", set())):
        assert set(pages(api, query)) == expected, query
    for query, parameter in (("status=done", "status"), ("cursor=x", "cursor"), ("created_from=now", "created_from"),
                             ("limit=0", "limit"), ("stauts=x", "stauts")):
        problem = api.get(f"/jobs?{query}", 400)
        assert problem["errors"][0]["parameter"] == parameter, problem
    assert [j["id"] for j in api.get("/jobs/recent")["items"]] == sorted([a, b, c], reverse=True)


def test_search_by_metadata(api, searchable):
    oslo, ost, bergen, other = submit(
        api, *[{"type": "order", "metadata": {"city": v}} for v in ("Oslo", "Østfold", "Bergen-oslo")],
        {"type": "plain", "metadata": {"city": "Oslo"}})

    def search(value, match="exact", more=""):
        return {j["id"] for j in api.get(f"/jobs/search?key=city&value={value}&match={match}{more}")["items"]}
    assert search("oslo") == {oslo}
    assert search("OS", "prefix") == {oslo}
    assert search("%C3%98ST", "prefix") == {ost}
    assert search("OSLO", "part") == {oslo, bergen}
    assert search("%25", "part") == set() and search("_slo", "prefix") == set()
    assert search("oslo", "part", "&status=completed") == set()
    assert search("oslo", "part", "&created_to=2020-01-01T00:00:00Z") == set()
    assert {j["id"] for j in api.get("/jobs?metadata.city=Oslo&type=order")["items"]} == {oslo}
    assert {j["id"] for j in api.get("/jobs?metadata.city=Oslo&type=plain")["items"]} == {other}
    assert api.get("/jobs/search?key=city", 400)["errors"][0]["parameter"] == "value"
    assert api.get("/jobs/search?key=city&value=x&match=like", 400)["errors"][0]["parameter"] == "match"


def test_statistics(jm, api):
    jm.start_worker()
    submit(api, *[{"type": "noop", "metadata": {"eur": n + 0.5}} for n in range(9)],
           *[{"type": "fail", "params": {"message": "no"}, "max_attempts": 1}] * 2)
    jm.wait_ended(11)
    stats = wait_until(lambda: (lambda s: s if s["total"] == 11 else None)(api.get("/jobs/stats?sum=eur")), 20, what="counted")
    assert (stats["completed"], stats["failed"], stats["success_rate"]) == (9, 2, 81.8)
    assert stats["types"] == [{"type": "noop", "jobs": 9, "completed": 9}, {"type": "fail", "jobs": 2, "completed": 0}]
    assert sum(t["jobs"] for t in stats["trend"]) == 11 and stats["sampled"] == 9
    assert stats["sum"] == {"key": "eur", "value": 40.5, "jobs": 9, "complete": True}
    assert api.get("/jobs/stats?type=fail&by=day")["success_rate"] == 0
    assert api.get("/jobs/stats?from=2099-01-01T00:00:00Z")["total"] == 0
    failed = api.get("/jobs/stats?status=failed&sum=eur")
    assert (failed["total"], failed["failed"], failed["completed"], failed["sampled"]) == (2, 2, 0, 0)
    assert failed["sum"]["jobs"] == 0 and api.get("/jobs/stats?status=completed&sum=eur")["sum"]["value"] == 40.5
    assert api.get("/jobs/stats?status=done", 400)["errors"][0]["parameter"] == "status"
    # What waits hides nothing of how long those took that have ended.
    jm.db.execute("SELECT submit('nobody-runs-this') FROM generate_series(1, 6000)")
    assert api.get("/jobs/stats")["sampled"] == 9


def test_a_log_is_read_in_pages(jm, api):
    """No answer is as long as what a handler had to say."""
    job = api.post("/jobs", {"type": "nobody"}, 201)["id"]
    jm.db.execute("""INSERT INTO job_logs (job_id, attempt, seq, ts, level, message)
        SELECT %s, 1 + n / 2000, n, now(), CASE WHEN n %% 2 = 0 THEN 'INFO' ELSE 'DEBUG' END, 'line ' || n
        FROM generate_series(1, 2500) n""", job)

    def pages(query):
        found, cursor = [], ""
        while cursor is not None:
            page = api.get(f"/jobs/{job}/logs?{query}{cursor}")
            found.append([x["seq"] for x in page["items"]])
            cursor = page["next"] and "&cursor=" + page["next"]
        return found
    assert [len(p) for p in pages("level=debug")] == [1000, 1000, 500]
    assert sum(pages("limit=999"), []) == list(range(1, 2501))
    assert sum(pages("limit=100&level=info"), []) == list(range(2, 2501, 2))
    assert [api.get(f"/jobs/{job}/logs?total=1&limit=2{more}")["total"] for more in ("", "&level=info", "&cursor=1.7")] == \
        [2500, 1250, 2500]
    whole = api.get(f"/jobs/{job}?include=logs")
    assert len(whole["logs"]) == 1000
    assert api.get(f"/jobs/{job}/logs?cursor={whole['logs_next']}")["items"][0]["seq"] == 1001
    for wrong in ("x", "1", "1.", "1.2.3", "-1.2", "99999999999.1"):
        assert api.get(f"/jobs/{job}/logs?cursor={wrong}", 400)["errors"][0]["parameter"] == "cursor"
    assert api.get(f"/jobs/{job}/logs?limit=1001", 400)["errors"][0]["parameter"] == "limit"


def test_one_job_and_what_belongs_to_it(jm, api):
    jm.start_worker()
    job = api.post("/jobs?wait_s=30", {"type": "noop", "id": "mine"}, 201)["id"]
    whole = api.get("/jobs/mine?include=steps,logs,attempts,result")
    assert whole["id"] == job and whole["steps"][0]["name"] == "run" and whole["logs"] and whole["attempts"] == []
    assert api.get(f"/jobs/{job}/steps")["items"] == whole["steps"]
    assert api.get(f"/jobs/{job}/logs?level=info")["items"] == whole["logs"]
    assert api.get(f"/jobs/{job}/result")["status"] == "completed"
    assert api.get(f"/jobs/{job}?include=stairs", 400)["errors"][0]["parameter"] == "include"
    assert api.get("/jobs/nobody", 404)["code"] == "not_found"
    again = api.post(f"/jobs/{job}/retry", expect=201, X_Reason="once more", X_Request_Id="retry-17")
    assert (again["retry_of"], again["request_id"]) == (job, "retry-17")
    assert jm.db.query("SELECT action, object_id, after ->> 'retried_as' FROM audit_log WHERE request_id = 'retry-17'") == [
        ("retry", job, again["id"])]
    jm.wait_status(again["id"], "completed")
    api.delete(f"/jobs/{again['id']}")
    api.get(f"/jobs/{again['id']}", 404)
    assert jm.db.query("SELECT action, actor, source, reason FROM audit_log WHERE object = 'job' ORDER BY id") == [
        ("retry", "anonymous", "api", "once more"), ("delete", "anonymous", "api", None)]


def test_cancel(jm, api):
    job, = submit(api, {"type": "nobody"})
    assert api.post(f"/jobs/{job}/cancel", X_Reason="why not", expect=200)["status"] == "cancelled"
    assert api.post(f"/jobs/{job}/cancel", expect=409)["code"] == "conflict"
    assert "by anonymous: why not" in jm.db.job(job)["error"]


def test_changes(jm, api):
    job, = submit(api, {"type": "order", "metadata": {"a": 1}})
    changed = api.patch(f"/jobs/{job}", {"metadata": {"city": "Rome"}, "priority": 9})
    assert (changed["metadata"], changed["priority"]) == ({"a": 1, "city": "Rome"}, 9)
    assert jm.db.value("SELECT priority FROM pending_jobs WHERE job_id = %s", job) == 9
    assert api.patch(f"/jobs/{job}", {"priority": 10}, 400)["errors"][0]["pointer"] == "/priority"
    assert api.patch(f"/jobs/{job}", {"metadata": {"x": []}}, 400)["errors"][0]["pointer"] == "/metadata"
    api.post(f"/jobs/{job}/cancel", expect=200)
    assert api.patch(f"/jobs/{job}", {"priority": 1}, 409)["code"] == "conflict"


def test_a_program_outside_runs_a_job(jm, api, searchable):
    job, = submit(api, {"type": "order"})
    path = f"/jobs/{job}"
    taken = api.patch(path, {"status": "running"})
    assert (taken["status"], taken["attempt"]) == ("running", 1)
    assert [j["id"] for j in api.get("/jobs?status=running")["items"]] == [job]
    assert api.patch(path, {"status": "running"}, 409)["code"] == "conflict"
    api.post(path + "/steps", {"attempt": 1, "name": "load", "status": "running"}, 200)
    api.patch(path + "/steps", {"attempt": 1, "name": "load", "status": "success", "data": {"n": 3}})
    steps = api.post(path + "/steps", {"attempt": 1, "name": "save", "status": "failed", "error": "full"}, 200)["items"]
    assert [(s["seq"], s["name"], s["status"], s["data"]) for s in steps] == [
        (1, "load", "success", {"n": 3}), (2, "save", "failed", None)]
    api.post(path + "/logs", {"attempt": 1, "message": "one"}, 201)
    assert api.post(path + "/logs", [{"attempt": 1, "message": "two", "level": "ERROR"}] * 2, 201) == {"written": 2}
    assert [(x["seq"], x["level"]) for x in api.get(path + "/logs")["items"]] == [(1, "INFO"), (2, "ERROR"), (3, "ERROR")]
    names = ("debug", "Info", "wArn", "critical", "TRACE")
    api.post(path + "/logs", [{"attempt": 1, "message": "x", "level": name} for name in names], 201)
    assert [x["level"] for x in api.get(path + "/logs")["items"][3:]] == ["DEBUG", "INFO", "WARNING", "ERROR", "DEBUG"]
    for level in ("loud", "", 1, None):
        refused = api.post(path + "/logs", [{"attempt": 1, "message": "x"}, {"attempt": 1, "message": "x", "level": level}], 400)
        assert refused["errors"][0]["pointer"] == "/1/level" and "DEBUG, INFO, WARNING or ERROR" in refused["detail"]
    assert api.post(path + "/logs", [{"attempt": 1}], 400)["errors"][0]["pointer"] == "/0/message"
    assert api.post(path + "/logs", {"attempt": 1}, 400)["errors"][0]["pointer"] == "/message"
    api.patch(path, {"attempt": 1, "progress": {"at": 1}, "items_total": 3, "metadata": {"city": "Oslo"}})
    for attempt in (0, 2):
        refused = api.patch(path, {"attempt": attempt or 7, "status": "completed"}, 409)
        assert refused["code"] == "attempt_over"
    done = api.patch(path, {"attempt": 1, "status": "completed", "result": {"ok": True}})
    assert (done["status"], done["result"], done["items_total"], done["metadata"]) == (
        "completed", {"ok": True}, 3, {"city": "Oslo"})
    for late in ((path, {"attempt": 1, "status": "failed"}), (path + "/steps", {"attempt": 1, "name": "x", "status": "success"})):
        assert api.patch(*late, 409)["code"] == "attempt_over"
    assert api.post(path + "/logs", {"attempt": 1, "message": "late"}, 409)["code"] == "attempt_over"
    assert jm.db.value("SELECT count(*) FROM claims") == 0
    assert [j["id"] for j in api.get("/jobs/search?key=city&value=oslo")["items"]] == [job]


def test_what_a_program_outside_hands_back_is_run_again(jm, api):
    job, = submit(api, {"type": "order", "max_attempts": 2})
    api.patch(f"/jobs/{job}", {"status": "running"})
    assert api.patch(f"/jobs/{job}", {"attempt": 1, "status": "pending"})["status"] == "pending"
    taken = api.patch(f"/jobs/{job}", {"status": "running"})
    assert (taken["attempt"], taken["max_attempts"]) == (2, 3)
    failed = api.patch(f"/jobs/{job}", {"attempt": 2, "status": "failed", "error": "broken"})
    assert (failed["status"], failed["error"]) == ("failed", "broken")


def test_a_program_outside_that_says_nothing_loses_its_job(jm, api):
    job, = submit(api, {"type": "order"})
    api.patch(f"/jobs/{job}", {"status": "running", "lease_s": 5})
    jm.db.execute("UPDATE workers SET expires_at = now() - interval '1 second' WHERE kind = 'outside'")
    jm.wait_status(job, "pending", 60)
    assert api.patch(f"/jobs/{job}", {"attempt": 1, "status": "completed"}, 409)["code"] == "attempt_over"
    assert jm.db.value("SELECT outcome FROM job_attempts WHERE job_id = %s", job) == "lost"


def test_what_waits_for_something_cannot_be_taken(api):
    parent, later, locked = submit(api, {"type": "a"}, {"type": "a", "run_at": "2099-01-01T00:00:00Z"},
                                   {"type": "a", "exclusive": "x"})
    child, = submit(api, {"type": "a", "depends_on": [parent]})
    for job in (later, locked, child):
        assert api.patch(f"/jobs/{job}", {"status": "running"}, 409)["code"] == "conflict"
    api.patch(f"/jobs/{parent}", {"status": "running"})
    api.patch(f"/jobs/{parent}", {"attempt": 1, "status": "completed"})
    assert wait_until(lambda: api.call("PATCH", f"/api/v1/jobs/{child}", {"status": "running"}).status == 200, 20,
                      what="its parent has ended")


def test_the_command_line_pages_and_filters(jm, api, searchable):
    ids = submit(api, *[{"type": "order", "metadata": {"no": n % 2}} for n in range(5)])
    first = jm.cli("job", "list", "--limit", 3, "--json").json()
    rest = jm.cli("job", "list", "--limit", 3, "--json", "--cursor", first["next"]).json()
    assert [j["id"] for j in first["items"] + rest["items"]] == sorted(ids, reverse=True) and rest["next"] is None
    assert len(jm.cli("job", "list", "--metadata", "no=1", "--json").json()["items"]) == 2
    assert len(jm.cli("job", "list", "--created-from", "1h", "--json").json()["items"]) == 5
    assert jm.cli("job", "list", "--metadata", "no", check=False).code == 2
    found = jm.cli("job", "search", "no", "1", "--match", "prefix", "--json").json()["items"]
    assert {j["metadata"]["no"] for j in found} == {1} and len(found) == 2
    assert len(jm.cli("job", "recent", "--limit", 2, "--json").json()["items"]) == 2
    jm.cli("job", "cancel", ids[0], "--reason", "no more")
    assert jm.cli("job", "stats", "--from", "1d", "--by", "day", "--json").json()["cancelled"] == 1
    assert "Cancelled" in jm.cli("job", "stats").out


def test_times_in_the_query(jm, api):
    """Also those before 1970, and those of an answer, whose + nobody has written as %2B."""
    job = api.post("/jobs", {"type": "nobody"})["id"]
    made = api.get(f"/jobs/{job}")["created_at"]
    assert "+" in made
    early = ("0001-01-01T00:00:00Z", "1900-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "1970-01-01T00:00:00Z")
    for path in ("/jobs?", "/jobs/search?"):
        for time in early:
            assert [j["id"] for j in api.get(f"{path}created_from={time}")["items"]] == [job], time
            assert api.get(f"{path}created_to={time}")["items"] == [], time
            assert api.get(f"{path}started_from={time}")["items"] == [], time
    # The time in the id is a little earlier than that of the row.
    before = (datetime.datetime.fromisoformat(made) - datetime.timedelta(seconds=5)).isoformat()
    assert before.endswith("+00:00")
    assert [j["id"] for j in api.get(f"/jobs?created_from={before}&")["items"]] == [job]
    assert [j["id"] for j in api.get(f"/jobs?created_from={before[:-6]}-00:00&&limit=5")["items"]] == [job]
    assert api.get(f"/jobs?created_to={before}")["items"] == []
    assert api.call("GET", "/api/v1/jobs?created_from=2026-11-22T14:30:00+0100").status == 400


def test_a_body_that_is_compressed_is_refused_by_name(jm, api):
    body = gzip.compress(b'{"type": "t"}')
    for path in ("/api/v1/jobs", "/api/v1/schedules", "/api/v1/calendars/x/import"):
        kind = "text/calendar" if "import" in path else "application/json"
        answer = api.call("POST", path, body, Content_Type=kind, Content_Encoding="gzip")
        assert (answer.status, answer.json["code"]) == (415, "unsupported_media_type"), answer
        assert "Content-Encoding gzip" in answer.json["detail"]
    assert api.call("POST", "/api/v1/jobs", b'{"type": "t"}', Content_Type="application/json",
                    Content_Encoding="identity").status == 201
    answer = api.call("POST", "/api/v1/jobs", b'{"type": "t"}', Content_Type="")
    assert answer.status == 415 and "of no type" in answer.json["detail"]


def test_a_reason_has_an_end(jm, api):
    def add(name, reason):
        return api.call("POST", "/api/v1/projects", {"name": name}, X_Reason=reason.encode() if isinstance(reason, str) else reason)

    assert add("a", "\u00fc" * 1000).status == 201
    assert jm.db.value("SELECT reason FROM audit_log WHERE object_id = 'a'") == "\u00fc" * 1000
    for reason in ("\u00fc" * 1001, b"\xff\xfe"):
        answer = add("b", reason)
        assert (answer.status, answer.json["code"]) == (400, "bad_header") and "X-Reason" in answer.json["detail"]
    assert jm.db.value("SELECT count(*) FROM projects WHERE name = 'b'") == 0


def test_what_is_at_fault_is_where_it_stands(api):
    """A parameter is named as one, by every list; numbers are numbers, and what programs go by is no word for people."""
    for path in ("audit", "keys", "projects", "documents", "schedules", "jobs", "dead-letters"):
        answer = api.call("GET", f"/api/v1/{path}?cursor=zz")
        assert answer.status == 400 and answer.json["errors"][0]["parameter"] == "cursor", (path, answer)
    answer = api.call("POST", "/api/v1/locks/x/acquire", {"ttl_s": 1e9})
    assert answer.json["detail"] == "ttl_s must be seconds from 0.1 to 2678400"
    job = api.post("/jobs", {"type": "t", "params": {"n": 1}})["id"]
    answer = api.call("POST", "/api/v1/jobs", {"type": "t", "id": job, "params": {"n": 2}})
    assert answer.status == 409 and answer.json["errors"][0]["pointer"] == "/id"
    assert "reason:" not in answer.json["detail"] and "Give each job an id of its own" in answer.json["detail"], answer


def test_a_key_that_nobody_declared_searchable_is_no_empty_list(jm, api, searchable):
    job = api.post("/jobs", {"type": "t", "metadata": {"colour": "red"}})["id"]
    for match in ("exact", "prefix", "part"):
        answer = api.get(f"/jobs/search?key=colour&value=red&match={match}", 400)
        assert answer["errors"][0]["parameter"] == "key" and '"searchable"' in answer["detail"], answer
    assert [j["id"] for j in api.get("/jobs?metadata.colour=red")["items"]] == [job]  # as it says
    refused = jm.cli("job", "search", "colour", "red", check=False)
    assert refused.code == 2 and "declares the key" in refused.err, refused
    assert api.get("/jobs/search?key=city&value=nowhere")["items"] == []
    # What jobs of a type that is gone have is found, and what they have not is not.
    api.post("/jobs", {"type": "order", "metadata": {"city": "Oslo"}})
    jm.db.execute("DELETE FROM job_types WHERE name = 'order'")
    assert len(api.get("/jobs/search?key=city&value=oslo")["items"]) == 1
    assert api.get("/jobs/search?key=city&value=nowhere")["items"] == []


def test_a_step_that_was_reported_running_has_its_duration(jm, api):
    job = api.post("/jobs", {"type": "outside.t"})["id"]
    assert api.patch(f"/jobs/{job}", {"status": "running"})["attempt"] == 1
    running = api.post(f"/jobs/{job}/steps", {"attempt": 1, "name": "a", "status": "running"})["items"][0]
    assert running["duration_ms"] is None and running["completed_at"] is None
    jm.db.execute("UPDATE job_steps SET started_at = started_at - interval '90 seconds' WHERE job_id = %s", job)
    done = api.post(f"/jobs/{job}/steps", {"attempt": 1, "name": "a", "status": "success"})["items"][0]
    assert done["seq"] == running["seq"] and 90000 <= done["duration_ms"] < 120000, done
