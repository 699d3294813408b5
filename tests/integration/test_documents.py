"""Documents: every version kept, none lost to somebody else's change, handed to the jobs whose type names them."""
import concurrent.futures
import json
import sys

import pytest

from lib.api import Api
from lib.wait import wait_until

PYTHON = sys.executable
ECHO = """import json, sys
line = json.loads(sys.stdin.readline())
print(json.dumps({"documents": line["documents"]}))
"""


def put(jm, name, body, *args, **more):
    return jm.cli("document", "set", name, body if isinstance(body, str) else json.dumps(body), *args, **more)


def get(jm, name, *args):
    return jm.cli("document", "get", name, "--json", *args).json()


def apply_patch(value, changes):
    """RFC 6902, of what the diff makes use of."""
    value = json.loads(json.dumps(value))
    for change in changes:
        keys = [k.replace("~1", "/").replace("~0", "~") for k in change["path"].split("/")[1:]]
        if not keys:
            value = change["value"]
            continue
        at = value
        for key in keys[:-1]:
            at = at[int(key)] if isinstance(at, list) else at[key]
        last = int(keys[-1]) if isinstance(at, list) else keys[-1]
        if change["op"] == "remove":
            assert at[last] == change["was"]
            del at[last]
        elif isinstance(at, list) and change["op"] == "add":
            assert last == len(at)
            at.insert(last, change["value"])
        else:
            assert (change["op"] == "add") == (last not in at if isinstance(at, dict) else False)
            at[last] = change["value"]
    return value


# Versions

def test_versions_are_kept(jm_sql):
    assert put(jm_sql, "limits", {"rows": 1}, "--description", "how many", "--reason", "first").out == "1\n"
    assert put(jm_sql, "limits", {"rows": 2}).out == "2\n"
    assert put(jm_sql, "limits", '{ "rows" : 2.0 }').out == "2\n", "the same makes no version"
    document = get(jm_sql, "limits")
    assert {k: document[k] for k in ("project", "name", "version", "body", "description")} == {
        "project": "default", "name": "limits", "version": 2, "body": {"rows": 2}, "description": "how many"}
    assert json.loads(jm_sql.cli("document", "get", "limits").out) == {"rows": 2}
    assert get(jm_sql, "limits", "--version", 1)["body"] == {"rows": 1}
    missing = jm_sql.cli("document", "get", "limits", "--version", 3, check=False)
    assert missing.code == 3 and "no version 3" in missing.err
    items = jm_sql.cli("document", "history", "limits", "--json").json()["items"]
    assert [(v["version"], v["action"], v["reason"]) for v in items] == [
        (2, "update", None), (1, "create", "first")]
    assert all(v["actor"].startswith("cli:") and v["source"] == "cli" for v in items)
    listed = jm_sql.cli("document", "list", "--json").json()["items"]
    assert [(d["name"], d["version"], d["bytes"]) for d in listed] == [("limits", 2, len('{"rows": 2}'))]
    assert jm_sql.cli("document", "list", "--prefix", "x", "--json").json()["items"] == []


def test_digits_and_order_of_change_are_kept(jm_sql):
    body = '{"big":123456789012345678901234567890,"small":0.1000000000000000055511151231257827,"é":"\\u2028ü"}'
    put(jm_sql, "numbers", body)
    out = jm_sql.cli("document", "get", "numbers").out
    assert "123456789012345678901234567890" in out and "0.1000000000000000055511151231257827" in out
    assert json.loads(out) == json.loads(body)
    put(jm_sql, "numbers", "[1]")
    put(jm_sql, "numbers", body, "--if-version", 2)
    jm_sql.cli("document", "rollback", "numbers", "--version", 1)  # as it is: makes none
    assert get(jm_sql, "numbers")["version"] == 3
    assert "123456789012345678901234567890" in jm_sql.cli("document", "get", "numbers", "--version", 1).out


