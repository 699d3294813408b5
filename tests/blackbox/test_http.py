"""The executor http: against a server of the test's, with real servers behind the worker."""
import asyncio
import hashlib
import hmac
import json
import signal
import socket
import ssl
import subprocess
import time

import pytest

from lib.http_server import HttpServer, many_at_once
from lib.paths import bin_dir
from lib.wait import wait_until

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def server():
    one = HttpServer()
    yield one
    one.close()


def call(jm, name, http, **more):
    """A job type of one http step."""
    step = {"name": "run", "http": http}
    for key in ("timeout_s", "retry", "set"):
        if key in more:
            step[key] = more.pop(key)
    more.setdefault("backoff", {"initial_s": 0.2, "factor": 1, "jitter": 0})
    jm.job_type(name, step, **more)


def run(jm, *messages, **worker):
    """Runs the messages on a worker; the jobs in the order of their params.n, if they have one."""
    worker.setdefault("http_allow_private", "true")
    jm.start_worker(**worker)
    jm.send(*messages)
    jm.wait_ended(len(messages))
    return jm.db.rows("SELECT * FROM jobs ORDER BY (params->>'n')::numeric, id")


def deliver(jm, url, *options):
    """A callback, by the worker's own step runner."""
    params = '{"url":"%s","job":{"id":"x-1","type":"import","status":"completed","n":1.10}}' % url
    return subprocess.run([bin_dir() / "jobmill-worker", "run", "jobmill.callback", "--params", params, *options],
                          capture_output=True, text=True, env=jm.env(), timeout=60)


def is_signed(request, secret):
    parts = dict(p.split("=", 1) for p in request.headers["x-jobmill-signature"].split(","))
    assert abs(int(parts["t"]) - time.time()) < 60
    signed = hmac.new(secret, parts["t"].encode() + b"." + request.body, hashlib.sha256)
    return parts["v1"] == signed.hexdigest()


def test_request_and_answer(jm, server):
    """Values are escaped for where they stand, numbers go digit for digit, the answer is the data."""
    call(jm, "put", {
        "method": "PUT", "url": server.url("/things/${params.id}?q=${params.q}&id=${job.id}"),
        "headers": {"X-Name": "${params.name}", "X-Region": "${metadata.region:-none}",
                    "X-Empty": "${params.absent:-}"},
        "body": {"n": "${params.n}", "text": "is ${params.q}", "list": ["${params.tree}", 1.10]}},
        set={"status": "/status", "path": "/body/path"})
    jm.start_worker(http_allow_private="true")
    jm.send('{"type":"put","params":{"id":"a/../b","q":"x&y=\\"z\\"","name":"Jürgen","n":12345678901234567890.10,'
            '"tree":{"k":[null]}},"metadata":{"region":"eu"}}', headers=[("traceparent", TRACE.encode())])
    jm.wait_ended(1)
    job, = jm.db.rows("SELECT *, id::text AS text_id FROM jobs")
    assert job["status"] == "completed", job["error"]
    seen, = server.requests
    assert seen.method == "PUT"
    assert seen.path == f"/things/a%2F..%2Fb?q=x%26y%3D%22z%22&id={job['text_id']}"
    assert seen.body == (b'{"n":12345678901234567890.10,"text":"is x&y=\\"z\\"",'
                         b'"list":[{"k":[null]},1.1]}')
    h = seen.headers
    assert h["x-name"].encode("latin-1").decode() == "Jürgen" and h["x-region"] == "eu"
    assert "x-empty" not in h and "expect" not in h
    assert h["content-type"] == "application/json" and h["user-agent"].startswith("jobmill/")
    assert h["idempotency-key"] == f"{job['text_id']}:run"
    assert h["traceparent"].startswith(TRACE[:36]) and h["traceparent"] != TRACE
    data = job["result"]
    assert data["status"] == 200 and data["body"]["method"] == "PUT"
    assert data["headers"]["content-type"] == "application/json"
    assert job["metadata"]["status"] == 200 and job["metadata"]["path"] == seen.path
    step, = jm.db.rows("SELECT * FROM job_steps")
    assert step["data"] == data
    jm.check()


