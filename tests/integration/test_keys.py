"""Keys: jobmill key, and what the API does with them."""
import hashlib
import os
import re
import threading
import time

import pytest

from lib import page
from lib.wait import wait_until

KEY = re.compile(r"jm_[a-z2-7]{52}\n")


def create(jm, name="k", scope="admin", *more):
    made = jm.cli("key", "create", "--name", name, "--scope", scope, *more)
    assert KEY.fullmatch(made.out), made
    return made.out.strip()


def ask(producer, key, path="/api/v1/whoami", method="GET", body=None, **headers):
    headers = {k.replace("_", "-"): v for k, v in headers.items()}
    if key:
        headers["X-API-Key"] = key
    return page.request(producer, path, method, body=body, headers=headers)


def code_of(answer):
    assert answer.headers["Content-Type"] == "application/problem+json", answer
    return answer.status, answer.json()["code"]


def wait_refused(producer, key, within_s=1.0):
    """A key that was ended elsewhere: the time since then is less than what docs/security.md says."""
    start = time.monotonic()
    while ask(producer, key).status == 200:
        assert time.monotonic() - start < within_s + 2, "still let in"
        time.sleep(0.02)
    return time.monotonic() - start


# The command line

def test_create_keeps_the_hash_and_nothing_else(jm_sql):
    key = create(jm_sql, "deploy", "submit", "--expires", "30d", "--reason", "for CI")
    row = jm_sql.db.one("SELECT name, prefix, hash, scope, project, expires_at - created_at, created_by"
                        " FROM api_keys")
    assert row[:2] == ("deploy", key[3:11]) and bytes(row[2]) == hashlib.sha256(key.encode()).digest()
    assert row[3:5] == ("submit", None) and abs(row[5].total_seconds() - 30 * 86400) < 60
    assert row[6].startswith("cli:")
    dump = jm_sql.db.value("SELECT string_agg(to_jsonb(a)::text, '') FROM audit_log a")
    assert key not in dump and hashlib.sha256(key.encode()).hexdigest() not in dump
    audited = jm_sql.cli("audit", "list", "--object", "key", "--json").json()["items"]
    assert [(a["action"], a["reason"], a["actor"], a["address"], a["after"]["prefix"]) for a in audited] == [
        ("create", "for CI", row[6], os.uname().nodename, key[3:11])]


@pytest.mark.parametrize("arguments, code, says", [
    (["--name", "a b", "--scope", "read"], 2, "--name: [A-Za-z0-9]"),
    (["--name", "", "--scope", "read"], 2, "--name"),
    (["--name", "a", "--scope", "root"], 2, "scope"),
    (["--name", "a", "--scope", "read", "--expires", "soon"], 2, "--expires \"soon\""),
    (["--name", "a", "--scope", "read", "--expires", "2020-01-01T00:00:00Z"], 2, "has passed already"),
    (["--name", "a", "--scope", "read", "--project", "none"], 3, "there is no project \"none\""),
])
def test_create_refuses(jm_sql, arguments, code, says):
    refused = jm_sql.cli("key", "create", *arguments, check=False)
    assert refused.code == code and says in refused.err, refused
    assert refused.out == "" and jm_sql.db.value("SELECT count(*) FROM api_keys") == 0
    assert jm_sql.db.value("SELECT count(*) FROM audit_log") == 0


def test_names_are_unique_among_those_that_hold(jm_sql):
    first = create(jm_sql, "ci")
    again = jm_sql.cli("key", "create", "--name", "ci", "--scope", "read", check=False)
    assert again.code == 1 and "there is a key \"ci\" already" in again.err
    assert jm_sql.cli("key", "revoke", first[3:11]).out == "ci\n"
    assert create(jm_sql, "ci") != first


def test_names_are_a_projects_own(jm):
    """What others call their keys is neither told nor in the way; who sees several chooses by id."""
    producer = jm.start_producer()
    for name in ("one", "two"):
        jm.cli("project", "add", name)
    keys = {p: create(jm, "ci", "admin", "--project", p) for p in ("one", "two")}
    both = jm.cli("key", "revoke", "ci", check=False)
    ids = {p: i for i, p in jm.db.query("SELECT id::text, project FROM api_keys")}
    assert both.code == 1 and "several keys are meant by ci" in both.err, both
    assert f"{ids['one']} (project one)" in both.err and f"{ids['two']} (project two)" in both.err
    again = ask(producer, keys["one"], "/api/v1/keys", "POST", body='{"name": "ci", "scope": "read"}')
    assert code_of(again) == (409, "conflict")
    everywhere = create(jm, "ci")
    assert code_of(ask(producer, everywhere, "/api/v1/keys/ci")) == (409, "conflict")
    assert ask(producer, keys["one"], "/api/v1/keys/ci").json()["id"] == ids["one"]
    assert ask(producer, keys["one"], "/api/v1/keys/ci", "DELETE").status == 204
    assert jm.db.query("SELECT project FROM api_keys WHERE revoked_at IS NULL ORDER BY project") == [("two",), (None,)]
    assert jm.cli("key", "revoke", ids["two"]).out == "ci\n"
    assert jm.cli("key", "show", "ci", "--json").json()["project"] is None


