"""Schedules over HTTP. Each answer is held against the API's description by lib.api."""
import json
import re

import pytest

from lib import openapi
from lib.api import Api
from lib.wait import wait_until


@pytest.fixture
def producer(jm):
    return jm.start_producer("--no-scheduler", **{"http.auth": "off"})


@pytest.fixture
def api(producer):
    return Api.of(producer)


def add(api, name="nightly", expect=201, **members):
    if not {"cron_expression", "interval_seconds", "run_at"} & set(members):
        members["cron_expression"] = "0 3 * * *"
    return api.post("/schedules", {"name": name, "type": "noop", **members}, expect)


def problem(answer, status, code, pointer=None, parameter=None):
    assert (answer.status, answer.json["code"]) == (status, code), answer
    assert answer.headers["Content-Type"] == "application/problem+json"
    if pointer or parameter:
        assert answer.json["errors"][0].get("pointer") == pointer and answer.json["errors"][0].get("parameter") == parameter, answer
    return answer.json["detail"]


def test_made_read_changed_and_deleted(jm, api):
    answer = api.call("POST", "/api/v1/schedules", b"""{"name": "nightly", "type": "noop", "cron_expression": "0 3 * * *",
        "timezone": "Europe/Berlin", "params": {"x": 1.50}, "metadata": {"team": "a"}}""",
                      Content_Type="application/json", X_Reason="because")
    made = answer.json
    assert answer.status == 201 and answer.headers["ETag"] == '"1"'
    assert answer.headers["Location"] == f"/api/v1/schedules/{made['id']}"
    assert (made["kind"], made["project"], made["version"], made["enabled"]) == ("cron", "default", 1, True)
    assert b'"x":1.50' in answer.raw.replace(b" ", b"")  # no digit is lost
    for name in (made["id"], "nightly", "nightly?project=default"):
        assert api.get(f"/schedules/{name}")["id"] == made["id"]
    # What is left out stays; null stands for the default.
    changed = api.put(f"/schedules/{made['id']}", {"cron_expression": "0 4 * * *"})
    assert (changed["version"], changed["timezone"], changed["metadata"]) == (2, "Europe/Berlin", {"team": "a"})
    changed = api.patch("/schedules/nightly", {"timezone": None, "interval_seconds": 7200})
    assert (changed["kind"], changed["timezone"], changed["cron_expression"]) == ("interval", "UTC", None)
    # Nothing changes, and no version is made.
    assert api.put("/schedules/nightly", {"interval_seconds": 7200})["version"] == 3
    api.delete("/schedules/nightly")
    assert api.call("GET", f"/api/v1/schedules/{made['id']}").status == 404
    log = jm.db.rows("SELECT action, actor, source, reason FROM audit_log WHERE object = 'schedule' ORDER BY version")
    assert [tuple(r.values()) for r in log] == [("create", "anonymous", "api", "because"), ("update", "anonymous", "api", None),
                                                ("update", "anonymous", "api", None), ("delete", "anonymous", "api", None)]


def test_what_is_wrong_names_the_member(api):
    def refused(pointer, code="invalid", **members):
        return problem(api.call("POST", "/api/v1/schedules", members), 400, code, pointer)
    refused("/cron_expression", name="a", type="noop", cron_expression="61 * * * *")
    refused("/timezone", name="a", type="noop", cron_expression="* * * * *", timezone="Mars/Olympus")
    refused("/interval_seconds", name="a", type="noop", interval_seconds=0)
    refused("/type", name="a", cron_expression="* * * * *")
    refused("/name", type="noop", cron_expression="* * * * *")
    refused("/priority", name="a", type="noop", cron_expression="* * * * *", priority=10)
    refused("/enabled", name="a", type="noop", cron_expression="* * * * *", enabled="yes")
    refused("/run_at", name="a", type="noop", run_at="2020-01-01T00:00:00Z")
    assert "timezone" in refused("/timezon", name="a", type="noop", cron_expression="* * * * *", timezon="UTC")
    assert refused("/total_runs", name="a", type="noop", cron_expression="* * * * *", total_runs=1)
    refused("/calendar", name="a", type="noop", cron_expression="* * * * *", calendar="holidays")
    refused("/params", name="a", type="noop", cron_expression="* * * * *", params=[1])
    assert api.get("/schedules")["items"] == []