def test_numbers_of_an_answer_keep_their_digits(jm, server):
    server.routes["/n"] = lambda r, x: x.answer(
        200, '{"big": 12345678901234567890.1230, "list": []}', {"Content-Type": "application/json"})
    call(jm, "get", {"url": server.url("/n")})
    call(jm, "pass", {"url": server.url("/n")})
    run(jm, {"type": "get"})
    text = jm.db.value("SELECT data->'body'->>'big' FROM job_steps")
    assert text == "12345678901234567890.1230"


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_methods(jm, server, method):
    call(jm, "m", {"method": method, "url": server.url("/m")})
    job, = run(jm, {"type": "m"})
    assert job["status"] == "completed", job["error"]
    seen, = server.requests
    assert seen.method == method and seen.body == b"" and "content-type" not in seen.headers


def test_bodies(jm, server):
    """A form, a text, and one reference as a whole JSON body."""
    call(jm, "form", {"url": server.url("/form"), "body": "a=${params.a}&b=1",
                      "headers": {"Content-Type": "application/x-www-form-urlencoded"}})
    call(jm, "text", {"url": server.url("/text"), "body": "it is ${params.a}"})
    call(jm, "whole", {"url": server.url("/whole"), "body": "${params.doc}"})
    jobs = run(jm, {"type": "form", "params": {"a": "x&y z"}}, {"type": "text", "params": {"a": "x&y"}},
               '{"type":"whole","params":{"doc":{"n": 1.10}}}')
    assert {j["status"] for j in jobs} == {"completed"}, [j["error"] for j in jobs]
    form, = server.seen("/form")
    assert form.body == b"a=x%26y%20z&b=1" and form.method == "POST"
    text, = server.seen("/text")
    assert text.body == b"it is x&y" and text.headers["content-type"].startswith("text/plain")
    whole, = server.seen("/whole")
    assert whole.body == b'{"n": 1.10}' and whole.headers["content-type"] == "application/json"


def test_verdicts(jm, server):
    """What is retried, what is for good, and what expect makes of it."""
    for status in (200, 204, 404, 400, 408, 425, 429, 500, 503, 301, 599):
        server.routes[f"/s/{status}"] = lambda r, x, s=status: x.answer(
            s, b"" if s == 204 else f"this is {s}", {"Location": "/elsewhere"} if s == 301 else {})
    call(jm, "get", {"url": server.url("/s/${params.n}")}, max_attempts=2)
    call(jm, "odd", {"url": server.url("/s/${params.s}"), "expect": [404, 204]}, max_attempts=2)
    plain = (200, 204, 404, 400, 408, 425, 429, 500, 503, 301, 599)
    jobs = run(jm, *({"type": "get", "params": {"n": s}} for s in plain),
               *({"type": "odd", "params": {"n": 1000 + s, "s": s}} for s in (200, 204, 404, 500)))
    got = {int(j["params"]["n"]): (j["status"], j["attempt"]) for j in jobs}
    assert got == {200: ("completed", 1), 204: ("completed", 1), 301: ("failed", 1),
                   400: ("failed", 1), 404: ("failed", 1), 408: ("failed", 2), 425: ("failed", 2),
                   429: ("failed", 2), 500: ("failed", 2), 503: ("failed", 2), 599: ("failed", 2),
                   1200: ("failed", 1), 1204: ("completed", 1), 1404: ("completed", 1),
                   1500: ("failed", 2)}
    by = {int(j["params"]["n"]): j for j in jobs}
    assert "HTTP status 404: this is 404" in by[404]["error"]
    assert "redirects are not followed" in by[301]["error"]
    data = jm.db.value("SELECT data FROM job_steps WHERE job_id = %s", by[404]["id"])
    assert data["status"] == 404 and data["body"] == "this is 404"
    # Every try of a job has the same key, and no other job has it.
    keys = [r.headers["idempotency-key"] for r in server.seen("/s/503")]
    assert len(keys) == 2 and len(set(keys)) == 1
    jm.check()