@pytest.mark.parametrize("body", ["null", "7", '"text"', "[]", "[[],{}]", "true", '{"a":{"b":[1,{"c":null}]}}'])
def test_any_value_is_a_document(jm_sql, body):
    put(jm_sql, "any", body)
    assert json.loads(jm_sql.cli("document", "get", "any").out) == json.loads(body)
    assert get(jm_sql, "any", "--version", 1)["body"] == json.loads(body)


@pytest.mark.parametrize("body, why", [
    ("{", "body"), ("", "body"), ('{"a":1,"a":2}', "twice"), ('"\\u0000"', "body"), ("1e400000", "exponent"),
    ("[" * 40 + "]" * 40, "deep"), ("[1,]", "body"), ("{} x", "body")])
def test_what_is_refused(jm_sql, body, why):
    refused = put(jm_sql, "bad", body, check=False)
    assert refused.code == 2 and why in refused.err, refused
    assert not jm_sql.db.query("SELECT FROM documents") and not jm_sql.db.query("SELECT FROM audit_log")


@pytest.mark.parametrize("name", ["", "-x", ".x", "a/b", "a b", "x" * 101, "ü", "a'b"])
def test_names_that_are_refused(jm_sql, name):
    refused = jm_sql.cli("document", "set", "--", name, "{}", check=False)
    assert refused.code == 2 and "a name is" in refused.err, refused


def test_body_from_a_file_and_from_standard_input(jm_sql, tmp_path):
    path = tmp_path / "b.json"
    path.write_text('{"from": "file"}\n')
    jm_sql.cli("document", "set", "d", f"@{path}")
    assert get(jm_sql, "d")["body"] == {"from": "file"}
    jm_sql.cli("document", "set", "d", "-", stdin='{"from": "stdin"}')
    assert get(jm_sql, "d")["body"] == {"from": "stdin"}
    path.write_text(json.dumps("x" * (1 << 20)))
    assert jm_sql.cli("document", "set", "d", f"@{path}", check=False).code == 2
    assert "nofile" in jm_sql.cli("document", "set", "d", "@/nofile", check=False).err


def test_nobodys_change_is_lost(jm_sql):
    """Writers that each add one, by the version they have read: as many as succeeded are there."""
    put(jm_sql, "counter", "0", "--if-version", 0)
    refused = put(jm_sql, "counter", "5", "--if-version", 0, check=False)
    assert refused.code == 1 and "already" in refused.err

    def add():
        done = 0
        for _ in range(4):
            now = get(jm_sql, "counter")
            made = put(jm_sql, "counter", str(now["body"] + 1), "--if-version", now["version"], check=False)
            assert made.code == 0 or (made.code == 1 and "is at version" in made.err), made
            done += made.code == 0
        return done
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        done = sum(f.result() for f in [pool.submit(add) for _ in range(4)])
    now = get(jm_sql, "counter")
    assert now["body"] == done and now["version"] == done + 1
    assert len(jm_sql.cli("document", "history", "counter", "--json").json()["items"]) == done + 1


def test_made_by_many_at_once_there_is_one(jm_sql):
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda i: put(jm_sql, "one", str(i)).out, range(6)))
    assert sorted(made) == [f"{i}\n" for i in range(1, 7)]
    assert jm_sql.db.query("SELECT version, action FROM audit_log ORDER BY version") == [
        (1, "create"), *((i, "update") for i in range(2, 7))]