def test_bodies_that_are_none(api):
    for body in (b"", b"{", b"[]", b'"x"', b'{"name": "a", "name": "b"}', b'{"name": "\xff"}', b'{"name": "\\u0000"}'):
        answer = api.call("POST", "/api/v1/schedules", body, Content_Type="application/json")
        assert answer.status == 400, (body, answer)
    assert api.call("POST", "/api/v1/schedules", b"<a/>", Content_Type="text/xml").status == 415
    add(api)
    assert api.call("POST", "/api/v1/schedules/nightly/enable", {"enabled": True}).status == 400
    assert api.call("POST", "/api/v1/schedules/nightly/rollback", {"version": "1"}).status == 400


def test_a_project_that_there_is_not_and_a_name_that_is_taken(api):
    problem(api.call("POST", "/api/v1/schedules", {"name": "a", "type": "noop", "cron_expression": "* * * * *",
                                                   "project": "nobody"}), 404, "not_found")
    add(api)
    problem(api.call("POST", "/api/v1/schedules", {"name": "nightly", "type": "noop", "cron_expression": "* * * * *"}), 409, "conflict")
    add(api, "other")
    problem(api.call("PUT", "/api/v1/schedules/other", {"name": "nightly"}), 409, "conflict")


def test_a_name_that_two_projects_have(jm, api):
    jm.db.execute("INSERT INTO projects (name) VALUES ('shop')")
    add(api)
    shop = add(api, project="shop")
    problem(api.call("GET", "/api/v1/schedules/nightly"), 400, "ambiguous", parameter="project")
    assert api.get("/schedules/nightly?project=shop")["id"] == shop["id"]
    # An id counts in its own project only.
    problem(api.call("GET", f"/api/v1/schedules/{shop['id']}?project=default"), 404, "not_found")
    problem(api.call("PUT", "/api/v1/schedules/nightly?project=shop", {"project": "default"}), 400, "invalid", "/project")


def test_versions_and_if_match(api):
    add(api)
    tag = api.call("GET", "/api/v1/schedules/nightly").headers["ETag"]
    answer = api.call("PUT", "/api/v1/schedules/nightly", {"queue": "slow"}, If_Match=tag)
    assert (answer.status, answer.headers["ETag"]) == (200, '"2"')
    problem(api.call("PUT", "/api/v1/schedules/nightly", {"queue": "x"}, If_Match=tag), 412, "version_mismatch")
    problem(api.call("POST", "/api/v1/schedules/nightly/disable", If_Match=tag), 412, "version_mismatch")
    problem(api.call("POST", "/api/v1/schedules/nightly/rollback", {"version": 1}, If_Match=tag), 412, "version_mismatch")
    problem(api.call("DELETE", "/api/v1/schedules/nightly", If_Match=tag), 412, "version_mismatch")
    problem(api.call("PUT", "/api/v1/schedules/nightly", {"queue": "x"}, If_Match="3"), 400, "bad_header")
    api.put("/schedules/nightly", {"queue": "x"}, If_Match="*")
    # Back to the first one, as a new one.
    back = api.post("/schedules/nightly/rollback", {"version": 1}, If_Match='"3"')
    assert (back["version"], back["queue"]) == (4, "default")
    problem(api.call("POST", "/api/v1/schedules/nightly/rollback", {"version": 9}), 404, "not_found")
    problem(api.call("POST", "/api/v1/schedules/nightly/rollback", {"version": 0}), 400, "invalid", "/version")
    versions = api.get("/schedules/nightly/versions")["items"]
    assert [v["version"] for v in versions] == [4, 3, 2, 1] and versions[0]["action"] == "rollback"
    page = api.get("/schedules/nightly/versions?limit=3")
    rest = api.get(f"/schedules/nightly/versions?limit=3&cursor={page['next']}")
    assert [v["version"] for v in page["items"] + rest["items"]] == [4, 3, 2, 1] and rest["next"] is None
    api.delete("/schedules/nightly", If_Match='"4"')
    assert [v["action"] for v in api.get(f"/schedules/{back['id']}/versions")["items"]][0] == "delete"


def test_a_condition_that_is_not_looked_at_is_refused(api):
    """Who sends If-Match relies on it: where the description has none, it is refused and nothing is done."""
    document = openapi.document()
    takes = set()
    for method, path, _ in document.operations():
        if method == "get":
            continue
        call = (method.upper(), "/api/v1" + re.sub(r"\{[^}]*\}", "x", path))
        if any(p["name"] == "If-Match" for p in document.parameters(path, method)):
            takes.add((method, path))
        else:
            problem(api.call(*call, If_Match='"3"'), 400, "bad_header")
        problem(api.call(*call, If_None_Match="*"), 400, "bad_header")
    assert ("post", "/schedules/{id}/rollback") in takes and ("put", "/documents/{name}") in takes
    assert api.call("GET", "/api/v1/schedules", If_None_Match="*").status == 200