def test_retry_after(jm, server):
    """Seconds and dates are waited for, by the job's next attempt and by the step's next try."""
    def busy(request, exchange):
        times.setdefault(request.path, []).append(time.monotonic())
        if len(times[request.path]) > 1:
            exchange.answer(200, "now")
        elif "date" in request.path:
            at = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 3))
            exchange.answer(429, "later", {"Retry-After": at})
        else:
            exchange.answer(503, "later", {"Retry-After": "2"})
    times = {}
    server.routes["/busy"] = busy
    call(jm, "job", {"url": server.url("/busy?job")}, max_attempts=2)
    call(jm, "date", {"url": server.url("/busy?date")}, max_attempts=2)
    call(jm, "step", {"url": server.url("/busy?step")}, retry={"attempts": 2, "delay_s": 0}, max_attempts=1)
    jobs = run(jm, {"type": "job"}, {"type": "date"}, {"type": "step"})
    assert {(j["type"], j["status"], j["attempt"]) for j in jobs} == {
        ("job", "completed", 2), ("date", "completed", 2), ("step", "completed", 1)}
    for path, (first, second) in times.items():
        assert 1.5 <= second - first < 10, (path, second - first)
    assert jm.db.value("SELECT count(*) FROM job_logs WHERE message LIKE '%next in 2 s%'") == 1
    jm.check()


def test_caps(jm, server):
    """A body beyond max_bytes is cut, said so, and not waited for."""
    async def endless(request, exchange):
        exchange.head(200, {"Content-Type": "text/plain"})
        exchange.end()
        for _ in range(100000):
            exchange.writer.write(b"x" * 1000)
            await exchange.writer.drain()
            await asyncio.sleep(0.001)
    server.routes["/endless"] = endless
    server.routes["/json"] = lambda r, x: x.answer(200, {"a": "y" * 5000})
    server.routes["/bytes"] = lambda r, x: x.answer(200, b"\xff\x00\x01ok")
    call(jm, "endless", {"url": server.url("/endless"), "max_bytes": 2000})
    call(jm, "json", {"url": server.url("/json"), "max_bytes": 100})
    call(jm, "bytes", {"url": server.url("/bytes")})
    call(jm, "none", {"url": server.url("/json"), "max_bytes": 0})
    jobs = {j["type"]: j for j in run(jm, *({"type": t} for t in ("endless", "json", "bytes", "none")))}
    assert {j["status"] for j in jobs.values()} == {"completed"}, [j["error"] for j in jobs.values()]
    assert jobs["endless"]["result"]["body"] == "x" * 2000
    assert jobs["endless"]["result"]["cut_at"] == 2000
    assert jobs["json"]["result"]["body"].startswith('{"a": "yyy') and jobs["json"]["result"]["cut_at"] == 100
    assert jobs["bytes"]["result"]["body"] == "��\x01ok"
    assert jobs["none"]["result"]["body"] is None and jobs["none"]["result"]["cut_at"] == 0
    assert jm.db.value("SELECT count(*) FROM job_logs WHERE level = 'WARNING' AND message LIKE '%%max_bytes%%'") == 3
    jm.check()


