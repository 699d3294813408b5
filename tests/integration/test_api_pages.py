"""All lists of the API: pages by cursor that neither skip nor repeat while rows arrive, Link, and what they have in all."""
from urllib.parse import quote

import pytest

from lib import openapi
from lib.api import Api

ID = "overlay(overlay(uuid7_floor(now() - make_interval(secs => 1000 - n))::text PLACING '7' FROM 15) PLACING '8' FROM 20)::uuid"
JOBS = f"""INSERT INTO jobs (id, type, project, queue, status, outcome, attempt, schedule_id, metadata)
           SELECT {ID}, 't', 'default', 'default', CASE WHEN n % 2 = 0 THEN 'failed' ELSE 'completed' END,
               CASE WHEN n % 2 = 0 THEN 'failed' END, 1, (SELECT id FROM schedules LIMIT 1), '{{"team": "a"}}'
           FROM generate_series($1::int, $2::int) n"""
AUDIT = f"""INSERT INTO audit_log (id, object, object_id, project, version, action, actor, source, after)
            SELECT {ID}, $3, $4, 'default', n, 'update', 'me', 'cli', '{{"body": 1}}' FROM generate_series($1::int, $2::int) n"""
# A name, where the list is, and what makes rows from one number to another; of many columns little matters here.
LISTS = {
    "jobs": ("/jobs", JOBS, ()),
    "failed jobs": ("/jobs?status=failed", JOBS.replace("n % 2 = 0", "n > 0"), ()),
    "jobs of a type": ("/jobs?type=t", JOBS, ()),
    "jobs of a project": ("/jobs?project=default", JOBS, ()),
    "jobs with metadata": ("/jobs?metadata.team=a", JOBS, ()),
    "search": ("/jobs/search?created_from=2020-01-01T00:00:00Z", JOBS, ()),
    "history": ("/schedules/{schedule}/history", JOBS, ()),
    "schedules": ("/schedules", f"""
        INSERT INTO schedules (id, project, name, type, kind, interval_seconds, anchor_at)
        SELECT {ID}, 'default', 's' || n, 't', 'interval', 3600, now() FROM generate_series($1::int, $2::int) n""", ()),
    "ticks": ("/schedules/{schedule}/ticks", """
        INSERT INTO schedule_ticks (schedule_id, due_at, kind, outcome)
        SELECT (SELECT id FROM schedules LIMIT 1), date_trunc('hour', now()) + make_interval(mins => n), 'calendar', 'missed'
        FROM generate_series($1::int, $2::int) n""", ()),
    "versions": ("/schedules/{schedule}/versions", AUDIT.replace("$4", "(SELECT id::text FROM schedules LIMIT 1)"), ("schedule",)),
    "audit": ("/audit?action=update", AUDIT, ("x", "y")),
    "steps": ("/jobs/{job}/steps", """
        INSERT INTO job_steps (job_id, attempt, seq, name, status) SELECT (SELECT id FROM jobs LIMIT 1), n / 4, n % 4, 's' || n, 'success'
        FROM generate_series($1::int, $2::int) n""", ()),
    "attempts": ("/jobs/{job}/attempts", """
        INSERT INTO job_attempts (job_id, attempt, outcome) SELECT (SELECT id FROM jobs LIMIT 1), n, 'failed'
        FROM generate_series($1::int, $2::int) n""", ()),
    "documents": ("/documents", """
        INSERT INTO documents (project, name, version, body) SELECT 'default', 'd' || to_char(n, 'FM0000'), 1, '{}'
        FROM generate_series($1::int, $2::int) n""", ()),
    "document versions": ("/documents/some/versions", AUDIT, ("document", "default/some")),
    "projects": ("/projects", """
        INSERT INTO projects (name, created_at) SELECT 'p' || n, now() + make_interval(secs => n)
        FROM generate_series($1::int, $2::int) n""", ()),
    "keys": ("/keys", f"""
        INSERT INTO api_keys (id, name, prefix, hash, scope, created_by)
        SELECT {ID}, 'k' || n, 'aaaaaa' || translate(n::text, '0123456789', 'abcdefghij'), sha256(n::text::bytea), 'read', 'me'
        FROM generate_series($1::int, $2::int) n""", ()),
    "dead letters": ("/dead-letters", f"""
        INSERT INTO dead_letters (id, topic, partition, record_offset, reason, detail)
        SELECT {ID}, 'jobs.default', 0, n, 'invalid', 'd' FROM generate_series($1::int, $2::int) n""", ()),
    "calendars": ("/calendars", """
        INSERT INTO calendars (project, name, definition) SELECT 'default', 'c' || to_char(n, 'FM0000'), '{}'
        FROM generate_series($1::int, $2::int) n""", ()),
    "locks": ("/locks", """
        INSERT INTO locks (project, name, slot, capacity, owner, token, expires_at)
        SELECT 'default', 'order:t/' || n / 3, n % 3, 3, 'me', 1, now() + interval '1 hour'
        FROM generate_series($1::int, $2::int) n""", ()),
    "types": ("/types", """
        INSERT INTO job_types (name, definition_hash, max_attempts) SELECT 't' || n || h, h, 1
        FROM generate_series($1::int, $2::int) n, (VALUES ('a')) v (h)""", ()),
    "workers": ("/workers", f"""
        INSERT INTO workers (id, kind, host, pid, version, concurrency, lease_s, state, started_at, heartbeat_at, expires_at)
        SELECT {ID}, CASE WHEN n % 2 = 0 THEN 'producer' ELSE 'worker' END, 'h', n, '1', 1, 30, 'running',
            now() + make_interval(secs => n / 2), now(), now() + interval '1 hour'
        FROM generate_series($1::int, $2::int) n""", ()),
}
# Without pages: what is computed as far as it is asked for, and what belongs to one job.
OTHERS = {"/jobs/recent", "/jobs/{id}/logs", "/calendars/{name}/days",
          "/schedules/{id}/preview"}


