"""Handlers from end to end: what a child says, floods, breaks or leaves behind, and what the tables keep."""
import json
import os
import pathlib
import signal

import pytest

from lib.wait import wait_until

PYTHON_HEAD = """#!/usr/bin/python3
import json, os, sys, time
job = json.loads(sys.stdin.readline())
out = os.fdopen(3, "w", buffering=1)
def say(**line): print(json.dumps(line), file=out)
"""


def wait_file(path, timeout=30):
    return wait_until(lambda: path.exists() and path.read_text().strip(), timeout, what=f"{path} is written")


def gone(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "ZX"
    except FileNotFoundError:
        return True


@pytest.mark.tsan
def test_a_long_step_is_seen_while_it_runs(jm):
    slow = jm.script("slow.py", PYTHON_HEAD + f"""
say(log={{"message": "begun"}})
say(progress={{"total": 2, "ok": 1}})
say(set={{"region": "eu", "n": 12345678901234567890}})
say(step={{"name": "part", "status": "running"}})
while not os.path.exists("{jm.dir}/go"): time.sleep(0.02)
say(step={{"name": "part", "data": [1]}})
say(progress={{"ok": 2}})
say(result={{"done": True}})
""")
    jm.job_type("slow", {"name": "run", "exec": {"argv": [slow]}, "set": {"flag": "/done"}},
                searchable=["region", "n", "flag"])
    jm.start_worker()
    jm.send({"type": "slow", "metadata": {"mine": "x"}})
    wait_until(lambda: jm.db.query("SELECT name, status FROM job_steps ORDER BY seq")
               == [("run", "running"), ("part", "running")], 20, what="running rows")
    wait_until(lambda: jm.db.value("SELECT count(*) FROM job_logs WHERE message = 'begun'") == 1, 20,
               what="log while it runs")
    job, = jm.db.rows("SELECT * FROM jobs")
    assert job["status"] == "running" and (job["items_total"], job["items_ok"]) == (2, 1)
    assert not jm.db.rows("SELECT * FROM job_steps WHERE completed_at IS NOT NULL")
    (jm.dir / "go").touch()
    jm.wait_ended(1)
    job, = jm.db.rows("SELECT * FROM jobs")
    assert job["status"] == "completed" and job["result"] == {"done": True}
    assert job["metadata"] == {"mine": "x", "region": "eu", "n": 12345678901234567890, "flag": True}
    assert (job["items_total"], job["items_ok"], job["items_failed"]) == (2, 2, None)
    assert jm.db.query("SELECT key, value FROM job_metadata ORDER BY key") == [
        ("flag", "true"), ("n", "12345678901234567890"), ("region", "eu")]
    steps = jm.db.rows("SELECT * FROM job_steps ORDER BY seq")
    assert [(s["name"], s["status"], s["data"]) for s in steps] == [
        ("run", "success", {"done": True}), ("part", "success", [1])]
    assert all(s["duration_ms"] >= 100 and s["completed_at"] for s in steps)
    assert len(jm.db.rows("SELECT * FROM job_logs")) == 2
    jm.check()


def test_what_a_handler_may_do_wrong(jm):
    """Floods, broken lines, bytes that are no text, values at the edge of jsonb: rows, never a fault."""
    wild = jm.script("wild.py", PYTHON_HEAD + r"""
raw = out.buffer if hasattr(out, "buffer") else None
out.flush()
os.write(3, b'not json\n{"log":{"message":"a\\u0000b"}}\n{"log":{"message":"\xff"}}\n{"result":1e999}\n')
os.write(3, b'{"set":{"deep":{"a":1}}}\n{"logs":{}}\n{"end":{"exit":0}}\n')
os.write(3, b'{"step":{"name":"\xf0\x9f\x8c\x8d","data":{"big":' + b"9" * 900 + b',"small":1e-300,"x":1.10}}}\n')
os.write(3, b'{"step":{"name":"run"}}\n')
os.write(3, b"{" + b" " * 3000000 + b"}\n")
os.write(2, b"\xff\x00 in stderr\n")
os.write(1, b"\xc3")
for n in range(12000): sys.stderr.write("line %d\n" % n)
sys.stderr.flush()
os.write(3, b'{"result":' + b"[" * 30 + b"]" * 30 + b"}\n")
""")
    jm.job_type("wild", {"name": "run", "exec": {"argv": [wild]}})
    jm.start_worker()
    jm.send({"type": "wild"})
    jm.wait_ended(1)
    job, = jm.db.rows("SELECT * FROM jobs")
    assert job["status"] == "completed", job["error"]
    assert json.dumps(job["result"]).count("[") == 30
    messages = [m for m, in jm.db.query("SELECT message FROM job_logs ORDER BY seq")]
    assert 10_000 <= len(messages) <= 10_002
    broken = [m for m in messages if "is not understood" in m]
    assert len(broken) == 7, broken
    assert any("longer than 1 MiB" in m for m in messages)
    assert any("name of a step of the definition" in m for m in messages)
    assert any("more than 10000 log lines" in m for m in messages)
    assert "�� in stderr" in messages
    seqs = [s for s, in jm.db.query("SELECT seq FROM job_logs ORDER BY seq")]
    assert seqs == list(range(1, len(seqs) + 1))
    step, = jm.db.rows("SELECT data->>'big' AS big, data->>'x' AS x FROM job_steps WHERE name = '🌍'")
    assert step["big"] == "9" * 900 and step["x"] == "1.10"
    attempt, = jm.db.rows("SELECT * FROM job_attempts")
    assert attempt["stdout"] == "�\n" and "bytes left out" in attempt["stderr"]
    jm.check()


def test_timeout_is_recorded_as_such(jm):
    jm.job_type("stuck", ["/bin/sh", "-c", "trap '' TERM; while :; do sleep 60; done"], timeout_s=1,
                max_attempts=1)
    jm.start_worker()
    jm.send({"type": "stuck"})
    jm.wait_ended(1)
    job, = jm.db.rows("SELECT * FROM jobs")
    assert job["status"] == "failed" and "timed out" in job["error"]
    attempt, = jm.db.rows("SELECT * FROM job_attempts")
    assert (attempt["outcome"], attempt["return_code"]) == ("timeout", 128 + signal.SIGKILL)
    jm.check()


def test_permanent_failure_and_no_such_profile(jm):
    jm.job_type("data", ["/bin/sh", "-c", "exit 65"], profiles={"a": {}})
    jm.start_worker()
    jm.send({"type": "data"}, {"type": "data", "profile": "b"})
    jm.wait_ended(2)
    rows = jm.db.rows("SELECT profile, status, attempt, error FROM jobs ORDER BY profile NULLS FIRST")
    assert [(r["status"], r["attempt"]) for r in rows] == [("failed", 1), ("failed", 1)]
    assert "exit status 65" in rows[0]["error"] and 'no profile "b"' in rows[1]["error"]
    jm.check()


def test_killed_worker_leaves_no_child(jm):
    """Neither the child, nor its child, nor one that went its own way."""
    family = jm.script("family.sh", f"""#!/bin/sh
sleep 3600 & echo $! > {jm.dir}/child
setsid sh -c 'echo $$ > {jm.dir}/stray; exec sleep 3600' &
echo $$ > {jm.dir}/self
wait
""")
    jm.job_type("family", [family])
    worker = jm.start_worker()
    jm.send({"type": "family"})
    pids = [int(wait_file(jm.dir / name)) for name in ("self", "child", "stray")]
    assert not any(gone(pid) for pid in pids)
    os.kill(worker.pid, signal.SIGKILL)
    worker.expected = True if hasattr(worker, "expected") else None
    for pid in pids:
        wait_until(lambda pid=pid: gone(pid), 20, what=f"process {pid} is gone")


def test_reload_keeps_what_was_sound(jm):
    path = jm.job_type("edited", ["/bin/sh", "-c", "echo '{\"v\":1}'"])
    worker = jm.start_worker()
    path.write_text('{"type":"edited",\n "steps":5}')
    jm.job_type("added", ["/bin/true"])
    os.kill(worker.pid, signal.SIGHUP)
    worker.wait_log("edited.json:2:10: /steps:", 20)
    jm.send({"type": "edited"}, {"type": "added"})
    jm.wait_ended(2)
    assert jm.db.query("SELECT type, status, result FROM jobs ORDER BY type") == [
        ("added", "completed", None), ("edited", "completed", {"v": 1})]
    jm.job_type("edited", ["/bin/sh", "-c", "echo '{\"v\":2}'"])
    os.kill(worker.pid, signal.SIGHUP)

    def second_definition():
        jm.send({"type": "edited"})
        return jm.db.value("SELECT count(*) FROM jobs WHERE result = '{\"v\":2}'") > 0
    wait_until(second_definition, 20, 0.3, what="the new definition")


def test_run_and_check_need_no_server(jm):
    path = jm.job_type("greet", ["/bin/sh", "-c", "echo hi >&2; echo '{\"ok\":true}'"],
                       ["/bin/sh", "-c", "test $JOBMILL_ATTEMPT -ge 2"], backoff={"initial_s": 0.1})
    nowhere = {"JOBMILL_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
               "JOBMILL_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    place = f"--worker.jobs_dir={jm.jobs_dir}"
    first = jm.cli("run", "greet", place, check=False, env=nowhere)
    assert first.code == 1 and "step s2" in first.err and "hi" in first.err, first
    second = jm.cli("run", "greet", place, "--attempts", "2", env=nowhere)
    assert json.loads(second.out) == {"ok": True}, second
    assert second.err.count("hi\n") == 1, second  # the first step is not run again
    assert jm.cli("run", "nothing", place, check=False).code == 3
    assert jm.cli("run", "greet", place, "--params", "5", check=False).code == 2
    assert "greet with 2 steps" in jm.cli("type", "check", path).out
    path.write_text('{"type":"greet","steps":[{"name":"a","exec":{"argv":[]}}]}')
    broken = jm.cli("type", "check", path, check=False)
    assert broken.code == 1 and f"{path}:1:53: /steps/0/exec/argv" in broken.err, broken