def test_slow_and_broken_servers(jm, server):
    """Timeouts, a body that drips, resets, closed ports, nonsense: failures that are retried."""
    async def hang(request, exchange):
        while not exchange.is_gone():
            await asyncio.sleep(0.05)
        exchange.end()

    async def drip(request, exchange):
        exchange.head(200, {"Content-Length": 100000})
        while not exchange.is_gone():
            exchange.writer.write(b"x")
            await exchange.writer.drain()
            await asyncio.sleep(0.05)
    server.routes["/hang"] = hang
    server.routes["/drip"] = drip
    server.routes["/reset"] = lambda r, x: x.reset()

    def short(request, exchange):
        exchange.head(200, {"Content-Length": 100})
        exchange.writer.write(b"x")
        exchange.end()
    server.routes["/short"] = short

    def nonsense(request, exchange):
        exchange.writer.write(b"SMTP ready\r\n\r\n")
        exchange.end()
    server.routes["/nonsense"] = nonsense
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        closed = s.getsockname()[1]
    for name in ("hang", "drip", "reset", "short", "nonsense"):
        call(jm, name, {"url": server.url("/" + name), "timeout_s": 0.5}, max_attempts=2)
    call(jm, "closed", {"url": f"http://127.0.0.1:{closed}/"}, max_attempts=2)
    call(jm, "nowhere", {"url": "http://no-such-host.invalid/"}, max_attempts=2)
    call(jm, "steptime", {"url": server.url("/hang")}, max_attempts=1, timeout_s=1)
    types = ("hang", "drip", "reset", "short", "nonsense", "closed", "nowhere", "steptime")
    jobs = {j["type"]: j for j in run(jm, *({"type": t} for t in types))}
    for t in types:
        assert jobs[t]["status"] == "failed", t
        assert jobs[t]["attempt"] == (1 if t == "steptime" else 2), (t, jobs[t]["error"])
    assert "no answer within 0.5 s" in jobs["hang"]["error"]
    assert "no answer within 0.5 s" in jobs["drip"]["error"]
    assert "onnect" in jobs["closed"]["error"] and "no-such-host.invalid" in jobs["nowhere"]["error"]
    assert "timed out: the step took longer than 1 s" in jobs["steptime"]["error"]
    wait_until(lambda: not server.open, 10, what="no request is left")
    jm.check()


def test_redirects(jm, server):
    """Followed as far as allowed; secrets and cookies do not go to another host; the method changes
    as it does in browsers."""
    other = HttpServer("127.0.0.2")
    try:
        (jm.dir / "secrets").mkdir()
        (jm.dir / "secrets" / "token").write_text("sesame-sesame\n")
        (jm.dir / "secrets" / "token").chmod(0o600)
        server.routes["/near"] = lambda r, x: x.answer(307, "", {"Location": "/here?x=1"})
        server.routes["/far"] = lambda r, x: x.answer(302, "", {"Location": other.url("/there")})
        server.routes["/loop"] = lambda r, x: x.answer(301, "", {"Location": "/loop"})
        server.routes["/file"] = lambda r, x: x.answer(302, "", {"Location": "file:///etc/passwd"})
        server.routes["/user"] = lambda r, x: x.answer(302, "", {"Location": "http://a:b@127.0.0.2/"})
        headers = {"Authorization": "Bearer ${secret:token}", "X-Key": "${secret:token}", "X-Open": "yes",
                   "Cookie": "a=b"}
        call(jm, "go", {"url": server.url("/${params.to}"), "method": "POST", "body": {"a": 1},
                        "redirects": 2, "headers": headers})
        jobs = run(jm, *({"type": "go", "params": {"n": i, "to": to}} for i, to in
                         enumerate(["near", "far", "loop", "file", "user"])), secrets_dir=jm.dir / "secrets")
        by = {j["params"]["to"]: j for j in jobs}
        assert {t: j["status"] for t, j in by.items()} == {
            "near": "completed", "far": "completed", "loop": "failed", "file": "failed", "user": "failed"}
        assert {j["attempt"] for j in jobs} == {1}
        here, = server.seen("/here")
        assert here.method == "POST" and here.body == b'{"a":1}'
        assert here.headers["authorization"] == "Bearer sesame-sesame" and here.headers["cookie"] == "a=b"
        there, = other.requests
        assert there.method == "GET" and there.body == b""
        assert there.headers["x-open"] == "yes"
        assert not {"authorization", "x-key", "cookie"} & set(there.headers)
        assert len(server.seen("/loop")) == 3 and "as many redirects as allowed" in by["loop"]["error"]
        assert "http:// or https://" in by["file"]["error"] and "user" in by["user"]["error"]
        assert "sesame" not in json.dumps([str(j) for j in jobs])
        jm.check()
    finally:
        other.close()


