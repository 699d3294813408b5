"""Secrets: where they may be used, and that they are found nowhere else."""
import base64
import json
import os
import pathlib
import threading
import urllib.parse

import pytest

from lib.http_server import HttpServer
from lib.topics import read_all
from lib.wait import wait_until

TOKEN = 'tök/en-"7f3a91c2'
KEY = "-----BEGIN KEY-----\nAAAAB3NzaC1yc2EAAAADAQ\nQClMUqd9TJx0jQ2p5vY\n-----END KEY-----"
FORMS = [TOKEN, json.dumps(TOKEN)[1:-1], json.dumps(TOKEN, ensure_ascii=False)[1:-1],
         urllib.parse.quote(TOKEN, safe=""), base64.b64encode(TOKEN.encode()).decode(),
         "AAAAB3NzaC1yc2EAAAADAQ", "QClMUqd9TJx0jQ2p5vY"]


@pytest.fixture
def server():
    one = HttpServer()
    yield one
    one.close()


@pytest.fixture
def secrets(jm):
    path = jm.dir / "secrets"
    path.mkdir(mode=0o700)

    def put(name, text, mode=0o600):
        (path / name).write_text(text)
        (path / name).chmod(mode)
    put("token", TOKEN + "\n")
    put("key", KEY + "\n")
    path_and_put = type("Secrets", (), {"path": path, "put": staticmethod(put)})
    return path_and_put


def assert_none(where, text):
    for form in FORMS:
        assert form not in text, f"{where} has a secret as {form!r}"


def all_rows(db):
    """Every row of every table, as text."""
    tables = [t for t, in db.query(
        "SELECT format('%I', c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = 'jobmill' AND c.relkind IN ('r', 'p') AND NOT c.relispartition")]
    assert len(tables) > 10
    for table in tables:
        # Both as jsonb shows it and unescaped, so that no form hides another.
        for text, in db.query(f"SELECT t::text FROM jobmill.{table} t"):
            yield table, text


class Processes(threading.Thread):
    """Looks at the command line and the environment of every process, again and again."""

    def __init__(self):
        super().__init__(daemon=True)
        self.stopping = threading.Event()
        self.found = set()
        self.children_with = 0
        self.start()

    def run(self):
        forms = [f.encode() for f in FORMS + [KEY]]
        while not self.stopping.wait(0.01):
            for path in pathlib.Path("/proc").glob("[0-9]*"):
                try:
                    command = (path / "cmdline").read_bytes()
                    environ = (path / "environ").read_bytes()
                except OSError:
                    continue
                if any(f in command for f in forms):
                    self.found.add(("cmdline", command))
                if any(f in environ for f in forms):
                    if b"leaky" in command:
                        self.children_with += 1
                    else:
                        self.found.add(("environ", command))

    def end(self):
        self.stopping.set()
        self.join(20)


LEAKY = r"""#!/usr/bin/python3 -u
import base64, json, os, sys, time, urllib.parse
token, key = os.environ["TOKEN"], os.environ["KEY"]
job = json.loads(sys.stdin.readline())
out = os.fdopen(3, "w", buffering=1)
def say(**line): print(json.dumps(line, ensure_ascii=job["job"]["attempt"] == 1), file=out)
time.sleep(0.3)
for text in (token, key, json.dumps(token), urllib.parse.quote(token, safe=""),
             base64.b64encode(token.encode()).decode()):
    print("out", text)
    print("err", text, file=sys.stderr)
    say(log={"message": "log " + text, "details": {text: [text]}})
    say(set={"m": text})
    say(step={"name": "part", "data": {"x": text}, "error": text, "status": "failed"})
# Where output is cut, and where a write ends, no half of it may be left.
sys.stdout.write("x" * 500 + token * 500); sys.stdout.flush()
for c in token.encode():
    os.write(2, bytes([c])); time.sleep(0.001)
os.write(2, b"\n")
os.write(2, b"y" * (8192 - 5) + token.encode() + b"\n")
os.write(3, b'not json ' + token.encode() + b'\n')
open(os.path.join(os.environ["JOBMILL_OUTPUT_DIR"], token.replace("/", "")), "w").write("x")
say(result={"deep": [{"t": token, "k": key}]})
print("the end", token, file=sys.stderr)
sys.exit(int(job["job"]["params"].get("exit", 0)))
"""


