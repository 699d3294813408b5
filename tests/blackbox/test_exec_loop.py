"""exec with mode "loop" from end to end: a worker, its children, and what the tables keep."""
import json
import os
import pathlib
import signal

import pytest

from lib.paths import PYTHON
from lib.wait import wait_until

HANDLER = """
import jobmill, os, pathlib, signal, time
HERE = pathlib.Path(__file__).parent

@jobmill.handler
def work(job):
    n = job.params.get("n", 0)
    if job.params.get("hang"):
        (HERE / "begun").write_text(str(os.getpid()))
        try:
            while True: time.sleep(0.05)
        finally:
            (HERE / "cleaned").touch()
    if job.params.get("die") and job.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if job.params.get("garbage") and job.attempt == 1:
        os.write(3, b"garbage\\n")
        time.sleep(60)
    job.info("n is %d" % n)
    print("out", n)
    return {"n": n, "pid": os.getpid()}

jobmill.run()
"""


def loop_type(jm, **more):
    script = jm.script("handler.py", HANDLER)
    return jm.job_type("work", {"name": "run", "exec": {"argv": [PYTHON, script], "mode": "loop"}},
                       backoff={"initial_s": 0.01, "max_s": 0.1}, **more)


def gone(pid):
    return not pathlib.Path(f"/proc/{pid}").exists()


@pytest.mark.tsan
def test_children_die_and_no_job_is_lost(jm):
    """Each fault fails the attempt that had it; every job completes, with its own output and log row."""
    loop_type(jm)
    jm.start_worker(concurrency=4)
    count = 300
    jm.send(*({"type": "work", "params": {"n": n, "die": n % 25 == 3, "garbage": n % 100 == 7}} for n in range(count)))
    jm.wait_ended(count, timeout=100)
    rows = jm.db.rows("SELECT (params->>'n')::int AS n, status, attempt, result FROM jobs ORDER BY 1")
    assert [(r["n"], r["status"], r["result"]["n"]) for r in rows] == [(n, "completed", n) for n in range(count)]
    faulty = {n for n in range(count) if n % 25 == 3 or n % 100 == 7}
    assert {r["n"] for r in rows if r["attempt"] > 1} == faulty
    errors = [e for e, in jm.db.query("SELECT error FROM job_attempts WHERE error IS NOT NULL")]
    assert sum("killed by signal 9 (SIGKILL, Killed)" in e for e in errors) == count // 25
    assert sum("broke the protocol" in e and "garbage" in e for e in errors) == 3
    assert len(errors) == len(faulty)
    assert jm.db.value("SELECT count(*) FROM job_attempts a JOIN jobs j ON j.id = a.job_id "
                       "WHERE a.stdout = format(E'out %s\\n', j.params->>'n')") == count
    assert jm.db.value("SELECT count(*) FROM job_logs l JOIN jobs j ON j.id = l.job_id "
                       "WHERE l.message = format('n is %s', j.params->>'n')") == count
    assert len({r["result"]["pid"] for r in rows}) < 60  # they stay
    jm.check()


def test_cancel_stops_one_job_alone(jm):
    loop_type(jm)
    jm.start_worker(concurrency=4)
    jm.send({"type": "work", "params": {"hang": True}})
    wait_until(lambda: (jm.dir / "begun").exists() and (jm.dir / "begun").read_text(), 30, what="the job hangs")
    pid = int((jm.dir / "begun").read_text())
    hanging = jm.db.value("SELECT id FROM jobs WHERE params ? 'hang'")
    jm.send(*({"type": "work", "params": {"n": n}} for n in range(20)))
    jm.wait_ended(20)
    jm.cli("job", "cancel", str(hanging))
    jm.wait_ended(21)
    assert jm.db.statuses() == {"completed": 20, "cancelled": 1}
    wait_until(lambda: gone(pid), 10, what="its process is gone")
    assert (jm.dir / "cleaned").exists()
    jm.send({"type": "work", "params": {"n": 1}})
    jm.wait_ended(22)
    jm.check()


def test_reload_brings_new_code(jm):
    """SIGHUP, with the definition as it was: the handler's file has changed."""
    loop_type(jm)
    worker = jm.start_worker(concurrency=4)
    jm.send({"type": "work"})
    jm.wait_ended(1)
    pid, = (r["pid"] for r, in jm.db.query("SELECT result FROM jobs"))
    assert not gone(pid)
    (jm.dir / "handler.py").write_text(HANDLER.replace('"n": n,', '"n": "new",'))
    os.kill(worker.pid, signal.SIGHUP)
    wait_until(lambda: gone(pid), 20, what="the idle process is ended")
    jm.send({"type": "work"})
    jm.wait_ended(2)
    assert jm.db.value("SELECT count(*) FROM jobs WHERE result->>'n' = 'new'") == 1
    jm.check()


def test_timeout_is_for_the_job(jm):
    loop_type(jm, timeout_s=1, max_attempts=1)
    jm.start_worker(concurrency=2)
    jm.send({"type": "work", "params": {"hang": True}}, *({"type": "work", "params": {"n": n}} for n in range(20)))
    jm.wait_ended(21)
    assert jm.db.statuses() == {"completed": 20, "failed": 1}
    attempt, = jm.db.rows("SELECT outcome FROM job_attempts WHERE outcome <> 'completed'")
    assert attempt["outcome"] == "timeout"
    jm.check()


def test_worker_stops_with_its_children(jm):
    """A graceful stop waits for the job and leaves no process; kill -9 leaves none either."""
    loop_type(jm)
    worker = jm.start_worker(concurrency=2)
    jm.send({"type": "work"})
    jm.wait_ended(1)
    pid, = (r["pid"] for r, in jm.db.query("SELECT result FROM jobs"))
    assert worker.terminate() == 0
    assert gone(pid)
    worker = jm.start_worker(concurrency=2)
    jm.send({"type": "work", "params": {"n": 2}})
    jm.wait_ended(2)
    pid = json.loads(jm.db.value("SELECT result::text FROM jobs WHERE params ? 'n'"))["pid"]
    worker.kill()
    wait_until(lambda: gone(pid), 20, what="its process is gone")