def test_rollback_and_delete(jm_sql):
    put(jm_sql, "d", {"v": 1}, "--description", "one")
    put(jm_sql, "d", {"v": 2}, "--description", "two")
    assert jm_sql.cli("document", "rollback", "d", "--version", 1).out == "3\n"
    now = get(jm_sql, "d")
    assert (now["body"], now["description"], now["version"]) == ({"v": 1}, "one", 3)
    assert jm_sql.cli("document", "delete", "d", "--if-version", 2, check=False).code == 1
    jm_sql.cli("document", "delete", "d", "--if-version", 3, "--reason", "done with")
    assert jm_sql.cli("document", "get", "d", check=False).code == 3
    assert jm_sql.cli("document", "delete", "d", check=False).code == 3
    items = jm_sql.cli("document", "history", "d", "--json").json()["items"]
    assert [(v["version"], v["action"]) for v in items] == [
        (4, "delete"), (3, "rollback"), (2, "update"), (1, "create")]
    refused = jm_sql.cli("document", "rollback", "d", "--version", 4, check=False)
    assert refused.code == 2 and "deleted" in refused.err
    assert jm_sql.cli("document", "rollback", "d", "--version", 2).out == "5\n"
    assert get(jm_sql, "d")["body"] == {"v": 2}
    jm_sql.cli("document", "delete", "d")
    assert put(jm_sql, "d", {"v": 9}).out == "7\n", "versions go on: none is given twice"


def test_dry_runs_leave_nothing(jm_sql):
    assert "would be made" in put(jm_sql, "d", "1", "--dry-run").err
    assert not jm_sql.db.query("SELECT FROM documents")
    put(jm_sql, "d", "1")
    put(jm_sql, "d", "2", "--dry-run")
    jm_sql.cli("document", "delete", "d", "--dry-run")
    assert get(jm_sql, "d")["body"] == 1
    assert jm_sql.db.value("SELECT count(*) FROM audit_log") == 1


@pytest.mark.parametrize("was, now", [
    ({"a": 1, "b": [1, 2, 3], "c": {"d": None}}, {"a": 2, "b": [1, 5], "c": {"e": []}}),
    ([1, 2], [1, 2, {"x": 1}, 4]), ({}, []), ({"a/b": 1, "m~n": 2}, {"a/b": 2}), ([[1], [2], [3]], [[1, 2]]), (1, 2)])
def test_diff_is_a_patch(jm_sql, was, now):
    put(jm_sql, "d", was)
    put(jm_sql, "d", now)
    diff = jm_sql.cli("document", "diff", "d", "--json").json()
    assert (diff["from"], diff["to"]) == (1, 2)
    assert apply_patch(was, diff["changes"]) == now
    back = jm_sql.cli("document", "diff", "d", "--from", 2, "--to", 1, "--json").json()
    assert apply_patch(now, back["changes"]) == was


def test_diff_for_people(jm_sql):
    put(jm_sql, "d", {"a": 1, "gone": True})
    put(jm_sql, "d", {"a": 2, "new": "x"})
    assert jm_sql.cli("document", "diff", "d").out.splitlines() == [
        "~ /a 1 -> 2", "- /gone true", '+ /new "x"']
    assert jm_sql.cli("document", "diff", "d", "--from", 2, "--to", 2).err == "no difference\n"
    assert jm_sql.cli("document", "diff", "d", "--from", 1, "--to", 7, check=False).code == 3


def test_projects_are_apart(jm_sql):
    jm_sql.db.execute("INSERT INTO projects (name) VALUES ('other')")
    put(jm_sql, "d", "1")
    put(jm_sql, "d", "2", "--project", "other")
    assert get(jm_sql, "d")["body"] == 1 and get(jm_sql, "d", "--project", "other")["body"] == 2
    assert [d["project"] for d in jm_sql.cli("document", "list", "--json").json()["items"]] == ["default", "other"]
    refused = put(jm_sql, "d", "1", "--project", "none", check=False)
    assert refused.code == 3 and 'no project "none"' in refused.err


# Handed to jobs

def echo_type(jm, name, documents, **more):
    script = jm.script(f"{name}.py", ECHO)
    jm.job_type(name, {"name": "run", "exec": {"argv": [PYTHON, script]}}, documents=documents, **more)