def test_a_secret_is_found_nowhere(jm, server, secrets):
    """A handler, a server and errors do what they can to give secrets away; every row of every table,
    every log line, every message and every process is searched for them."""
    leaky = jm.script("leaky.py", LEAKY)
    env = {"TOKEN": "${secret:token}", "KEY": "${secret:key}", "BOTH": "a ${secret:token} b $${x}"}
    jm.job_type("leaky", {"name": "run", "exec": {"argv": [leaky], "env": env,
                                                  "limits": {"output_bytes": 700}}}, max_attempts=2,
                backoff={"initial_s": 0.1})
    jm.job_type("twice", {"name": "a", "exec": {"argv": [leaky], "env": env}},
                {"name": "b", "http": {"url": server.url("/echo"), "body": {"d": "${steps.a}"}}})
    jm.job_type("call", {"name": "run", "http": {
        "url": server.url("/${params.to}?t=${secret:token}"), "redirects": 2,
        "headers": {"Authorization": "Bearer ${secret:token}"},
        "body": {"t": "${secret:token}", "text": "is ${secret:token}", "k": "${secret:key}"}},
        "set": {"url": "/body/path"}}, max_attempts=2, backoff={"initial_s": 0.1})
    jm.job_type("gone", {"name": "run", "http": {"url": "http://127.0.0.1:1/${secret:token}"}}, max_attempts=1)
    jm.job_type("host", {"name": "run", "http": {"url": "${secret:token}"}}, max_attempts=1)

    def tell(request, exchange):
        exchange.answer(500, request.body + TOKEN.encode(), {"X-Request-Id": "id-7f3a", "Link": "<" + FORMS[3] + ">"})
    server.routes["/tell"] = tell
    server.routes["/away"] = lambda r, x: x.answer(302, "", {"Location": "/tell?" + FORMS[3]})
    processes = Processes()
    worker = jm.start_worker(http_allow_private="true", secrets_dir=secrets.path,
                             **{"log.level": "debug", "events.publish": "all"})
    producer = jm.start_producer()
    jm.send({"type": "leaky"}, {"type": "leaky", "params": {"exit": 1}}, {"type": "twice"},
            {"type": "call", "params": {"to": "echo"}}, {"type": "call", "params": {"to": "tell"}},
            {"type": "call", "params": {"to": "away"}}, {"type": "gone"}, {"type": "host"})
    jm.wait_ended(8)
    processes.end()
    # They were used.
    bodies = [json.loads(r.body) for r in server.seen("/echo") if b'"text"' in r.body]
    assert bodies == [{"t": TOKEN, "text": "is " + TOKEN, "k": KEY}]
    assert processes.children_with, "no child was seen with the secret: the search sees nothing"
    statuses = {(j["type"], j["params"].get("to") or j["params"].get("exit")): j["status"]
                for j in jm.db.rows("SELECT * FROM jobs")}
    assert statuses == {("leaky", None): "completed", ("leaky", 1): "failed", ("twice", None): "completed",
                        ("call", "echo"): "completed", ("call", "tell"): "failed", ("call", "away"): "failed",
                        ("gone", None): "failed", ("host", None): "failed"}
    # They left a trace, and it is masked.
    masked = 0
    for table, text in all_rows(jm.db):
        assert_none(f"a row of {table}", text)
        assert_none(f"a row of {table}", text.encode().decode("unicode_escape", "replace"))
        masked += text.count("[secret]")
    assert masked > 50
    cut, = jm.db.query("SELECT stdout, stderr FROM job_attempts a JOIN jobs j ON j.id = a.job_id "
                       "WHERE j.type = 'leaky' AND j.status = 'completed'")
    for text in cut:
        for n in range(5, len(TOKEN)):
            assert TOKEN[:n] not in text and TOKEN[-n:] not in text, text
    worker.terminate()
    producer.terminate()
    assert not processes.found, processes.found
    for program in (worker, producer):
        assert_none(f"the log of {program.name}", program.text())
    topics = [t for t in jm.kafka.admin().list_topics(timeout=10).topics if t.startswith(jm.prefix)]
    records = [r for t in topics for r in read_all(jm.bootstrap, t)]
    assert len(records) >= 8
    for record in records:
        for part in (record.key, record.value, *(record.headers or {}).values()):
            assert_none("a record", (part or b"").decode("utf-8", "replace"))


