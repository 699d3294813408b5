"""The sync of schedules with another system: by a local HTTP server, a directory, and several producers."""
import json
import ssl
import subprocess
import time

import pytest

from lib.database import Server
from lib.http_server import HttpServer
from lib.wait import wait_until


def daily(name, **more):
    return {"name": name, "type": "noop", "cron_expression": "@daily", **more}


class Upstream:
    """What the other system offers."""

    def __init__(self):
        self.server = HttpServer()
        self.server.routes["/d.json"] = self.answer
        self.url = self.server.url("/d.json")
        self.offer([])

    def offer(self, document, status=200, etag=None):
        self.body = document if isinstance(document, (str, bytes)) else json.dumps(document)
        self.status, self.etag = status, etag

    def answer(self, request, exchange):
        if self.etag and request.headers.get("if-none-match") == self.etag:
            exchange.answer(304)
            return
        exchange.answer(self.status, self.body, {"ETag": self.etag} if self.etag else None)

    @property
    def asked(self):
        return len(self.server.seen("/d.json"))


@pytest.fixture
def upstream():
    made = Upstream()
    yield made
    made.server.close()


def sync(jm, source, *args, **more):
    return jm.cli("schedule", "sync", "--once", "--source", source, *args, **more)


def producer(jm, source, **more):
    return jm.start_producer(**{"schedule_sync.source": source, "schedule_sync.interval_s": 5, **more})


@pytest.mark.parametrize("source", ["http:///d.json", "http://user:word@/d.json", "http://user:wo rd@example.org/d.json", "HTTP://"])
def test_a_source_that_cannot_be_called(jm_sql, source):
    by_hand = jm_sql.cli("schedule", "sync", "--once", "--source", source, check=False)
    by_config = jm_sql.cli("schedule", "sync", "--once", f"--schedule_sync.source={source}", check=False)
    for refused in (by_hand, by_config):
        assert refused.code == 2 and "URL with a host" in refused.err, refused


def names(jm):
    return [n for n, in jm.db.query("SELECT name FROM schedules ORDER BY name")]


def last(jm):
    return jm.db.one("SELECT outcome, error, added, changed, deleted FROM schedule_syncs")


def wait_names(jm, expected, timeout=30):
    wait_until(lambda: names(jm) == expected, timeout, what=f"schedules are {expected}")


def wait_round(jm, timeout=30):
    """Until one more round has ended."""
    at = jm.db.value("SELECT max(at) FROM schedule_syncs")
    wait_until(lambda: jm.db.value("SELECT max(at) FROM schedule_syncs") not in (None, at), timeout, what="a round")


def test_a_producer_follows(jm_sql, upstream):
    jm = jm_sql
    calendar = {"name": "c", "definition": {"exclude": ["sat-sun"]}}
    upstream.offer({"calendars": [calendar], "schedules": [daily("a", calendar="c"), daily("b")]})
    jm.cli("schedule", "add", "mine", "--type", "noop", "--cron", "@daily")
    program = producer(jm, upstream.url)
    wait_names(jm, ["a", "b", "mine"])
    assert jm.db.query("SELECT name, source FROM schedules ORDER BY name") == [
        ("a", "sync"), ("b", "sync"), ("mine", "user")]
    upstream.offer([daily("b", queue="slow"), daily("c")])
    wait_names(jm, ["b", "c", "mine"])
    assert jm.db.one("SELECT queue, version FROM schedules WHERE name = 'b'") == ("slow", 2)
    log = jm.db.query("SELECT DISTINCT actor, source FROM audit_log WHERE source <> 'cli'")
    assert log == [(f"sync:{upstream.url}", "sync")]
    wait_until(lambda: last(jm) == ("changed", None, 1, 1, 1), 10)
    # Unchanged content is not compared: what somebody did by hand stays until a sync by hand.
    jm.cli("schedule", "update", "c", "--queue", "other")
    wait_round(jm)
    assert last(jm) == ("unchanged", None, 1, 1, 1)
    assert jm.db.value("SELECT queue FROM schedules WHERE name = 'c'") == "other"
    done = sync(jm, upstream.url)
    assert '~ c  queue "other" -> -' in done.out
    assert "2 schedules are like that" in sync(jm, upstream.url).out
    program.terminate()
    assert "2 schedules added, 0 changed, 0 deleted" in program.text()