def test_jobs_get_the_newest_version_of_their_project(jm):
    jm.topic()
    jm.db.execute("INSERT INTO projects (name) VALUES ('other')")
    exact = "12345678901234567890"
    put(jm, "limits", f'{{"rows":{exact}}}')
    put(jm, "words", ["a"])
    put(jm, "limits", {"rows": 7}, "--project", "other")
    put(jm, "words", ["b"], "--project", "other")
    echo_type(jm, "both", ["limits", "words"])
    echo_type(jm, "one", ["words"])
    echo_type(jm, "none", [])
    jm.start_worker()
    jm.send({"type": "both"}, {"type": "both", "project": "other"}, {"type": "one", "project": "other"},
            {"type": "none"}, {"type": "one"})
    jm.wait_ended(5)
    assert jm.db.statuses() == {"completed": 5}
    got = {(t, p): json.loads(r)["documents"] for t, p, r in
           jm.db.query("SELECT type, project, result::text FROM jobs")}
    assert got == {("both", "default"): {"limits": {"rows": int(exact)}, "words": ["a"]},
                   ("both", "other"): {"limits": {"rows": 7}, "words": ["b"]},
                   ("one", "default"): {"words": ["a"]}, ("one", "other"): {"words": ["b"]},
                   ("none", "default"): {}}
    put(jm, "words", ["c"])
    jm.start_producer()
    later = jm.cli("job", "submit", "--type", "one", "--run-at", "2020-01-01T00:00:00Z").out.strip()
    assert jm.wait_status(later, "completed")["result"] == {"documents": {"words": ["c"]}}


def test_a_document_that_is_missing_fails_the_job_for_good(jm):
    jm.topic()
    put(jm, "here", "1")
    echo_type(jm, "t", ["here", "nowhere"], max_attempts=5)
    jm.start_worker()
    jm.start_producer()
    job = jm.cli("job", "submit", "--type", "t").out.strip()
    row = jm.wait_status(job, "failed")
    assert row["attempt"] == 1, "trying again is pointless"
    assert 'project default has no document "nowhere"' in row["error"]
    assert "jobmill document set nowhere --project default" in row["error"]
    put(jm, "nowhere", "2")
    again = jm.cli("job", "retry", job).out.strip()
    assert jm.wait_status(again, "completed")["result"] == {"documents": {"here": 1, "nowhere": 2}}


def test_one_query_a_batch(jm):
    """300 jobs that come at once are not 300 questions."""
    jm.topic()
    put(jm, "d", {"x": 1})
    jm.job_type("t", {"name": "run", "noop": {}}, documents=["d"])
    jm.send(*[{"type": "t"} for _ in range(300)])
    jm.start_worker(concurrency_async=1000)
    jm.wait_ended(300)
    assert jm.db.statuses() == {"completed": 300}
    scans = wait_until(lambda: jm.db.value(
        "SELECT idx_scan + seq_scan FROM pg_stat_user_tables WHERE relname = 'documents'"), 20,
        what="statistics of the table are told")
    assert 0 < scans < 60


def test_types_that_name_none_ask_for_none(jm):
    jm.topic()
    jm.job_type("t", {"name": "run", "noop": {}})
    jm.start_worker()
    jm.send({"type": "t"})
    jm.wait_ended(1)
    assert jm.db.value("SELECT coalesce(sum(idx_scan + seq_scan), 0) FROM pg_stat_user_tables "
                       "WHERE relname = 'documents'") == 0


# Without a worker