@pytest.mark.parametrize("when", [{"cron_expression": "0 3 * * *"}, {"interval_seconds": 600},
                                  {"run_at": "2099-01-01T00:00:00Z"}])
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_read_change_send_back(jm, api, method, when):
    """The round trip of most clients, also while what is counted moves on."""
    add(api, **when)
    read = api.get("/schedules/nightly")
    same = api.call(method, "/api/v1/schedules/nightly", read)
    assert (same.status, same.json["version"]) == (200, 1), same
    jm.db.execute("UPDATE schedules SET total_runs = 7, last_status = 'failed'")
    read["description"], read["priority"] = "changed", 9
    answer = api.call(method, "/api/v1/schedules/nightly", read, If_Match='"1"')
    assert answer.status == 200, answer
    assert (answer.json["version"], answer.json["priority"], answer.json["total_runs"]) == (2, 9, 7)
    other = add(api, name="other")
    problem(api.call(method, "/api/v1/schedules/other", read), 400, "invalid", "/id")
    assert api.get("/schedules/other") == other
    # Without the id nobody has read it: then it is a mistake, as is what no schedule has.
    del read["id"]
    problem(api.call(method, "/api/v1/schedules/nightly", read), 400, "invalid")
    problem(api.call(method, "/api/v1/schedules/nightly", {"id": answer.json["id"], "cron": "* * * * *"}),
            400, "invalid", "/cron")


@pytest.mark.parametrize("body, pointer, says", [
    ({"name": ""}, "/name", "name: 1 to 255 characters expected"),
    ({"cron": "* * * * *"}, "/cron", "cron: schedules have no such field"),
    ({"last_run_at": "2026-01-01T00:00:00Z"}, "/last_run_at", "last_run_at: it is not for people to set"),
    ({"max_instances": 0}, "/max_instances", "max_instances: at least 1 expected"),
    ({"project": "nope"}, None, 'there is no project "nope"')])
def test_what_is_said_names_the_member(api, body, pointer, says):
    """For who reads nothing but the detail."""
    answer = api.call("POST", "/api/v1/schedules", {"name": "x", "type": "t", "cron_expression": "0 3 * * *", **body})
    assert answer.status in (400, 404) and answer.json["detail"] == says, answer
    assert pointer is None or answer.json["errors"] == [{"pointer": pointer, "detail": says}]


def test_what_is_said_of_a_parameter_is_said_once(api):
    add(api)
    answer = api.call("GET", "/api/v1/schedules/nightly/history?status=done")
    assert answer.json["detail"].startswith('status is "done"'), answer
    problem(answer, 400, "bad_parameter", parameter="status")


def test_actions(api):
    made = add(api)
    assert made["next_run_at"]
    off = api.post("/schedules/nightly/disable")
    assert (off["enabled"], off["next_run_at"]) == (False, None)
    assert api.post("/schedules/nightly/enable", {})["next_run_at"] == made["next_run_at"]
    assert api.post("/schedules/nightly/pause")["paused"] is True
    on = api.post("/schedules/nightly/resume")
    assert (on["paused"], on["version"]) == (False, 5)
    assert [v["action"] for v in api.get("/schedules/nightly/versions")["items"]] == ["resume", "pause", "enable", "disable", "create"]
    for action in ("enable", "disable", "pause", "resume", "run"):
        problem(api.call("POST", f"/api/v1/schedules/nobody/{action}"), 404, "not_found")
    assert api.call("GET", "/api/v1/schedules/nightly/enable").status == 405


def test_a_dry_run_changes_nothing(jm, api):
    would = add(api, "a", 201)
    before = jm.db.rows("SELECT * FROM schedules")
    logged = jm.db.value("SELECT count(*) FROM audit_log")
    would = api.post("/schedules?dry_run=1", {"name": "b", "type": "noop", "interval_seconds": 60}, 200)
    assert would["dry_run"] and would["definition"]["interval_seconds"] == 60
    would = api.put("/schedules/a?dry_run=true", {"queue": "slow"})
    assert (would["version"], would["changed"], would["definition"]["queue"]) == (2, True, "slow")
    assert api.put("/schedules/a?dry_run=1", {"queue": "default"})["changed"] is False
    api.post("/schedules/a/disable?dry_run=1")
    api.delete("/schedules/a?dry_run=1")
    problem(api.call("POST", "/api/v1/schedules?dry_run=1", {"name": "a", "type": "noop", "interval_seconds": 60}), 409, "conflict")
    assert jm.db.rows("SELECT * FROM schedules") == before
    assert jm.db.value("SELECT count(*) FROM audit_log") == logged


