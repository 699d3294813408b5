"""jobmill dev: servers, programs and one's own job types, reloaded when a file changes, and nothing left."""
import json
import os
import pathlib
import re
import signal
import subprocess

import pytest

from lib.paths import bin_dir
from lib.procs import Program
from lib.wait import wait_until

JOBMILL = bin_dir() / "jobmill"


def definition(jobs, name, script):
    (jobs / f"{name}.sh").write_text(f"#!/bin/sh\n{script}\n")
    (jobs / f"{name}.sh").chmod(0o755)
    steps = [{"name": "run", "exec": {"argv": [str(jobs / f"{name}.sh")]}}]
    (jobs / f"{name}.json").write_text(json.dumps({"type": name, "steps": steps}))


class Dev:
    def __init__(self, tmp_path, *args, cwd=None):
        env = {**os.environ, "JOBMILL_DATABASE_URL": "postgresql://elsewhere/", "JOBMILL_KAFKA_SECURITY_PROTOCOL": "ssl"}
        self.program = Program([JOBMILL, "dev", *args, "--http.listen=127.0.0.1:0"], tmp_path / "dev.log", env=env, cwd=cwd)

    def ready(self):
        # Both programs say that they are ready, in one log.
        self.program.wait_log("producer: ready", 90).wait_log("worker: ready", 60)
        self.env = dict(re.findall(r"(JOBMILL_\w+)='([^']*)'", self.program.text()))
        return self

    @property
    def directory(self):
        return pathlib.Path(self.env["JOBMILL_DATABASE_URL"].split("host=")[1]).parent

    def cli(self, *args):
        return subprocess.run([JOBMILL, *args], env={**os.environ, **self.env}, capture_output=True, text=True,
                              timeout=60, check=True).stdout.strip()

    def result(self, kind):
        job = self.cli("job", "submit", "--type", kind)
        self.cli("job", "wait", job, "--timeout", "30")
        return json.loads(self.cli("job", "result", job))


def left_behind(directory):
    found = []
    for cmdline in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if os.fsencode(directory) in cmdline.read_bytes():
                found.append(cmdline.parent.name)
        except OSError:
            pass
    return found


def test_types_are_reloaded_and_nothing_is_left(tmp_path):
    jobs = tmp_path / "jobs.d"
    jobs.mkdir()
    definition(jobs, "hello", "echo '{\"n\":1}'")
    dev = Dev(tmp_path, cwd=tmp_path).ready()
    assert dev.result("hello") == {"n": 1}
    definition(jobs, "other", "echo '{\"n\":2}'")
    dev.program.wait_log("worker: reloaded", 30)
    assert dev.result("other") == {"n": 2}
    # What is wrong with a file is said, and what was there before stays.
    (jobs / "hello.json").write_text("{")
    dev.program.wait_log("hello.json:1", 30)
    assert dev.result("hello") == {"n": 1}
    directory = dev.directory
    dev.program.signal(signal.SIGINT)
    assert dev.program.wait(60) == 0
    assert not directory.exists()
    wait_until(lambda: not left_behind(directory), 10)


def test_new_directories_are_watched(tmp_path):
    jobs = tmp_path / "jobs.d"
    jobs.mkdir()
    dev = Dev(tmp_path, jobs).ready()
    (jobs / "lib").mkdir()
    dev.program.wait_log("worker: reloaded", 30)
    (jobs / "lib" / "helper.py").write_text("x = 1\n")
    dev.program.wait_log("worker: reloaded", 30, times=2)
    assert dev.program.terminate(60) == 0


def test_none_outlives_it(tmp_path):
    """Killed, it takes its programs along."""
    (tmp_path / "jobs.d").mkdir()
    dev = Dev(tmp_path, tmp_path / "jobs.d").ready()
    directory = dev.directory
    assert left_behind(directory)
    dev.program.kill()
    wait_until(lambda: not left_behind(directory), 60)
    subprocess.run(["rm", "-r", directory], check=True)


def test_a_program_that_ends_ends_it(tmp_path):
    (tmp_path / "jobs.d").mkdir()
    dev = Dev(tmp_path, tmp_path / "jobs.d").ready()
    broker, = [pid for pid in left_behind(dev.directory)
               if b"jobmill-broker" in pathlib.Path("/proc", pid, "cmdline").read_bytes()]
    os.kill(int(broker), signal.SIGKILL)
    assert dev.program.wait(90) == 1
    assert "broker was ended by signal 9" in dev.program.text()
    assert not dev.directory.exists()


@pytest.mark.parametrize("args, said", [
    (["nowhere"], "mkdir -p nowhere makes it"), (["a", "b"], "unexpected argument b"), ([], "jobs.d")])
def test_a_directory_that_is_not_there(tmp_path, args, said):
    done = subprocess.run([JOBMILL, "dev", *args], cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2 and said in done.stderr


def test_a_wrong_option_is_said_before_anything_runs(tmp_path):
    (tmp_path / "jobs.d").mkdir()
    dev = Dev(tmp_path, tmp_path / "jobs.d", "--worker.concurency=2")
    assert dev.program.wait(90) == 2
    assert "did you mean concurrency?" in dev.program.text() and "ready" not in dev.program.text()