def test_addresses_are_refused(jm, server):
    """Whatever the name says, the address that it resolves to is what counts; nothing is retried,
    nothing reaches the server."""
    call(jm, "lit", {"url": server.url("/x")})
    call(jm, "any", {"url": "${params.url}", "redirects": 5})
    port = server.port
    urls = [f"http://127.0.0.1:{port}/", f"http://localhost:{port}/", f"http://2130706433:{port}/",
            f"http://0x7f.1:{port}/", f"http://127.1:{port}/", f"http://0.0.0.0:{port}/",
            f"http://[::1]:{port}/", f"http://[::ffff:127.0.0.1]:{port}/",
            "http://169.254.169.254/latest/meta-data/", "http://10.0.0.1/", "http://192.168.1.1/"]
    bad = ["file:///etc/passwd", "gopher://example.org/", "http://u:p@example.org/", "not a url", ""]
    jobs = run(jm, {"type": "lit", "params": {"n": -1}},
               *({"type": "any", "params": {"n": i, "url": u}} for i, u in enumerate(urls + bad)),
               http_allow_private="false")
    for job in jobs:
        assert (job["status"], job["attempt"]) == ("failed", 1), job
    for job in jobs[:len(urls) + 1]:
        assert "http_allow_private" in job["error"], (job["params"], job["error"])
    done = deliver(jm, urls[0])
    assert done.returncode == 1 and "http_allow_private" in done.stderr, done.stderr
    assert not server.requests and not server.connections
    jm.check()


def test_name_that_changes_its_address(jm, server):
    """A resolver that gives another address than the one that somebody checked before: the address
    that is connected to is judged. The system's resolver is asked through a hosts file of the test's."""
    probe = subprocess.run(["unshare", "-rm", "true"], capture_output=True)
    if probe.returncode:
        pytest.skip("no user namespaces here")
    hosts = jm.dir / "hosts"
    hosts.write_text("127.0.0.1 rebind.example.com\n10.1.2.3 inside.example.com\n::1 six.example.com\n")
    jm.job_type("get", {"name": "run", "http": {"url": "${params.url}"}})
    for name in ("rebind", "inside", "six"):
        done = subprocess.run(
            ["unshare", "-rm", "sh", "-c", f"mount --bind {hosts} /etc/hosts && exec \"$@\"", "sh",
             str(bin_dir() / "jobmill-worker"), "run", str(jm.jobs_dir / "get.json"),
             "--params", json.dumps({"url": f"http://{name}.example.com:{server.port}/"})],
            capture_output=True, text=True, env=jm.env(), timeout=60)
        assert done.returncode == 1 and f"{name}.example.com" in done.stderr, done.stderr
        assert "http_allow_private" in done.stderr, done.stderr
    assert not server.connections


def test_proxies_of_the_environment_are_ignored(jm, server):
    call(jm, "get", {"url": server.url("/x")})
    jm.start_worker(http_allow_private="true", env={
        "http_proxy": "http://127.0.0.1:1/", "all_proxy": "http://127.0.0.1:1/", "HTTPS_PROXY": "http://127.0.0.1:1/"})
    jm.send({"type": "get"})
    jm.wait_ended(1)
    assert jm.db.statuses() == {"completed": 1}


def test_missing_values_name_themselves(jm, server):
    call(jm, "get", {"url": server.url("/x/${params.id}"), "headers": {"X": "${steps.run.a:-none}"}})
    call(jm, "dots", {"url": server.url("/x/${params.id}/y")})
    call(jm, "line", {"url": server.url("/x"), "headers": {"X-Y": "${params.id}"}})
    jobs = run(jm, {"type": "get", "params": {"n": 1}}, {"type": "get", "params": {"n": 2, "id": ""}},
               {"type": "dots", "params": {"n": 3, "id": ".."}},
               {"type": "line", "params": {"n": 4, "id": "a\r\nX-Evil: 1"}},
               {"type": "get", "params": {"n": 5, "id": "ok"}})
    assert [(j["status"], j["attempt"]) for j in jobs] == [("failed", 1)] * 4 + [("completed", 1)]
    assert "${params.id} is missing" in jobs[0]["error"] and "empty" in jobs[1]["error"]
    assert '".."' in jobs[2]["error"] and "header X-Y" in jobs[3]["error"]
    assert [r.path for r in server.requests] == ["/x/ok"]