def test_lists_filter_and_go_on_where_they_were(jm, api):
    jm.db.execute("INSERT INTO projects (name) VALUES ('shop')")
    for i in range(7):
        add(api, f"s{i}", project="shop" if i % 2 else "default", enabled=i != 3, external_id=f"x{i}",
            type="noop" if i < 5 else "sleep", metadata={"team": "a" if i < 4 else "b", "n": i})

    def names(query):
        return [s["name"] for s in api.get(f"/schedules?{query}")["items"]]
    assert names("") == [f"s{i}" for i in reversed(range(7))]
    assert names("project=shop") == ["s5", "s3", "s1"]
    assert names("enabled=false") == ["s3"] and len(names("enabled=1")) == 6
    api.post("/schedules/s2/pause", expect=200)
    assert names("paused=1") == ["s2"] and len(names("paused=false")) == 6
    assert names("enabled=true&paused=false&project=default") == ["s6", "s4", "s0"]
    assert api.get("/schedules?paused=true&total=1")["total"] == 1
    problem(api.call("GET", "/api/v1/schedules?paused=maybe"), 400, "bad_parameter", parameter="paused")
    listed = jm.cli("schedule", "list", "--paused", "true", "--json").json()["items"]
    assert [s["name"] for s in listed] == ["s2"]
    assert names("type=sleep") == ["s6", "s5"]
    assert names("external_id=x2") == ["s2"]
    assert names("metadata.team=b&metadata.n=5") == ["s5"]
    assert names("metadata.team=c") == []
    assert names("limit=2&offset=1") == ["s5", "s4"]
    # A page goes on where it was while others are added.
    answer = api.call("GET", "/api/v1/schedules?limit=3&metadata.team=a&total=1")
    assert answer.json["total"] == 4 and [s["name"] for s in answer.json["items"]] == ["s3", "s2", "s1"]
    add(api, "late", metadata={"team": "a"})
    link = answer.headers["Link"]
    assert link.endswith('>; rel="next"') and "metadata.team=a" in link
    rest = api.call("GET", link[1:link.index(">")]).json
    assert [s["name"] for s in rest["items"]] == ["s0"] and rest["next"] is None
    problem(api.call("GET", "/api/v1/schedules?cursor=x"), 400, "bad_parameter", parameter="cursor")
    problem(api.call("GET", "/api/v1/schedules?enabled=maybe"), 400, "bad_parameter", parameter="enabled")
    problem(api.call("GET", "/api/v1/schedules?limit=1001"), 400, "bad_parameter", parameter="limit")
    assert "project" in problem(api.call("GET", "/api/v1/schedules?projekt=x"), 400, "unknown_parameter", parameter="projekt")
    # and the command line has the same filters.
    listed = jm.cli("schedule", "list", "--metadata", '{"team": "b", "n": 5}', "--json").json()["items"]
    assert [s["name"] for s in listed] == ["s5"]
    assert [s["name"] for s in jm.cli("schedule", "list", "--external-id", "x2", "--json").json()["items"]] == ["s2"]


def test_run_by_hand_notes_the_request(jm, api):
    add(api)
    job = api.post("/schedules/nightly/run", expect=201, X_Request_Id="by-hand-7")
    assert job["request_id"] == "by-hand-7" == jm.db.job(job["id"])["request_id"]
    assert jm.db.value("SELECT count(*) FROM audit_log WHERE request_id = 'by-hand-7' AND action = 'run'") == 1