def test_answers_kept_for_one_are_not_given_to_its_namesake(jm):
    """Two callers of one name: an Idempotency-Key of one is nothing to the other."""
    producer = jm.start_producer()
    ids = []
    for project in ("one", "two"):
        jm.cli("project", "add", project)
        key = create(jm, "ci", "admin", "--project", project)
        made = ask(producer, key, "/api/v1/schedules", "POST", Idempotency_Key="k-1",
                   body='{"name": "nightly", "type": "noop", "interval_seconds": 3600}')
        assert made.status == 201 and made.json()["project"] == project, made
        again = ask(producer, key, "/api/v1/schedules", "POST", Idempotency_Key="k-1",
                    body='{"name": "nightly", "type": "noop", "interval_seconds": 3600}')
        assert again.headers["Idempotency-Replayed"] == "true" and again.json()["id"] == made.json()["id"]
        ids.append(made.json()["id"])
    assert len(set(ids)) == 2


def test_list_show_revoke(jm_sql):
    cli = jm_sql.cli
    keys = [create(jm_sql, f"k{i}", "read") for i in range(3)]
    items = cli("key", "list", "--json").json()["items"]
    assert [i["name"] for i in items] == ["k2", "k1", "k0"] and all("hash" not in i for i in items)
    first = cli("key", "list", "--limit", 2, "--json").json()
    rest = cli("key", "list", "--limit", 2, "--cursor", first["next"], "--json").json()
    assert [i["name"] for i in first["items"] + rest["items"]] == ["k2", "k1", "k0"]
    assert rest["next"] is None
    assert cli("key", "revoke", items[0]["id"], "--reason", "left").out == "k2\n"
    assert cli("key", "revoke", "jm_" + keys[1][3:11]).out == "k1\n"
    assert [i["name"] for i in cli("key", "list", "--json").json()["items"]] == ["k0"]
    gone = cli("key", "list", "--all", "--json").json()["items"]
    assert [i["state"] for i in gone] == ["revoked", "revoked", "active"]
    again = cli("key", "revoke", items[0]["id"], check=False)
    assert again.code == 1 and "revoked before" in again.err
    for which in ("zzzzzzzz", "short", "01946c1e-7d4f-7a61-9f0a-1c2b3d4e5f60"):
        none = cli("key", "revoke", which, check=False)
        assert none.code == 3 and f"there is no key {which}" in none.err
    assert cli("key", "show", keys[0][3:11], "--json").json()["name"] == "k0"
    log = cli("audit", "list", "--object", "key", "--action", "revoke", "--json").json()["items"]
    assert [(a["before"]["name"], a["reason"]) for a in log] == [("k1", None), ("k2", "left")]


def test_two_keys_with_one_prefix(jm_sql):
    create(jm_sql, "a")
    create(jm_sql, "b")
    jm_sql.db.execute("UPDATE api_keys SET prefix = 'aaaaaaaa'")
    both = jm_sql.cli("key", "revoke", "aaaaaaaa", check=False)
    assert both.code == 1 and "several keys are meant by aaaaaaaa: give the id of one: " in both.err
    ids = [i for i, in jm_sql.db.query("SELECT id::text FROM api_keys ORDER BY id DESC")]
    assert f"{ids[0]} (all projects), {ids[1]} (all projects)" in both.err


# The API

def test_no_key_bad_key_and_what_needs_none(jm):
    producer = jm.start_producer()
    key = create(jm)
    for path in ("/api/v1/whoami", "/api/v1/keys", "/api/v1/nothing"):
        assert code_of(ask(producer, None, path)) == (401, "no_key")
        assert ask(producer, None, path).headers["WWW-Authenticate"] == "Bearer"
    for bad in ("x", "jm_", key[:-1], key + "a", key.upper(), "jm_" + "a" * 52, key[:-1] + "é"):
        assert code_of(ask(producer, bad.encode("utf-8"))) == (401, "bad_key")
    assert ask(producer, key).json() == {"actor": "key:k", "scope": "admin", "project": None}
    bearer = ask(producer, None, Authorization=f"Bearer {key}")
    assert bearer.json()["actor"] == "key:k"
    assert page.get(producer, "/healthz").status == 200 and page.get(producer, "/metrics").status == 200


