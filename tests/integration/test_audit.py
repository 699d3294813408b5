"""The audit log: what each way of changing something writes, and how it is read."""
import os
import re

from lib.api import Api
from lib.paths import SCHEMA

HOST = os.uname().nodename


def log(jm, *filters):
    return jm.cli("audit", "list", *filters, "--json").json()["items"]


def brief(items):
    return [(a["object"], a["action"], a["object_id"], a["project"], a["reason"]) for a in items]


def submit(jm, *more):
    return jm.cli("job", "submit", "--type", "noop", *more).out.strip()


def test_jobs(jm_sql):
    cli = jm_sql.cli
    job = submit(jm_sql)
    cli("job", "cancel", job, "--reason", "not needed")
    again = cli("job", "retry", job, "--reason", "needed").out.strip()
    assert cli("job", "cancel", job, check=False).code == 1  # it has ended: nothing is done or noted
    assert cli("job", "delete", again, check=False).code == 1
    cli("job", "delete", job)
    items = log(jm_sql)
    assert brief(items) == [("job", "delete", job, "default", None), ("job", "retry", job, "default", "needed"),
                            ("job", "cancel", job, "default", "not needed")]
    assert items[0]["before"]["status"] == "cancelled" and items[0]["after"] is None
    assert items[1]["after"] == {"retried_as": again}
    assert items[2]["after"] == {"fate": "cancelled"}
    assert {(a["address"], a["source"], a["request_id"]) for a in items} == {(HOST, "cli", None)}
    actor = items[0]["actor"]
    assert actor.startswith("cli:")
    assert jm_sql.db.value("SELECT submitted_by FROM jobs WHERE id = %s", again).endswith(actor)


def test_locks_and_calendars(jm_sql):
    cli = jm_sql.cli
    cli("lock", "set", "a b", "--capacity", 2, "--reason", "more")
    cli("lock", "acquire", "a b", "--owner", "me")
    cli("lock", "release", "a b", "--force", "--reason", "stuck")
    assert cli("lock", "release", "a b", "--force", check=False).code == 1
    cli("calendar", "add", "c", "--exclude", "sat-sun")
    assert cli("calendar", "add", "c", "--exclude", "sat", check=False).code == 1
    cli("calendar", "add", "c", "--exclude", "sat", "--replace", "--reason", "sundays too")
    cli("schedule", "add", "s", "--type", "noop", "--cron", "0 3 * * *", "--calendar", "c")
    assert cli("calendar", "delete", "c", check=False).code == 1
    cli("schedule", "delete", "s")
    cli("calendar", "delete", "c")
    cli("calendar", "add", "c", "--exclude", "fri")
    items = log(jm_sql, "--object", "calendar") + log(jm_sql, "--object", "lock")
    assert brief(items) == [
        ("calendar", "create", "default/c", "default", None), ("calendar", "delete", "default/c", "default", None),
        ("calendar", "update", "default/c", "default", "sundays too"),
        ("calendar", "create", "default/c", "default", None),
        ("lock", "force_release", "default/a b", "default", "stuck"), ("lock", "set", "default/a b", "default", "more")]
    assert items[2]["before"]["definition"] == {"exclude": ["sat-sun"]}
    assert items[2]["after"]["definition"] == {"exclude": ["sat"]}
    assert items[4]["before"][0]["owner"] == "me" and items[5]["after"] == {"capacity": 2}


def test_schedules_and_documents_have_their_project_and_origin(jm_sql):
    cli = jm_sql.cli
    cli("project", "add", "p")
    cli("schedule", "add", "s", "--project", "p", "--type", "noop", "--cron", "0 3 * * *")
    cli("schedule", "run", "s", "--project", "p")
    items = log(jm_sql, "--project", "p", "--object", "schedule")
    assert [(a["action"], a["version"], a["address"]) for a in items] == [("run", None, HOST), ("create", 1, HOST)]