def test_run_by_hand_makes_a_job(jm, api):
    made = add(api, params={"a": 1}, enabled=False)
    answer = api.call("POST", "/api/v1/schedules/nightly/run", X_Reason="now")
    job = answer.json
    assert answer.status == 201 and answer.headers["Location"] == f"/api/v1/jobs/{job['id']}"
    assert (job["schedule_id"], job["params"], job["submitted_by"]) == (made["id"], {"a": 1}, "anonymous")
    jm.start_worker()
    jm.wait_status(job["id"], "completed")
    history = api.get("/schedules/nightly/history")["items"]
    assert [j["id"] for j in history] == [job["id"]] and history[0]["status"] == "completed"
    assert api.get("/schedules/nightly/history?status=failed")["items"] == []
    problem(api.call("GET", "/api/v1/schedules/nightly/history?status=done"), 400, "bad_parameter", parameter="status")
    ticks = api.get("/schedules/nightly/ticks")["items"]
    assert [(t["kind"], t["outcome"], t["job_id"], t["job_status"]) for t in ticks] == [("manual", "fired", job["id"], "completed")]
    wait_until(lambda: api.get("/schedules/nightly")["successful_runs"] == 1, 20, what="it is counted")
    assert jm.db.value("SELECT reason FROM audit_log WHERE action = 'run'") == "now"


def test_backfill_and_the_ledger_page_by_page(jm, api):
    add(api, cron_expression="0 * * * *", overlap="allow")
    body = {"from": "2026-11-01T00:00:00Z", "to": "2026-11-01T05:00:00Z", "rate": 0.5}
    assert api.post("/schedules/nightly/backfill?dry_run=1", body) == {
        "instants": 5, "fired": 5, "already": 0, "left_out": 0, "first_at": "2026-11-01T00:00:00Z",
        "last_at": "2026-11-01T04:00:00Z", "seconds": 8.0}
    assert jm.db.value("SELECT count(*) FROM jobs") == 0
    assert api.post("/schedules/nightly/backfill", body)["fired"] == 5
    assert api.post("/schedules/nightly/backfill", body)["already"] == 5
    assert jm.db.value("SELECT count(*) FROM jobs") == 5
    seen, path = [], "/schedules/nightly/ticks?limit=2"
    while path:
        page = api.get(path)
        seen += [t["due_at"][11:13] for t in page["items"]]
        path = page["next"] and "/schedules/nightly/ticks?limit=2&cursor=" + page["next"].replace("+", "%2B")
    assert seen == ["04", "03", "02", "01", "00"]
    assert len(api.get("/schedules/nightly/ticks?from=2026-11-01T03:00:00Z&kind=backfill&outcome=fired")["items"]) == 2
    problem(api.call("GET", "/api/v1/schedules/nightly/ticks?kind=odd"), 400, "bad_parameter", parameter="kind")
    problem(api.call("GET", "/api/v1/schedules/nightly/ticks?cursor=x"), 400, "bad_parameter", parameter="cursor")
    problem(api.call("POST", "/api/v1/schedules/nightly/backfill", {**body, "rate": 0}), 400, "invalid", "/rate")
    problem(api.call("POST", "/api/v1/schedules/nightly/backfill", {**body, "rate": "fast"}), 400, "invalid", "/rate")
    problem(api.call("POST", "/api/v1/schedules/nightly/backfill", {**body, "to": "2036-11-01T05:00:00Z"}), 400, "invalid", "/to")
    problem(api.call("POST", "/api/v1/schedules/nightly/backfill", {"from": body["from"]}), 400, "invalid", "/to")


def test_previews(jm, api):
    berlin = {"cron_expression": "30 2 * * *", "timezone": "Europe/Berlin"}
    items = api.post("/schedules/preview?from=2027-03-27T00:00:00Z&count=2", berlin, 200)["items"]
    assert [(i["at"], i["note"]) for i in items] == [("2027-03-27T01:30:00Z", ""), ("2027-03-28T01:00:00Z", "dst gap")]
    assert jm.db.value("SELECT count(*) FROM schedules") == 0
    add(api, **berlin)
    assert api.get("/schedules/nightly/preview?from=2027-03-27T00:00:00Z&count=2")["items"] == items
    assert len(api.get("/schedules/nightly/preview")["items"]) == 10
    problem(api.call("POST", "/api/v1/schedules/preview", {"cron_expression": "x"}), 400, "invalid", "/cron_expression")
    problem(api.call("POST", "/api/v1/schedules/preview?count=0", berlin), 400, "bad_parameter", parameter="count")
    problem(api.call("GET", "/api/v1/schedules/nobody/preview"), 404, "not_found")
    why = api.get("/schedules/nightly/why?at=2020-01-01T02:30")
    assert why["tick"] is None and why["answer"]
    problem(api.call("GET", "/api/v1/schedules/nightly/why"), 400, "bad_parameter", parameter="at")
    problem(api.call("GET", "/api/v1/schedules/nightly/why?at=noon"), 400, "bad_parameter", parameter="at")