def test_run_takes_them_from_files(jm_sql, tmp_path):
    echo_type(jm_sql, "t", ["a", "b"])
    type_file = jm_sql.jobs_dir / "t.json"
    (tmp_path / "a.json").write_text('{"rows":\n 12345678901234567890}\n')
    (tmp_path / "b.json").write_text("[1]")
    done = jm_sql.cli("run", type_file, "--document", f"a={tmp_path}/a.json", f"--document=b={tmp_path}/b.json")
    assert json.loads(done.out) == {"documents": {"a": {"rows": 12345678901234567890}, "b": [1]}}
    missing = jm_sql.cli("run", type_file, "--document", f"a={tmp_path}/a.json", check=False)
    assert missing.code == 2 and "--document NAME=FILE: b" in missing.err
    for wrong in ("a", "a=", "/=x", f"a={tmp_path}/none"):
        assert jm_sql.cli("run", type_file, "--document", wrong, check=False).code == 2
    (tmp_path / "a.json").write_text("{")
    assert "a.json" in jm_sql.cli("run", type_file, "--document", f"a={tmp_path}/a.json", check=False).err


def test_type_test_takes_them_from_cases_and_files(jm_sql, tmp_path):
    echo_type(jm_sql, "t", ["a"])
    type_file = jm_sql.jobs_dir / "t.json"
    (tmp_path / "a.json").write_text('"from the file"')
    (jm_sql.jobs_dir / "t.tests.json").write_text(json.dumps([
        {"name": "of the case", "documents": {"a": {"x": 1}},
         "expect": {"result": {"documents": {"a": {"x": 1}}}}},
        {"name": "of the file", "expect": {"result": {"documents": {"a": "from the file"}}}}]))
    done = jm_sql.cli("type", "test", type_file, "--document", f"a={tmp_path}/a.json")
    assert done.out.splitlines() == ["1..2", "ok 1 - of the case", "ok 2 - of the file"]
    alone = jm_sql.cli("type", "test", type_file, check=False)
    assert alone.code == 1 and "ok 1" in alone.out and "not ok 2" in alone.out and 'no document "a"' in alone.out


# HTTP

@pytest.fixture
def api(jm):
    key = jm.cli("key", "create", "--name", "admin", "--scope", "admin").out.strip()
    return Api.of(jm.start_producer(), key)


def bound(jm, api, project, scope="admin"):
    return api.with_key(jm.cli("key", "create", "--name", "b" + scope, "--scope", scope, "--project", project).out.strip())


def test_over_http(jm, api):
    made = api.call("POST", "/api/v1/documents", {"name": "limits", "body": {"rows": 1}, "description": "d"}, X_Reason="new")
    assert made.status == 201 and made.headers["Location"] == "/api/v1/documents/limits?project=default"
    assert made.headers["ETag"] == '"1"' and made.json["body"] == {"rows": 1}
    api.post("/documents", {"name": "limits", "body": 1}, expect=409)
    stale = api.call("PUT", "/api/v1/documents/limits", {"body": {"rows": 2}}, If_Match='"1"')
    assert stale.status == 200 and stale.headers["ETag"] == '"2"' and stale.json["description"] == "d"
    lost = api.call("PUT", "/api/v1/documents/limits", {"body": {"rows": 3}}, If_Match='"1"')
    assert (lost.status, lost.json["code"]) == (412, "version_mismatch")
    same = api.call("PUT", "/api/v1/documents/limits", {"body": {"rows": 2.0}})
    assert same.headers["ETag"] == '"2"'
    dry = api.call("PUT", "/api/v1/documents/other?dry_run=1", {"body": 1})
    assert dry.status == 200 and api.get("/documents/other", expect=404)["code"] == "not_found"
    other = api.call("PUT", "/api/v1/documents/other", {"body": [1]})
    assert other.status == 201 and other.headers["Location"].startswith("/api/v1/documents/other")
    versions = api.get("/documents/limits/versions")["items"]
    assert [(v["version"], v["action"], v["reason"], v["actor"], v["source"]) for v in versions] == [
        (2, "update", None, "key:admin", "api"), (1, "create", "new", "key:admin", "api")]
    assert api.get("/documents/limits/versions/1")["body"] == {"rows": 1}
    for none in ("3", "0", "x", "99999999999"):
        api.get(f"/documents/limits/versions/{none}", expect=404)
    assert api.get("/documents/limits/diff")["changes"] == [{"op": "replace", "path": "/rows", "value": 2, "was": 1}]
    back = api.call("POST", "/api/v1/documents/limits/rollback", {"version": 1})
    assert back.status == 200 and back.headers["ETag"] == '"3"' and back.json["body"] == {"rows": 1}
    assert api.call("POST", "/api/v1/documents/limits/rollback", {"version": 1}, If_Match='"2"').status == 412
    assert api.call("DELETE", "/api/v1/documents/limits", If_Match='"1"').status == 412
    api.delete("/documents/limits?dry_run=1")
    api.delete("/documents/limits")
    api.delete("/documents/limits", expect=404)
    assert [v["action"] for v in api.get("/documents/limits/versions")["items"]][0] == "delete"
    assert api.get("/documents/limits/versions/4")["body"] is None