def test_filters_and_pages(jm_sql):
    cli = jm_sql.cli
    jobs = [submit(jm_sql) for _ in range(5)]
    for job in jobs:
        cli("job", "cancel", job)
    cli("lock", "set", "l", "--capacity", 1)
    jm_sql.db.execute("UPDATE audit_log SET at = at - interval '1 day' WHERE object_id = %s", jobs[0])
    assert len(log(jm_sql)) == 6
    assert [a["object_id"] for a in log(jm_sql, "--object-id", jobs[1])] == [jobs[1]]
    assert len(log(jm_sql, "--action", "cancel", "--from", "2h")) == 4
    assert len(log(jm_sql, "--to", "2h")) == 1
    assert log(jm_sql, "--source", "api") == [] and log(jm_sql, "--actor", "cli:nobody") == []
    seen, cursor = [], None
    while True:
        page = cli("audit", "list", "--limit", 2, *(["--cursor", cursor] if cursor else []), "--json").json()
        seen += [a["object_id"] for a in page["items"]]
        cli("lock", "set", f"new{len(seen)}", "--capacity", 1)  # rows arrive meanwhile
        cursor = page["next"]
        if not cursor:
            break
    assert seen == ["default/l"] + jobs[::-1]
    bad = cli("audit", "list", "--cursor", "x", check=False)
    assert bad.code == 2 and "no cursor that a page before has given" in bad.err
    assert "cancel" in cli("audit", "list", "--action", "cancel").out


def test_secrets_are_masked(jm_sql):
    cli = jm_sql.cli
    params = '{"password": "hunter2", "nested": [{"api_key": "hunter2"}], "token": "${secret:T}", "max_tokens": 5}'
    cli("schedule", "add", "s", "--type", "noop", "--cron", "0 3 * * *", "--params", params,
        "--callback-url", "https://example.org/cb?token=hunter2&x=1")
    cli("schedule", "update", "s", "--priority", 7)
    assert "hunter2" not in cli("audit", "list", "--json").out
    after = log(jm_sql)[0]["after"]
    assert after["params"] == {"password": "[secret]", "nested": [{"api_key": "[secret]"}], "token": "${secret:T}",
                               "max_tokens": 5}
    assert after["callback_url"] == "https://example.org/cb?token=[secret]&x=1"
    # What versions are rolled back to is whole.
    cli("schedule", "rollback", "s", "--version", 1)
    assert jm_sql.db.value("SELECT params ->> 'password' FROM schedules") == "hunter2"


def test_over_http(jm):
    producer = jm.start_producer()
    admin = Api.of(producer, jm.cli("key", "create", "--name", "admin", "--scope", "admin").out.strip())
    for name in ("one", "two"):
        admin.post("/projects", {"name": name}, X_Request_Id=f"make-{name}")
    one = admin.with_key(jm.cli("key", "create", "--name", "b", "--scope", "admin", "--project", "one").out.strip())
    items = admin.get("/audit?object=project")["items"]
    assert [(a["object_id"], a["request_id"], a["actor"]) for a in items] == [
        ("two", "make-two", "key:admin"), ("one", "make-one", "key:admin")]
    assert admin.get("/audit?request_id=make-one")["items"] == items[1:]
    assert {a["project"] for a in one.get("/audit")["items"]} == {"one"}
    assert one.call("GET", "/api/v1/audit?project=two").status == 404
    first = admin.get("/audit?limit=1")
    assert admin.get(f"/audit?limit=100&cursor={first['next']}")["items"] == admin.get("/audit")["items"][1:]
    for query in ("cursor=x", "from=yesterday", "limit=0", "limit=1001", "objekt=job"):
        assert admin.call("GET", "/api/v1/audit?" + query).status == 400, query


def test_no_query_changes_rows_of_the_log():
    for path in (SCHEMA / "queries").glob("*.sql"):
        assert not re.search(r"(UPDATE|DELETE\s+FROM)\s+audit_log", path.read_text()), path