def test_etag(jm_sql, upstream):
    upstream.offer([daily("a")], etag='"one"')
    producer(jm_sql, upstream.url)
    wait_names(jm_sql, ["a"])
    wait_until(lambda: upstream.asked >= 2, 20)
    asked = upstream.server.seen("/d.json")
    assert "if-none-match" not in asked[0].headers and asked[1].headers["if-none-match"] == '"one"'
    wait_until(lambda: last(jm_sql)[0] == "unchanged", 10)
    upstream.offer([daily("b")], etag='"two"')
    wait_names(jm_sql, ["b"])
    wait_until(lambda: jm_sql.db.value("SELECT etag FROM schedule_syncs") == '"two"', 10)


def test_what_is_wrong_upstream_changes_nothing(jm_sql, upstream):
    jm = jm_sql
    upstream.offer([daily("a")])
    sync(jm, upstream.url)
    hash_ = jm.db.value("SELECT hash FROM schedule_syncs")
    for document, status, word in (
            ("oops", 500, "the server answers 500"), ("", 404, "the server answers 404"), ("", 200, "line 1"),
            ("<html>", 200, "line 1"), (b"\xff\xfe", 200, "UTF-8"), ("3", 200, "an object or an array"),
            ([daily("a", priority=1), daily("b", timezone="X")], 200, "[1].timezone: "),
            ([daily("a", priority=1), daily("b", project="nobody")], 200, 'no project "nobody"')):
        upstream.offer(document, status)
        done = sync(jm, upstream.url, check=False)
        assert done.code == 1 and word in done.err and "nothing is changed" in done.err, done
        assert upstream.url in done.err
        outcome, error, *_ = last(jm)
        assert outcome == "failed" and word in error
    assert jm.db.query("SELECT name, version FROM schedules") == [("a", 1)]
    assert jm.db.value("SELECT hash FROM schedule_syncs") == hash_
    gone = sync(jm, "http://127.0.0.1:1/x", check=False)
    assert gone.code == 1 and "nothing is changed" in gone.err
    assert sync(jm, jm.dir / "none", check=False).code == 1
    usage = jm.cli("schedule", "sync", "--once", check=False)
    assert usage.code == 2 and "--source" in usage.err


def test_the_log_says_once_what_is_wrong(jm_sql, upstream):
    upstream.offer([daily("a", timezone="X")])
    program = producer(jm_sql, upstream.url)
    wait_until(lambda: upstream.asked >= 3, 30)
    program.terminate()
    assert program.text().count("[0].timezone: ") == 1


def test_a_slow_server_and_a_large_document(jm_sql, upstream):
    async def slow(request, exchange):
        import asyncio
        exchange.head(200, {"Content-Length": "10"})
        await exchange.writer.drain()
        await asyncio.sleep(60)
    upstream.server.routes["/slow"] = slow
    upstream.server.routes["/large"] = lambda r, x: x.answer(200, b" " * (65 << 20))
    large = sync(jm_sql, upstream.server.url("/large"), check=False)
    assert large.code == 1 and "64 MiB" in large.err
    started = time.monotonic()
    done = sync(jm_sql, upstream.server.url("/slow"), check=False)
    assert done.code == 1 and "nothing is changed" in done.err
    assert 25 < time.monotonic() - started < 45


def test_a_producer_ends_while_it_fetches(jm_sql, upstream):
    async def slow(request, exchange):
        import asyncio
        await asyncio.sleep(60)
    upstream.server.routes["/slow"] = slow
    program = producer(jm_sql, upstream.server.url("/slow"))
    wait_until(lambda: upstream.server.seen("/slow"), 20)
    started = time.monotonic()
    program.terminate()
    assert time.monotonic() - started < 10