def test_digits_over_http(jm, api):
    body = b'{"body":{"n":12345678901234567890.125,"m":1.10}}'
    assert api.call("PUT", "/api/v1/documents/d", body, Content_Type="application/json").status == 201
    raw = api.call("GET", "/api/v1/documents/d").raw
    assert b"12345678901234567890.125" in raw and b"1.10" in raw


def test_pages(jm, api):
    for n in range(5):
        put(jm, f"d{n}", str(n))
        put(jm, "v", str(n))
    seen, cursor = [], ""
    while cursor is not None:
        page = api.get("/documents?prefix=d&limit=2" + cursor)
        seen += [d["name"] for d in page["items"]]
        cursor = page["next"] and "&cursor=" + page["next"].replace("/", "%2F")
    assert seen == [f"d{n}" for n in range(5)]
    first = api.get("/documents/v/versions?limit=2")
    second = api.get(f"/documents/v/versions?limit=3&cursor={first['next']}")
    assert [v["version"] for v in first["items"] + second["items"]] == [5, 4, 3, 2, 1] and second["next"] is None
    api.get("/documents?cursor=x", expect=400)
    api.get("/documents/v/versions?cursor=x", expect=400)


@pytest.mark.parametrize("body, pointer", [
    ({}, "/name"), ({"name": 5, "body": 1}, "/name"), ({"name": "a b", "body": 1}, "/name"), ({"name": "a"}, "/body"),
    ({"name": "a", "body": 1, "bdy": 2}, "/bdy"), ({"name": "a", "body": 1, "description": 5}, "/description"),
    ({"name": "a", "body": 1, "project": 5}, "/project"), ({"name": "a", "body": "x" * (1 << 20)}, "/body")])
def test_bad_bodies(jm, api, body, pointer):
    answer = api.call("POST", "/api/v1/documents", body)
    assert answer.status == 400 and answer.json["errors"][0]["pointer"] == pointer, answer
    assert jm.db.value("SELECT count(*) FROM documents") == 0


def test_a_key_sees_its_project_alone(jm, api):
    jm.cli("project", "add", "shop")
    put(jm, "mine", "1", "--project", "shop")
    put(jm, "theirs", "2")
    shop = bound(jm, api, "shop")
    assert [d["name"] for d in shop.get("/documents")["items"]] == ["mine"]
    assert shop.get("/documents/mine")["project"] == "shop"
    for path in ("/documents/theirs?project=default", "/documents/theirs", "/documents?project=default",
                 "/documents/theirs/versions?project=default", "/documents/theirs/diff?project=default"):
        shop.get(path, expect=404)
    shop.put("/documents/theirs?project=default", {"body": 3}, expect=404)
    shop.post("/documents", {"name": "x", "project": "default", "body": 3}, expect=404)
    assert shop.post("/documents", {"name": "x", "body": 3})["project"] == "shop"
    reader = bound(jm, api, "shop", "submit")
    reader.put("/documents/mine", {"body": 3}, expect=403)
    assert reader.get("/documents/mine")["body"] == 1
