"""Plugins from end to end: built as a stranger builds one, run by a worker, loaded anew, and one that does not return."""
import json
import re
import shutil
import signal
import subprocess
import urllib.request

import pytest

from lib.ids import uuid7
from lib.paths import ROOT, bin_dir
from lib.procs import sanitizer_report

PLUGINS = bin_dir().parent / "plugins"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """What cmake --install puts there for people who write plugins."""
    if not shutil.which("cmake") or not shutil.which("gcc"):
        pytest.skip("no cmake or gcc")
    prefix = tmp_path_factory.mktemp("installed")
    subprocess.run(["cmake", "--install", bin_dir().parent, "--prefix", prefix, "--component", "plugin"],
                   check=True, capture_output=True)
    return prefix


def listening(worker):
    return re.search(r"listening on ([0-9.:]+);", worker.text()).group(1)


def build(installed, source, out):
    subprocess.run(["gcc", "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-shared", "-fPIC",
                    "-I", installed / "include", "-o", out, source], check=True, capture_output=True)
    return str(out)


def test_the_example_is_built_and_run(jm, installed):
    example = next(installed.rglob("plugin_wordcount.c"))
    library = build(installed, example, jm.dir / "wordcount.so")
    jm.job_type("wordcount", {"name": "count", "plugin": {"path": library, "symbol": "wordcount"},
                              "set": {"words": "/words"}})
    big = jm.dir / "big.txt"
    big.write_text("one two three\n" * 20000)
    jm.start_worker()
    jm.send({"type": "wordcount", "id": "text", "params": {"text": "a b\nc"}},
            {"type": "wordcount", "id": "file", "params": {"path": str(big)}},
            {"type": "wordcount", "id": "none", "params": {}})
    jm.wait_ended(3)
    jobs = {j["external_id"]: j for j in jm.db.rows("SELECT * FROM jobs")}
    assert jobs["text"]["status"] == "completed"
    assert jobs["text"]["result"] == {"words": 3, "lines": 1, "bytes": 5}
    assert jobs["text"]["metadata"] == {"words": 3}
    assert jobs["file"]["result"] == {"words": 60000, "lines": 20000, "bytes": 280000}
    assert jobs["file"]["items_ok"] == 280000
    assert (jobs["none"]["status"], jobs["none"]["error"]) == ("failed", "params need text or path")
    assert jobs["none"]["attempt"] == 1
    jm.check()


def test_a_header_for_cplusplus(installed, tmp_path):
    if not shutil.which("g++"):
        pytest.skip("no g++")
    source = tmp_path / "p.cc"
    source.write_text("#include <jobmill_plugin.h>\n"
                      "static int run(jobmill_job *job) { return job->is_cancelled(job); }\n"
                      "JOBMILL_PLUGIN(cc, run);\n")
    subprocess.run(["g++", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-I", installed / "include",
                    "-o", tmp_path / "p.so", source], check=True)
    (tmp_path / "cc.json").write_text('{"type":"cc","steps":[{"name":"run","plugin":{"path":"%s","symbol":"cc"}}]}'
                                      % (tmp_path / "p.so"))
    done = subprocess.run([bin_dir() / "jobmill-worker", "run", tmp_path / "cc.json"], capture_output=True, text=True)
    assert not sanitizer_report(done.stderr)
    assert done.returncode == 0, done.stderr


def test_many_at_once(jm):
    jm.job_type("p", {"name": "run", "plugin": {"path": str(PLUGINS / "plugin_trial.so"), "symbol": "says_all"}})
    jm.start_worker(plugin_threads=3)
    jm.send(*[{"type": "p"} for _ in range(300)])
    jm.wait_ended(300)
    assert jm.db.statuses() == {"completed": 300}
    assert jm.db.value("SELECT count(*) FROM job_steps WHERE name = 'part' AND status = 'failed'") == 300
    jm.check()


def test_cancel_reaches_a_plugin(jm):
    jm.job_type("p", {"name": "run", "plugin": {"path": str(PLUGINS / "plugin_trial.so"), "symbol": "waits_politely"}},
                max_attempts=2, timeout_s=1, backoff={"initial_s": 0.1})
    jm.start_worker()
    jm.send({"type": "p"})
    jm.wait_ended(1)
    job, = jm.db.rows("SELECT * FROM jobs")
    assert (job["status"], job["attempt"]) == ("failed", 2)
    assert job["error"] == "timed out: the job took longer than 1 s"
    assert jm.db.value("SELECT count(*) FROM job_attempts WHERE outcome = 'timeout'") == 2