def test_redirects_and_headers(jm_sql, upstream):
    """Three are followed, and what authenticates goes only to the host that was meant."""
    headers = jm_sql.dir / "headers"
    headers.write_text("# for tests\nAuthorization: Bearer s3cret\nX-Key: k3y\n")
    headers.chmod(0o600)
    option = f"--schedule_sync.headers_file={headers}"
    other = HttpServer("127.0.0.2")
    other.routes["/d.json"] = lambda r, x: x.answer(200, [daily("elsewhere")])
    other.routes["/back"] = lambda r, x: x.answer(302, "", {"Location": upstream.url})
    for path, to in (("/1", "/2"), ("/2", "/3"), ("/3", "/d.json"), ("/0", "/1"), ("/there", other.url("/d.json")),
                     ("/file", "file:///etc/passwd")):
        upstream.server.routes[path] = lambda r, x, to=to: x.answer(302, "", {"Location": to})
    upstream.offer([daily("a")])
    sync(jm_sql, upstream.server.url("/1"), option)
    assert names(jm_sql) == ["a"]
    assert upstream.server.requests[-1].headers["authorization"] == "Bearer s3cret"
    assert upstream.server.requests[-1].headers["x-key"] == "k3y"
    many = sync(jm_sql, upstream.server.url("/0"), check=False)
    assert many.code == 1 and "more than 3 redirects" in many.err
    assert sync(jm_sql, upstream.server.url("/file"), check=False).code == 1
    sync(jm_sql, upstream.server.url("/there"), option)
    assert names(jm_sql) == ["elsewhere"]
    assert not {"authorization", "x-key"} & set(other.requests[-1].headers)
    headers.chmod(0o644)
    open_to_all = sync(jm_sql, upstream.url, option, check=False)
    assert open_to_all.code == 1 and "everybody may read" in open_to_all.err
    headers.chmod(0o600)
    headers.write_text("no header\n")
    assert "line 1" in sync(jm_sql, upstream.url, option, check=False).err
    other.close()


def test_certificates_are_verified(jm_sql):
    key, cert = jm_sql.dir / "key.pem", jm_sql.dir / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days",
                    "2", "-subj", "/CN=localhost"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server = HttpServer(ssl=context)
    done = sync(jm_sql, server.url("/d.json", host="localhost"), check=False)
    assert done.code == 1 and "certificate" in done.err.lower()
    assert not server.requests
    server.close()


def test_passwords_are_not_shown(jm_sql, upstream):
    url = upstream.url.replace("http://", "http://me:s3cret@")
    upstream.offer([daily("a")])
    program = producer(jm_sql, url)
    wait_names(jm_sql, ["a"])
    upstream.offer("oops", 500)
    wait_until(lambda: last(jm_sql)[0] == "failed", 20)
    program.terminate()
    kept = str(jm_sql.db.query("SELECT * FROM schedule_syncs")) + str(jm_sql.db.query("SELECT actor FROM audit_log"))
    assert "s3cret" not in kept + program.text() and "me:" in kept
    assert upstream.server.requests[0].headers["authorization"].startswith("Basic ")


def test_too_many_deletions(jm_sql, upstream):
    upstream.offer([daily(f"s{i:02}") for i in range(40)])
    program = producer(jm_sql, upstream.url)
    wait_until(lambda: len(names(jm_sql)) == 40, 20)
    upstream.offer([daily(f"s{i:02}") for i in range(32)])  # 20 %
    wait_until(lambda: len(names(jm_sql)) == 32, 20)
    upstream.offer([daily(f"s{i:02}", queue="q") for i in range(24)])
    wait_until(lambda: last(jm_sql)[0] == "refused", 20)
    wait_round(jm_sql)
    assert len(names(jm_sql)) == 32 and jm_sql.db.value("SELECT count(*) FROM schedules WHERE queue = 'q'") == 0
    program.terminate()
    assert program.text().count("it would delete 8 of 32 schedules, more than 20 %") == 1
    assert "--allow-deletes" in program.text()
    done = sync(jm_sql, upstream.url, check=False)
    assert done.code == 1 and "it would delete 8 of 32" in done.err
    assert "0 added, 24 changed, 8 deleted" in sync(jm_sql, upstream.url, "--allow-deletes", "--dry-run").out
    assert len(names(jm_sql)) == 32
    sync(jm_sql, upstream.url, "--allow-deletes")
    assert len(names(jm_sql)) == 24
    upstream.offer([])  # all of them
    assert sync(jm_sql, upstream.url, check=False).code == 1
    upstream.offer([daily("s00")])
    sync(jm_sql, upstream.url, "--allow-deletes")
    upstream.offer([])  # a few are never too many
    sync(jm_sql, upstream.url)
    assert names(jm_sql) == []