def test_export_and_import(jm, api):
    add(api, "a")
    add(api, "b", interval_seconds=60, metadata={"x": 1})
    document = api.get("/schedules/export")
    assert [s["name"] for s in document["schedules"]] == ["a", "b"]
    unchanged = api.post("/schedules/import", document, 200)
    assert unchanged["unchanged"] == 2 and not unchanged["added"]
    document["schedules"][0]["cron_expression"] = "0 5 * * *"
    document["schedules"][1]["name"] = "c"
    dry = api.post("/schedules/import?dry_run=1&prune=1", document, 200)
    assert [len(dry[k]) for k in ("added", "changed", "deleted")] == [1, 1, 1]
    assert [s["name"] for s in api.get("/schedules")["items"]] == ["b", "a"]
    api.post("/schedules/import?prune=1", document, 200)
    assert sorted(s["name"] for s in api.get("/schedules")["items"]) == ["a", "c"]
    document["schedules"][0]["cron_expression"] = "never"
    answer = api.call("POST", "/api/v1/schedules/import", document)
    problem(answer, 400, "invalid")
    assert answer.json["errors"][0]["pointer"] == "/schedules/0/cron_expression"
    problem(api.call("POST", "/api/v1/schedules/import?project=shop", document), 400, "invalid")


def test_types_and_workers(jm, api):
    jm.job_type("report", {"name": "run", "exec": {"argv": ["/bin/true"]}},
                params_schema={"type": "object", "properties": {"kind": {"type": "string"}}}, profiles={"full": {"kind": "full"}})
    worker = jm.start_worker()
    ident = str(jm.worker_id(worker))
    types = {t["name"]: t for t in api.get("/types")["items"]}
    assert {"report", "noop", "sleep", "fail"} <= set(types)
    report = api.get("/types/report")
    assert report == types["report"] and report["workers"] == 1
    assert (report["profiles"], report["params_schema"]["properties"]) == ({"full": {"kind": "full"}}, {"kind": {"type": "string"}})
    problem(api.call("GET", "/api/v1/types/nothing"), 404, "not_found")
    workers = api.get("/workers")["items"]
    assert sorted(w["kind"] for w in workers) == ["producer", "worker"]
    one = api.get(f"/workers/{ident}")
    assert one["alive"] and "report" in one["types"] and one["id"] == ident
    for name in ("nothing", "01938c5e-7c2a-7d3e-9b52-0a1f6f3c8d21"):
        problem(api.call("GET", f"/api/v1/workers/{name}"), 404, "not_found")
    worker.terminate()
    wait_until(lambda: api.get(f"/workers/{ident}")["state"] == "stopped", 20, what="it has stopped")
    assert ident not in [w["id"] for w in api.get("/workers")["items"]]
    assert ident in [w["id"] for w in api.get("/workers?all=1")["items"]]


def test_names_that_mean_something_elsewhere(jm, api):
    odd = "a'; DROP TABLE schedules; -- $(reboot) %00 ../../etc"
    made = add(api, odd, description=odd, metadata={odd: odd})
    quoted = json.loads(json.dumps(odd)).encode().hex()
    path = "".join("%" + quoted[i:i + 2] for i in range(0, len(quoted), 2))
    assert api.get(f"/schedules/{path}")["id"] == made["id"]
    assert api.get("/schedules?metadata." + path + "=" + path)["items"][0]["id"] == made["id"]
    api.delete(f"/schedules/{path}")


def test_all_mistakes_of_a_document_are_named(api):
    schedules = [{"name": "a", "project": "default", "type": "t", "cron_expression": "* * *", "priority": 12},
                 {"name": "b", "project": "default", "type": "t", "interval_seconds": 60, "overlap": "sometimes"},
                 {"name": "c", "project": "default", "type": "t", "interval_seconds": 60, "retries": 3},
                 {"name": "d", "project": "default", "type": "t", "interval_seconds": 60, "calendar": "none"}]
    answer = api.call("POST", "/api/v1/schedules/import", {"version": 1, "schedules": schedules})
    assert (answer.status, answer.json["code"]) == (400, "invalid"), answer
    found = {e["pointer"]: e["detail"] for e in answer.json["errors"]}
    assert set(found) == {"/version", "/schedules/0/cron_expression", "/schedules/0/priority", "/schedules/1/overlap",
                          "/schedules/2/retries", "/schedules/3/calendar"} and len(found) == len(answer.json["errors"]), answer
    assert all(text and "body" not in text and "schedules[" not in text for text in found.values()), answer
    assert api.get("/schedules")["items"] == [], "nothing is changed"