def test_scopes(jm):
    producer = jm.start_producer()
    for scope in ("read", "submit"):
        key = create(jm, scope, scope)
        assert ask(producer, key).json()["scope"] == scope
        for path, method in (("/api/v1/keys", "GET"), ("/api/v1/keys", "POST"), ("/api/v1/audit", "GET"),
                             ("/api/v1/projects", "POST"), ("/api/v1/projects/default", "DELETE")):
            assert code_of(ask(producer, key, path, method, body="{}")) == (403, "forbidden"), path


def test_revoked_elsewhere_and_here(jm):
    """Revocation takes effect within a second in every producer, and at once in the one that is told."""
    first, second = jm.start_producer(), jm.start_producer()
    admin, key = create(jm, "admin"), create(jm, "ci", "read")
    for producer in (first, second):
        assert ask(producer, key).status == 200
        assert ask(producer, admin).status == 200
    assert ask(first, admin, f"/api/v1/keys/{key[3:11]}", "DELETE").status == 204
    assert code_of(ask(first, key)) == (401, "bad_key")
    assert wait_refused(second, key) < 1.5
    key = create(jm, "ci", "read")
    assert ask(second, key).status == 200
    jm.cli("key", "revoke", key[3:11])
    assert wait_refused(second, key) < 1.5
    assert ask(second, admin).status == 200


def test_expiry(jm):
    producer = jm.start_producer()
    key = create(jm, "short", "read", "--expires", "2s")
    assert ask(producer, key).status == 200
    wait_until(lambda: ask(producer, key).status == 401, 10)
    assert jm.db.value("SELECT expires_at <= clock_timestamp() FROM api_keys")
    assert jm.cli("key", "list", "--all", "--json").json()["items"][0]["state"] == "expired"


def test_last_use_is_noted_once_a_minute(jm):
    producer = jm.start_producer()
    key = create(jm)
    ask(producer, key)
    wait_until(lambda: jm.db.value("SELECT last_used_at FROM api_keys"), 10)
    first = jm.db.one("SELECT last_used_at, xmin::text FROM api_keys")
    until = time.monotonic() + 2
    while time.monotonic() < until:
        assert ask(producer, key).status == 200
    assert jm.db.one("SELECT last_used_at, xmin::text FROM api_keys") == first
    producer.terminate()
    assert jm.db.value("SELECT last_used_at FROM api_keys") > first[0]


def test_keys_that_were_seen_hold_while_the_database_is_away(jm_pg):
    producer = jm_pg.start_producer()
    seen, other = create(jm_pg, "seen"), create(jm_pg, "other")
    assert ask(producer, seen).status == 200
    jm_pg.db.close()
    jm_pg.postgres.stop("immediate")
    wait_until(lambda: code_of(ask(producer, other)) == (503, "database_away"), 10)
    start = time.monotonic()
    while time.monotonic() - start < 3:
        assert ask(producer, seen).status == 200
    assert code_of(ask(producer, seen, "/api/v1/keys"))[0] == 503
    jm_pg.postgres.start()
    wait_until(lambda: ask(producer, other).status == 200, 30)
    assert ask(producer, seen).status == 200


def test_where_the_database_is_stays_inside(jm_pg):
    """However it goes away and comes back: what is said outside has neither address nor the words of the library."""
    producer = jm_pg.start_producer()
    key = create(jm_pg)
    assert ask(producer, key, "/api/v1/jobs").status == 200
    details = set()

    def look():
        for path, method in (("/api/v1/jobs", "GET"), ("/api/v1/schedules/x/run", "POST")):
            answer = ask(producer, key, path, method)
            if answer.status == 503:
                assert answer.headers["Retry-After"] == "1"
                details.add(answer.json()["detail"])
        return answer.status

    jm_pg.db.close()
    jm_pg.postgres.stop("immediate")
    wait_until(lambda: look() == 503, 20)
    starting = threading.Thread(target=jm_pg.postgres.start)
    starting.start()
    wait_until(lambda: look() == 404, 60)
    starting.join()
    assert details <= {"the database is away: try again in a moment",
                       "the database could not do this just now: try again in a moment"}, details