def test_locks_of_a_plugin(jm):
    """The same as `jobmill lock` has: taken, refused, waited for, extended, released, with tokens that only grow."""
    jm.job_type("l", {"name": "run", "plugin": {"path": str(PLUGINS / "plugin_trial.so"), "symbol": "takes_locks"}},
                max_attempts=1)
    jm.start_worker()

    def run(**params):
        job_id = uuid7()
        jm.send({"type": "l", "id": job_id, "params": params})
        return job_id

    def result(job_id):
        return jm.wait_status(job_id, "completed")["result"]

    first = run(name="mill", release=True)
    assert result(first) == {"token": result(first)["token"], "extended": 0, "released": 0, "again": -1}
    warning = jm.db.value("SELECT message FROM job_logs WHERE level = 'WARNING'")
    assert "lock_release is left out: token" in warning and "does not hold lock mill" in warning
    taken = json.loads(jm.cli("lock", "acquire", "mill", "--ttl", "60", "--owner", "me", "--json").out)
    assert taken["token"] > result(first)["token"]
    assert result(run(name="mill"))["token"] == 0
    waiting = run(name="mill", wait=30)
    jm.wait_status(waiting, "running")
    jm.cli("lock", "release", "mill", "--token", str(taken["token"]))
    assert result(waiting)["token"] > taken["token"]
    held, = json.loads(jm.cli("lock", "list", "--json").out)["items"]
    assert (held["name"], held["owner"]) == ("mill", f"plugin of job {waiting}")
    assert result(run(name="order:l/x"))["token"] == -1
    assert result(run(name=""))["token"] == -1
    jm.check()


@pytest.mark.slow
def test_a_plugin_that_does_not_return(jm):
    """Its job ends, its thread is counted and replaced, and the worker stops in time."""
    jm.job_type("deaf", {"name": "run", "timeout_s": 1,
                         "plugin": {"path": str(PLUGINS / "plugin_trial.so"), "symbol": "is_deaf"}}, max_attempts=1)
    worker = jm.start_worker()
    jm.send({"type": "deaf", "id": "stuck", "params": {"until": f"{jm.dir}/never"}})
    jm.wait_ended(1)
    job, = jm.db.rows("SELECT * FROM jobs")
    assert (job["status"], job["error"]) == ("failed", "timed out: the step took longer than 1 s")
    assert jm.db.value("SELECT count(*) FROM job_logs WHERE message LIKE '%%its thread is given up%%'") == 1
    worker.wait_log("does not return and cannot be killed: thread given up", 5)
    with urllib.request.urlopen(f"http://{listening(worker)}/metrics", timeout=10) as page:
        metrics = page.read().decode().splitlines()
    assert "jobmill_stuck_threads 1" in metrics and "jobmill_stuck_threads_total 1" in metrics
    jm.send({"type": "deaf", "id": "other"})
    jm.wait_ended(2)
    assert jm.db.statuses() == {"failed": 1, "completed": 1}
    worker.signal(signal.SIGTERM)
    assert worker.wait(20) == 0


def test_a_missing_library_is_refused(jm):
    path = jm.job_type("p", {"name": "run", "plugin": {"path": str(PLUGINS / "plugin_trial.so"), "symbol": "is_deaf"}})
    worker = jm.start_worker()
    good = path.read_text()
    path.write_text(good.replace("plugin_trial.so", "absent.so"))
    done = jm.cli("type", "check", path, check=False)
    assert done.code == 1
    assert done.err.startswith(f"{path}:1:") and "/steps/0/plugin/path: " in done.err and "No such file" in done.err
    worker.signal(signal.SIGHUP)
    worker.wait_log("absent.so: cannot open shared object file", 10)
    jm.send({"type": "p"})
    jm.wait_ended(1)
    assert jm.db.statuses() == {"completed": 1}
    path.write_text(good.replace("is_deaf", "outdated"))
    done = jm.cli("type", "check", path, check=False)
    assert done.code == 1 and "built for plugin interface 7 and this worker has 1" in done.err