@pytest.fixture
def api(jm):
    return Api.of(jm.start_producer("--no-scheduler", **{"http.auth": "off"}))


def make(jm, sql, first, last, more):
    for i, value in enumerate((first, last, *more), 1):
        sql = sql.replace(f"${i}", f"'{value}'" if isinstance(value, str) else str(value))
    jm.db.execute(sql)


def of(jm, path, schedule):
    """The path with what it is about, which is made where it is a job."""
    return path.format(schedule=schedule, job=jm.db.value("SELECT submit('t')") if "{job}" in path else None)


def at(path, **more):
    return path + ("&" if "?" in path else "?") + "&".join(f"{k}={quote(str(v))}" for k, v in more.items())


def rows(page):
    return [str(sorted((k, str(v)) for k, v in item.items()
                       if k in ("id", "name", "slot", "due_at", "version", "project", "job_id", "attempt", "seq"))) for item in page["items"]]


def test_every_list_has_pages_or_is_known_to_have_none():
    document = openapi.document()
    lists = set()
    for method, path, operation in document.operations():
        content = document.resolve(operation["responses"].get("200", {})).get("content", {}).get("application/json", {})
        if method == "get" and "next" in document.resolve(content.get("schema", {})).get("properties", {}):
            lists.add(path)
            names = {p["name"] for p in document.parameters(path, method)}
            assert path in OTHERS or names >= {"limit", "offset", "cursor", "total"}, path
    assert OTHERS <= lists | {"/schedules/{id}/preview"}
    assert len(lists - OTHERS) == 18, sorted(lists - OTHERS)


@pytest.mark.parametrize("name", LISTS)
def test_pages(jm, api, name):
    path, sql, more = LISTS[name]
    schedule = jm.cli("schedule", "add", "one", "--type", "t", "--every", "1h").out.strip()
    path = of(jm, path, schedule)
    make(jm, sql, 10, 21, more)
    whole = api.get(at(path, limit=1000, total=1))
    everything = rows(whole)
    assert whole["next"] is None and whole["total"] == len(everything) >= 12
    assert len(set(everything)) == len(everything)
    assert "total" not in api.get(at(path, limit=1))

    first = api.call("GET", "/api/v1" + at(path, limit=5, total=1))
    assert first.json["total"] == len(everything) and rows(first.json) == everything[:5]
    assert first.headers["Link"].endswith('>; rel="next"')
    make(jm, sql, 22, 24, more)  # what comes meanwhile
    found, following = rows(first.json), first.headers["Link"].split(">")[0].removeprefix("</api/v1")
    while following:
        page = api.call("GET", "/api/v1" + following)
        assert page.json["total"] == len(everything) + 3, "not of the page, but of all"
        found += rows(page.json)
        link = page.headers["Link"]
        assert bool(link) == bool(page.json["next"])
        following = link and link.split(">")[0].removeprefix("</api/v1")
    assert len(set(found)) == len(found), "a row twice"
    assert [row for row in found if row in everything] == everything, "a row left out"
    assert rows(api.get(at(path, limit=3, offset=2)))[0] != rows(api.get(at(path, limit=3)))[0]


def test_a_job_has_the_first_thousand_of_its_steps(jm, api):
    path = of(jm, "/jobs/{job}", None)
    make(jm, LISTS["steps"][1], 0, 1001, ())
    make(jm, LISTS["attempts"][1], 1, 3, ())
    shown = api.get(path + "?include=steps,attempts")
    assert (len(shown["steps"]), len(shown["attempts"]), shown["attempts_next"]) == (1000, 3, None)
    rest = api.get(f"{path}/steps?cursor={shown['steps_next']}")
    assert [s["name"] for s in rest["items"]] == ["s1000", "s1001"] and rest["next"] is None
    by_hand = jm.cli("job", "show", path.split("/")[2], "--json").json()
    assert (by_hand["steps"], by_hand["steps_next"]) == (shown["steps"], shown["steps_next"])
    assert f"--cursor {shown['steps_next']}" in jm.cli("job", "show", path.split("/")[2]).err