def test_rate(jm):
    producer = jm.start_producer(**{"http.rate_per_s": 5})
    key, other = create(jm, "a"), create(jm, "b")
    answers = [ask(producer, key) for _ in range(30)]
    refused = [a for a in answers if a.status == 429]
    assert refused and {a.status for a in answers} == {200, 429}
    assert code_of(refused[0]) == (429, "rate_limited") and int(refused[0].headers["Retry-After"]) >= 1
    assert ask(producer, other).status == 200
    wait_until(lambda: ask(producer, key).status == 200, 10)


def test_keys_over_http(jm):
    producer = jm.start_producer()
    admin = create(jm, "admin")
    made = ask(producer, admin, "/api/v1/keys", "POST", X_Reason="for CI", X_Request_Id="r-1",
               body='{"name": "ci", "scope": "submit", "expires_at": "2099-01-01T00:00:00Z"}')
    assert made.status == 201 and made.headers["Cache-Control"] == "no-store", made
    key = made.json()
    assert made.headers["Location"] == f"/api/v1/keys/{key['id']}"
    assert ask(producer, key["key"]).json() == {"actor": "key:ci", "scope": "submit", "project": None}
    shown = ask(producer, admin, made.headers["Location"]).json()
    assert shown["name"] == "ci" and "key" not in shown and "hash" not in shown
    names = [k["name"] for k in ask(producer, admin, "/api/v1/keys?limit=1").json()["items"]]
    assert names == ["ci"]
    log = jm.cli("audit", "list", "--request-id", "r-1", "--json").json()["items"]
    assert [(a["actor"], a["source"], a["address"], a["reason"], a["object_id"]) for a in log] == [
        ("key:admin", "api", "127.0.0.1", "for CI", key["id"])]
    for body, pointer in [('{"scope": "read"}', "/name"), ('{"name": "x", "scope": "root"}', "/scope"),
                          ('{"name": 1, "scope": "read"}', "/name"),
                          ('{"name": "x", "scope": "read", "expires_at": "soon"}', "/expires_at"),
                          ('{"name": "x", "scope": "read", "scopes": 1}', "/scopes")]:
        answer = ask(producer, admin, "/api/v1/keys", "POST", body=body)
        assert answer.status == 400 and answer.json()["errors"][0]["pointer"] == pointer, answer
    assert ask(producer, admin, "/api/v1/keys", "POST",
               body='{"name": "ci", "scope": "read"}').status == 409
    assert ask(producer, admin, "/api/v1/keys/01946c1e-7d4f-7a61-9f0a-1c2b3d4e5f60").status == 404


def test_bound_to_a_project(jm):
    """What belongs to others is not there, in the words of what does not exist."""
    producer = jm.start_producer()
    for name in ("one", "two"):
        jm.cli("project", "add", name)
    keys = {p: create(jm, p, "admin", "--project", p) for p in ("one", "two")}
    everything = create(jm, "all")
    one = keys["one"]
    assert [k["name"] for k in ask(producer, one, "/api/v1/keys").json()["items"]] == ["one"]
    id_of = {k["name"]: k["id"] for k in ask(producer, everything, "/api/v1/keys").json()["items"]}
    for method in ("GET", "DELETE"):
        hidden = ask(producer, one, f"/api/v1/keys/{id_of['two']}", method).json()
        none = ask(producer, one, "/api/v1/keys/01946c1e-7d4f-7a61-9f0a-1c2b3d4e5f60", method).json()
        assert hidden["status"] == none["status"] == 404
        assert hidden["detail"].replace(id_of["two"], "X") == none["detail"].replace(
            "01946c1e-7d4f-7a61-9f0a-1c2b3d4e5f60", "X")
    assert ask(producer, one, "/api/v1/keys", "POST",
               body='{"name": "x", "scope": "read", "project": "two"}').status == 404
    made = ask(producer, one, "/api/v1/keys", "POST", body='{"name": "x", "scope": "read"}')
    assert made.status == 201 and made.json()["project"] == "one"
    assert ask(producer, keys["two"], "/api/v1/keys?project=one").status == 404


# Sessions

def open_session(producer, key):
    answer = ask(producer, key, "/api/v1/session", "POST")
    assert answer.status == 204, answer
    cookie = answer.headers["Set-Cookie"]
    parts = cookie.split("; ")
    assert parts[1:] == ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=28800"]
    return parts[0]


