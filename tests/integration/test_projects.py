"""Projects: jobmill project, and /api/v1/projects."""
import json

import pytest

from lib.api import Api


def names(result):
    return [p["name"] for p in result.json()["items"]]


def test_add_list_show_update(jm_sql):
    cli = jm_sql.cli
    assert cli("project", "add", "one", "--description", "first", "--min-interval-s", 3600).out == "one\n"
    cli("project", "add", "two")
    assert names(cli("project", "list", "--json")) == ["two", "one", "default"]
    first = cli("project", "list", "--limit", 2, "--json").json()
    rest = cli("project", "list", "--limit", 2, "--cursor", first["next"], "--json").json()
    assert [p["name"] for p in rest["items"]] == ["default"] and rest["next"] is None
    one = cli("project", "show", "one", "--json").json()
    assert (one["description"], one["min_interval_s"], one["schedules"]) == ("first", 3600, 0)
    cli("project", "update", "one", "--min-interval-s", 60, "--reason", "faster")
    one = cli("project", "show", "one", "--json").json()
    assert (one["description"], one["min_interval_s"]) == ("first", 60)
    cli("project", "update", "one", "--description", "")
    assert cli("project", "show", "one", "--json").json()["description"] is None
    log = cli("audit", "list", "--object", "project", "--project", "one", "--json").json()["items"]
    assert [(a["action"], a["reason"]) for a in log] == [("update", None), ("update", "faster"), ("create", None)]
    assert (log[1]["before"]["min_interval_s"], log[1]["after"]["min_interval_s"]) == (3600, 60)


@pytest.mark.parametrize("arguments, code, says", [
    (["add", "One"], 2, "NAME: [a-z0-9]"),
    (["add", "default"], 1, "there is a project default already"),
    (["add", "x", "--min-interval-s", "0"], 2, "min-interval-s"),
    (["update", "none", "--description", "x"], 3, "there is no project none"),
    (["update", "default"], 2, "give --description or --min-interval-s"),
    (["show", "none"], 3, "there is no project none"),
    (["delete", "none", "--yes"], 3, "there is no project none"),
    (["delete", "default", "--yes"], 1, "project default stays"),
    (["delete", "x"], 2, "say --yes"),
])
def test_refusals(jm_sql, arguments, code, says):
    refused = jm_sql.cli("project", *arguments, check=False)
    assert refused.code == code and says in refused.err, refused
    assert jm_sql.db.value("SELECT count(*) FROM projects") == 1
    assert jm_sql.db.value("SELECT count(*) FROM audit_log") == 0


def test_dry_runs_change_nothing(jm_sql):
    cli, db = jm_sql.cli, jm_sql.db
    cli("project", "add", "x", "--dry-run")
    assert db.value("SELECT count(*) FROM projects") == 1
    cli("project", "add", "x")
    cli("project", "update", "x", "--description", "y", "--dry-run")
    told = cli("project", "delete", "x", "--dry-run", "--json").json()
    assert (told["name"], told["schedules"]) == ("x", 0)
    assert db.query("SELECT name, description FROM projects WHERE name = 'x'") == [("x", None)]
    assert db.value("SELECT count(*) FROM audit_log") == 1


def fill(jm):
    """A project with one of everything, and a job that has ended."""
    cli = jm.cli
    cli("project", "add", "p")
    cli("calendar", "add", "c", "--project", "p", "--exclude", "sat-sun")
    for name in ("a", "b"):
        cli("schedule", "add", name, "--project", "p", "--type", "noop", "--cron", "0 3 * * *", "--calendar", "c")
    cli("lock", "set", "l", "--project", "p", "--capacity", 3)
    cli("key", "create", "--name", "k", "--scope", "read", "--project", "p")
    job = cli("job", "submit", "--type", "noop", "--project", "p").out.strip()
    return job