def test_what_belongs_to_people(jm_sql, upstream):
    jm_sql.cli("schedule", "add", "mine", "--type", "noop", "--cron", "@daily")
    for document in ([daily("a"), daily("mine")], [daily("a"), daily("mine", priority=1)]):
        upstream.offer(document)
        done = sync(jm_sql, upstream.url, check=False)
        assert done.code == 1 and '[1]: schedule "mine" of project default is not the sync\'s' in done.err
    assert names(jm_sql) == ["mine"] and jm_sql.db.value("SELECT version FROM schedules") == 1
    jm_sql.cli("schedule", "delete", "mine")
    sync(jm_sql, upstream.url)
    assert names(jm_sql) == ["a", "mine"]


def test_one_project(jm_sql, upstream):
    jm_sql.db.execute("INSERT INTO projects (name) VALUES ('p')")
    upstream.offer([daily("a"), daily("b", project="p")])
    sync(jm_sql, upstream.url)
    only = "--schedule_sync.project=p"
    done = sync(jm_sql, upstream.url, only, check=False)
    assert done.code == 1 and "[0].project: only schedules of project p expected" in done.err
    upstream.offer([daily("c", project="p")])
    assert "1 added, 0 changed, 1 deleted" in sync(jm_sql, upstream.url, only).out
    assert names(jm_sql) == ["a", "c"]


def test_directory(jm_sql):
    tree = jm_sql.dir / "tree"
    tree.mkdir()
    (tree / "a.json").write_text(json.dumps(daily("a")))
    producer(jm_sql, tree)
    wait_names(jm_sql, ["a"])
    (tree / "sub").mkdir()
    (tree / "sub" / "b.json").write_text(json.dumps([daily("b")]))
    wait_names(jm_sql, ["a", "b"])
    for path in tree.rglob("*.json"):
        path.unlink()
    wait_until(lambda: last(jm_sql)[0] == "failed", 20)
    assert names(jm_sql) == ["a", "b"]


def test_two_producers_sync_once(jm_sql, upstream):
    upstream.offer([daily("a")])
    for _ in range(2):
        producer(jm_sql, upstream.url)
    wait_names(jm_sql, ["a"])
    from_, started = upstream.asked, time.monotonic()
    wait_until(lambda: upstream.asked >= from_ + 3, 40)
    assert time.monotonic() - started > 10  # three more rounds of five seconds, whoever did them
    assert jm_sql.db.value("SELECT count(*) FROM audit_log") == 1


def test_two_at_once_do_it_once(jm_sql, upstream):
    upstream.offer([daily(f"s{i}") for i in range(200)])
    from lib.paths import bin_dir
    argv = [bin_dir() / "jobmill", "schedule", "sync", "--once", "--source", upstream.url]
    runs = [subprocess.Popen(argv, env=jm_sql.env(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            for _ in range(4)]
    said = [run.communicate(timeout=60)[0].splitlines()[-1] for run in runs]
    assert [run.returncode for run in runs] == [0] * 4, said
    assert sorted(said) == ["200 added, 0 changed, 0 deleted, 0 unchanged",
                            *["nothing changes: 200 schedules are like that"] * 3]
    assert jm_sql.db.value("SELECT count(*) FROM audit_log") == 200


def test_the_database_is_away_at_first(private_postgres, make_stack, upstream):
    server = Server(private_postgres.url, private_postgres.dir)
    stack = make_stack(server.create(), None)
    upstream.offer([daily("a")])
    stack.db.close()
    private_postgres.stop()
    program = producer(stack, upstream.url, wait=False)
    wait_until(lambda: "waiting for the database" in program.text(), 20)
    assert not upstream.asked
    private_postgres.start()
    stack.db = type(stack.db)(stack.database_url)
    wait_names(stack, ["a"], 60)
    private_postgres.restart()
    upstream.offer([daily("b")])
    stack.db.close()
    stack.db = type(stack.db)(stack.database_url)
    wait_names(stack, ["b"], 60)
    assert not stack.finish()