def test_a_project_that_there_is_not_is_an_empty_list_and_no_hint(jm):
    """One rule for all lists that take a project: to who sees all it has nothing, to others it is as their neighbours'."""
    root = Api.of(jm.start_producer("--no-scheduler"), jm.cli("key", "create", "--name", "root", "--scope", "admin").out.strip())
    for project in ("mine", "theirs"):
        root.post("/projects", {"name": project})
        root.post("/schedules", {"name": "s", "project": project, "type": "t", "interval_seconds": 3600})
        root.post("/jobs", {"type": "t", "project": project})
    bound = root.with_key(root.post("/keys", {"name": "k", "scope": "admin", "project": "mine"})["key"])
    document, asked = openapi.document(), set()
    for method, path, operation in document.operations():
        content = document.resolve(operation["responses"].get("200", {})).get("content", {}).get("application/json", {})
        if (method != "get" or "{" in path or "project" not in {p["name"] for p in document.parameters(path, method)}
                or "next" not in document.resolve(content.get("schema", {})).get("properties", {})):
            continue
        asked.add(path)
        assert root.get(f"{path}?project=nope")["items"] == [], path
        hidden, absent = (bound.call("GET", f"/api/v1{path}?project={p}") for p in ("theirs", "nothere"))
        assert hidden.status == absent.status == 404, path
        assert hidden.json["detail"].replace("theirs", "nothere") == absent.json["detail"], path
    assert asked >= {"/jobs", "/jobs/search", "/jobs/recent", "/schedules", "/documents", "/calendars", "/locks", "/keys", "/audit"}
    assert bound.call("GET", "/api/v1/jobs?schedule=nope").status == 404


@pytest.mark.parametrize("name", LISTS)
def test_mistakes(jm, api, name):
    schedule = jm.cli("schedule", "add", "one", "--type", "t", "--every", "1h").out.strip()
    path, sql, more = LISTS[name]
    path = of(jm, path, schedule)
    make(jm, sql, 30, 30, more)
    for wrong, parameter in (({"limit": 1001}, "limit"), ({"limit": 0}, "limit"), ({"total": "x"}, "total"),
                             ({"totals": 1}, "totals"), ({"cursor": "x/y", "offset": 1}, "offset")):
        answer = api.call("GET", "/api/v1" + at(path, **wrong))
        assert answer.status == 400 and answer.json["errors"][0]["parameter"] == parameter, answer
    if name != "types":  # whose cursor is a name
        answer = api.call("GET", "/api/v1" + at(path, cursor="no/cur/sor/x/y"))
        assert answer.status == 400 and answer.json["errors"][0]["parameter"] == "cursor", answer


def test_a_total_stops_at_10000(jm, api):
    make(jm, JOBS, 1, 10001, ())
    for path in ("/jobs", "/jobs?type=t", "/jobs?metadata.team=a"):
        assert api.get(at(path, limit=1, total=1))["total"] == 10000
    assert api.get(at("/jobs?status=failed", limit=1, total=1))["total"] == 5000


def test_what_has_no_slot_is_paged_too(jm, api):
    """Limits that nobody holds, between locks that are held."""
    make(jm, LISTS["locks"][1], 0, 5, ())
    for name in ("a/b", "order", "z"):
        api.put(f"/locks/{quote(name, safe='')}", {"capacity": 2})
    found, cursor = [], None
    for _ in range(9):
        page = api.get(at("/locks", limit=1, **({"cursor": cursor} if cursor else {})))
        found += [(lock["name"], lock["slot"]) for lock in page["items"]]
        cursor = page["next"]
    assert cursor is None and len(set(found)) == 9
    assert found == [(lock["name"], lock["slot"]) for lock in api.get("/locks")["items"]]


@pytest.mark.parametrize("command", ["worker list", "type list", "lock list", "calendar list", "schedule list",
                                     "schedule history one", "schedule ticks one", "schedule versions one",
                                     "document history some", "dead list", "job steps {job}"])
def test_the_command_line_has_the_same_pages(jm_sql, command):
    name = {"worker list": "workers", "type list": "types", "lock list": "locks", "calendar list": "calendars",
            "schedule list": "schedules", "schedule history one": "history", "schedule ticks one": "ticks",
            "schedule versions one": "versions", "document history some": "document versions", "dead list": "dead letters",
            "job steps {job}": "steps"}[command]
    command = of(jm_sql, command, jm_sql.cli("schedule", "add", "one", "--type", "t", "--every", "1h").out.strip())
    make(jm_sql, LISTS[name][1], 10, 16, LISTS[name][2])
    whole = jm_sql.cli(*command.split(), "--json").json()
    first = jm_sql.cli(*command.split(), "--limit", 5, "--json").json()
    rest = jm_sql.cli(*command.split(), "--cursor", first["next"], "--json").json()
    assert whole["next"] is None and rest["next"] is None and len(first["items"]) == 5
    assert first["items"] + rest["items"] == whole["items"]
    assert f"more with --cursor {first['next']}" in jm_sql.cli(*command.split(), "--limit", 5).err