def test_session(jm):
    producer = jm.start_producer()
    key = create(jm, "alice", "admin")
    cookie = open_session(producer, key)
    assert key not in cookie
    assert ask(producer, None, Cookie=cookie).json()["actor"] == "session:alice"
    assert jm.db.one("SELECT k.parent_id = p.id, k.scope, extract(epoch FROM k.expires_at - k.created_at)::int"
                     " FROM api_keys k JOIN api_keys p ON p.id = k.parent_id") == (True, "admin", 28800)
    # A change needs what another site cannot make a browser send.
    for method, path in (("POST", "/api/v1/projects"), ("DELETE", "/api/v1/session")):
        assert code_of(ask(producer, None, path, method, body="{}", Cookie=cookie)) == (403, "cross_site")
    other = ask(producer, None, "/api/v1/projects", "POST", body="{}", Cookie=cookie, Sec_Fetch_Site="cross-site")
    assert code_of(other) == (403, "cross_site")
    for headers in ({"X_Requested_With": "jobmill"}, {"Sec_Fetch_Site": "same-origin"}):
        answer = ask(producer, None, "/api/v1/projects", "POST", body="{}", Cookie=cookie, **headers)
        assert answer.status == 400
    again = ask(producer, None, "/api/v1/session", "POST", Cookie=cookie, X_Requested_With="x")
    assert again.status == 409
    assert [k["sessions"] for k in ask(producer, key, "/api/v1/keys").json()["items"]] == [1]
    ended = ask(producer, None, "/api/v1/session", "DELETE", Cookie=cookie, X_Requested_With="x")
    assert ended.status == 204 and "Max-Age=0" in ended.headers["Set-Cookie"]
    assert code_of(ask(producer, None, Cookie=cookie)) == (401, "bad_key")
    assert code_of(ask(producer, key, "/api/v1/session", "DELETE")) == (409, "conflict")


def test_session_ends_with_its_key(jm):
    producer = jm.start_producer()
    key = create(jm, "alice", "read")
    cookie = open_session(producer, key)
    jm.cli("key", "revoke", key[3:11])
    start = time.monotonic()
    wait_until(lambda: ask(producer, None, Cookie=cookie).status == 401, 10, 0.02)
    assert time.monotonic() - start < 1.5


def test_session_is_secure_behind_a_proxy(jm):
    producer = jm.start_producer(**{"http.behind_proxy": "true"})
    key = create(jm)
    answer = ask(producer, key, "/api/v1/session", "POST", X_Forwarded_For="192.0.2.9, 198.51.100.7")
    assert answer.headers["Set-Cookie"].endswith("; Secure")
    assert jm.db.value("SELECT address FROM audit_log WHERE object = 'session'") == "198.51.100.7"
    # The log of requests names the same one.
    producer.wait_log(" from=198.51.100.7 by=key:k ")


def test_who_asks_through_a_proxy_is_not_believed_without_one(jm):
    producer = jm.start_producer()
    ask(producer, create(jm), "/api/v1/session", "POST", X_Forwarded_For="192.0.2.9")
    assert jm.db.value("SELECT address FROM audit_log WHERE object = 'session'") == "127.0.0.1"


# Files and no keys at all

def test_keys_file(jm):
    path = jm.dir / "keys"
    made = jm.cli("key", "create", "--name", "file.key", "--scope", "submit", "--keys-file", path)
    key = made.out.strip()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text() == f"{hashlib.sha256(key.encode()).hexdigest()} submit * file.key\n"
    bound = jm.cli("key", "create", "--name", "bound", "--scope", "read", "--project", "default",
                   "--keys-file", path).out.strip()
    path.write_text("# ours\n\n" + path.read_text())
    producer = jm.start_producer(**{"http.keys_file": path})
    assert ask(producer, key).json() == {"actor": "key:file.key", "scope": "submit", "project": None}
    assert ask(producer, bound).json()["project"] == "default"
    assert jm.db.value("SELECT count(*) FROM api_keys") == 0
    kept = path.read_text()
    twice = jm.cli("key", "create", "--name", "file.key", "--scope", "read", "--keys-file", path, check=False)
    assert twice.code == 1 and 'has a key "file.key" already' in twice.err and not twice.out
    assert path.read_text() == kept
    expires = jm.cli("key", "create", "--name", "x", "--scope", "read", "--expires", "1d", "--keys-file",
                     path, check=False)
    assert expires.code == 2 and "does not expire" in expires.err


def test_a_keys_file_that_is_wrong(jm):
    path = jm.dir / "keys"
    path.write_text("# ours\nabc read * x\n")
    producer = jm.start_producer(**{"http.keys_file": path})
    assert f"{path}:2: the hash must be 64 hexadecimal digits" in producer.text()
    assert page.get(producer, "/api/v1/whoami").status == 404


def test_auth_off(jm):
    producer = jm.start_producer(**{"http.auth": "off"})
    assert ask(producer, None).json() == {"actor": "anonymous", "scope": "admin", "project": None}
    assert ask(producer, None, "/api/v1/session", "POST").status == 204