def test_delete_takes_its_schedules_and_keeps_its_jobs(jm_sql):
    cli, db = jm_sql.cli, jm_sql.db
    job = fill(jm_sql)
    refused = cli("project", "delete", "p", "--yes", check=False)
    assert refused.code == 1 and "project p has 1 job that has not ended" in refused.err
    assert db.value("SELECT count(*) FROM schedules") == 2
    cli("job", "cancel", job)
    schedules = {str(r[0]) for r in db.query("SELECT id FROM schedules")}
    gone = cli("project", "delete", "p", "--yes", "--reason", "over", "--json").json()
    assert (gone["schedules"], gone["calendars"], gone["keys"]) == (2, 1, 1)
    for table in ("schedules", "calendars", "locks", "api_keys"):
        assert db.value(f"SELECT count(*) FROM {table}") == 0, table
    assert db.value("SELECT status FROM jobs WHERE id = %s", job) == "cancelled"
    assert {str(r[0]) for r in db.query("SELECT id FROM schedules_deleted")} == schedules
    log = cli("audit", "list", "--project", "p", "--action", "delete", "--json").json()["items"]
    assert {(a["object"], a["reason"]) for a in log} == {("project", "over"), ("schedule", "over")}
    assert {a["object_id"] for a in log if a["object"] == "schedule"} == schedules
    assert all(a["before"]["name"] in "ab" and "last_run_at" not in a["before"] for a in log
               if a["object"] == "schedule")
    late = cli("job", "submit", "--type", "noop", "--project", "p", check=False)
    assert late.code != 0 and "project" in late.err


# HTTP

@pytest.fixture
def api(jm):
    key = jm.cli("key", "create", "--name", "admin", "--scope", "admin").out.strip()
    return Api.of(jm.start_producer(), key)


def test_over_http(jm, api):
    made = api.call("POST", "/api/v1/projects", {"name": "one", "min_interval_s": 60}, X_Reason="new")
    assert made.status == 201 and made.headers["Location"] == "/api/v1/projects/one"
    assert api.get("/projects/one")["min_interval_s"] == 60
    assert api.patch("/projects/one", {"description": "d"})["min_interval_s"] == 60
    assert api.put("/projects/one", {"min_interval_s": 5})["description"] == "d"
    assert api.patch("/projects/one", {"description": None})["description"] is None
    assert api.post("/projects?dry_run=1", {"name": "two"}, expect=200)["name"] == "two"
    api.get("/projects/two", expect=404)
    page = api.get("/projects?limit=1")
    assert [p["name"] for p in page["items"]] == ["one"]
    rest = api.call("GET", "/api/v1/projects?limit=5&cursor=" + page["next"].replace(" ", "%20").replace("+", "%2B"))
    assert [p["name"] for p in rest.json["items"]] == ["default"]
    assert api.call("DELETE", "/api/v1/projects/one?dry_run=1").json["name"] == "one"
    api.delete("/projects/one")
    api.delete("/projects/one", expect=404)
    assert api.call("DELETE", "/api/v1/projects/default").status == 409
    log = jm.db.query("SELECT action, actor, address, reason FROM audit_log WHERE object = 'project' ORDER BY id")
    assert log[0] == ("create", "key:admin", "127.0.0.1", "new")
    assert [r[0] for r in log] == ["create", "update", "update", "update", "delete"]


@pytest.mark.parametrize("body, pointer", [
    ({"name": 1}, "/name"), ({}, "/name"), ({"name": "A"}, "/name"), ({"name": "a\0b"}, None),
    ({"name": "a", "min_interval_s": 0}, "/min_interval_s"),
    ({"name": "a", "min_interval_s": "1"}, "/min_interval_s"),
    ({"name": "a", "min_interval_s": 2 ** 40}, "/min_interval_s"),
    ({"name": "a", "description": 5}, "/description"),
    ({"name": "a", "descripton": "x"}, "/descripton"),
])
def test_bad_bodies(jm, api, body, pointer):
    answer = api.call("POST", "/api/v1/projects", body)
    assert answer.status == 400, answer
    if pointer:
        assert answer.json["errors"][0]["pointer"] == pointer
    assert jm.db.value("SELECT count(*) FROM projects") == 1


def test_a_bound_key_sees_one(jm, api):
    for name in ("one", "two"):
        api.post("/projects", {"name": name})
    one = api.with_key(jm.cli("key", "create", "--name", "b", "--scope", "admin", "--project", "one").out.strip())
    assert [p["name"] for p in one.get("/projects")["items"]] == ["one"]
    one.get("/projects/one")
    hidden, none = one.get("/projects/two", expect=404), one.get("/projects/none", expect=404)
    assert json.dumps(hidden).replace("two", "none") == json.dumps(none)
    for method, path in (("POST", "/projects"), ("PATCH", "/projects/one"), ("DELETE", "/projects/one")):
        answer = one.call(method, "/api/v1" + path, {"name": "x"} if method == "POST" else {})
        assert (answer.status, answer.json["code"]) == (403, "forbidden")
    for method in ("PATCH", "DELETE"):
        assert one.call(method, "/api/v1/projects/two", {}).status == 404