def test_stop_aborts_the_transfer(jm, server):
    """A worker that is told to stop twice hands its requests back at once, and the server sees the
    connection go."""
    async def hang(request, exchange):
        while not exchange.is_gone():
            await asyncio.sleep(0.05)
        exchange.end()
    server.routes["/hang"] = hang
    call(jm, "hang", {"url": server.url("/hang"), "timeout_s": 3600})
    worker = jm.start_worker(http_allow_private="true", shutdown_grace_s=60)
    jm.send(*[{"type": "hang"}] * 20)
    wait_until(lambda: len(server.seen("/hang")) == 20, 30, what="20 requests")
    worker.signal(signal.SIGTERM)
    worker.wait_log("stopping", 10)
    started = time.monotonic()
    worker.signal(signal.SIGTERM)
    assert worker.wait(20) == 0
    assert time.monotonic() - started < 10
    wait_until(lambda: not server.open, 10, what="the server sees them go")
    rows = jm.db.rows("SELECT status, attempt, max_attempts FROM jobs")
    assert {(r["status"], r["attempt"], r["max_attempts"]) for r in rows} == {("pending", 1, 4)}


def test_tls_is_verified(jm, tmp):
    """A certificate of an unknown authority is refused; with http_ca_file it is taken, and only for
    its name."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                    "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", tmp / "key.pem",
                    "-out", tmp / "cert.pem"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp / "cert.pem", tmp / "key.pem")
    server = HttpServer(ssl=context)
    try:
        call(jm, "named", {"url": server.url("/named", host="localhost")}, max_attempts=1)
        call(jm, "numbered", {"url": server.url("/numbered")}, max_attempts=1)
        worker = jm.start_worker(http_allow_private="true")
        jm.send({"type": "named"})
        jm.wait_ended(1)
        assert "certificate" in jm.db.value("SELECT error FROM jobs")
        worker.terminate()
        jm.start_worker(http_allow_private="true", http_ca_file=tmp / "cert.pem")
        jm.send({"type": "named"}, {"type": "numbered"})
        jm.wait_ended(3)
        assert jm.db.value("SELECT count(*) FROM jobs WHERE type = 'named' AND status = 'completed'") == 1
        assert jm.db.value("SELECT status FROM jobs WHERE type = 'numbered'") == "failed"
        assert [r.path for r in server.requests] == ["/named"]
    finally:
        server.close()


def test_callbacks_are_signed(jm, server):
    """The built-in type posts params.job, signed by the secret named callback; without one, unsigned."""
    secrets = jm.dir / "secrets"
    secrets.mkdir()
    for name, text in (("callback", "open sesame\n"), ("other", "another secret")):
        (secrets / name).write_text(text)
        (secrets / name).chmod(0o600)
    allow = "--worker.http_allow_private=true"
    url = server.url("/hook")
    done = deliver(jm, url, allow, f"--worker.secrets_dir={secrets}")
    assert done.returncode == 0, done.stderr
    seen, = server.requests
    assert seen.method == "POST" and seen.headers["content-type"] == "application/json"
    assert seen.body == b'{"id":"x-1","type":"import","status":"completed","n":1.10}'
    assert seen.headers["x-jobmill-job"] == "x-1" and seen.headers["x-jobmill-status"] == "completed"
    assert seen.headers["x-jobmill-type"] == "import"
    assert seen.headers["idempotency-key"] == seen.headers["x-jobmill-delivery"] + ":run"
    assert is_signed(seen, b"open sesame")
    done = deliver(jm, url, allow, f"--worker.secrets_dir={secrets}",
                   f"--worker.callback_secret_file={secrets}/other")
    assert done.returncode == 0 and is_signed(server.requests[1], b"another secret"), done.stderr
    done = deliver(jm, url, allow)
    assert done.returncode == 0 and "x-jobmill-signature" not in server.requests[2].headers
    (secrets / "other").unlink()
    done = deliver(jm, url, allow, f"--worker.callback_secret_file={secrets}/other")
    assert done.returncode == 1 and "secret callback: cannot read" in done.stderr, done.stderr
    assert len(server.requests) == 3


def test_five_hundred_at_once(jm):
    many_at_once(jm, 500)
    jm.check()