def test_loop_mode_masks_in_every_job(jm, secrets):
    """A child that stays keeps its secrets; each of its jobs is masked, not only the first."""
    echo = jm.script("echo.py", """#!/usr/bin/python3 -u
import json, os, sys
out = os.fdopen(3, "w", buffering=1)
for line in sys.stdin:
    job = json.loads(line)
    print("err", os.environ["TOKEN"], file=sys.stderr)
    print(json.dumps({"result": {"t": os.environ["TOKEN"], "n": job["job"]["params"]["n"]}}), file=out)
    print(json.dumps({"end": {"exit": 0}}), file=out)
""")
    secrets.put("token", "another-4be1")  # the other test looks at all processes
    jm.job_type("echo", {"name": "run", "exec": {"argv": [echo], "mode": "loop",
                                                 "env": {"TOKEN": "${secret:token}"}}})
    jm.start_worker(secrets_dir=secrets.path)
    for n in range(3):
        jm.send({"type": "echo", "params": {"n": n}})
        jm.wait_ended(n + 1)
    rows = jm.db.query("SELECT result->>'t' FROM jobs ORDER BY id")
    assert rows == [("[secret]",)] * 3
    for table, text in all_rows(jm.db):
        assert "another-4be1" not in text, table


def test_secrets_that_cannot_be_had(jm, secrets):
    """Missing, open to everybody, or no directory: the job says which and why, is tried again, and
    goes on once the file has been put right."""
    secrets.put("open", "for-all-to-see", 0o644)
    show = jm.script("show.sh", "#!/bin/sh\necho \"{\\\"len\\\":${#S}}\"\n")
    for name in ("absent", "open"):
        jm.job_type(name, {"name": "run", "exec": {"argv": [show], "env": {"S": "${secret:%s}" % name}}},
                    max_attempts=100, backoff={"initial_s": 0.3, "factor": 1, "jitter": 0})
    jm.start_worker(secrets_dir=secrets.path)
    jm.send({"type": "absent"}, {"type": "open"})

    def said(word):
        return jm.db.value("SELECT count(*) FROM job_attempts WHERE error LIKE %s", f"%{word}%")
    wait_until(lambda: said("secret absent: cannot read") and said("chmod o-rw"), 30, what="why it fails")
    assert not said("for-all-to-see")
    secrets.put("absent", "here it is\n")
    (secrets.path / "open").chmod(0o600)
    jm.wait_ended(2)
    assert jm.db.query("SELECT type, status, (result->>'len')::int FROM jobs ORDER BY type") == [
        ("absent", "completed", 10), ("open", "completed", 14)]
    # Changed files are read again, without a signal.
    secrets.put("absent", "now it is longer\n")
    jm.send({"type": "absent"})
    jm.wait_ended(3)
    assert jm.db.value("SELECT max((result->>'len')::int) FROM jobs WHERE type = 'absent'") == 16


@pytest.mark.parametrize("env, says", [({"A": "${params.x}"}, "only ${secret:NAME}"),
                                       ({"A": "${secret:../x}"}, "a secret's name"),
                                       ({"A": "${nope}"}, "there is no")])
def test_what_may_not_stand_in_env(jm_sql, env, says):
    path = jm_sql.job_type("t", {"name": "run", "exec": {"argv": ["/bin/true"], "env": env}})
    done = jm_sql.cli("type", "check", path, check=False)
    assert done.code == 1 and says in done.err and "t.json:1:" in done.err, done
    assert os.path.exists(path)
