"""The suite bites: with a safeguard taken out of the source, the fault test that is there for it
fails every time. Builds a changed copy, so it runs in ./dev chaos only."""
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TIMES = 3  # a test that fails only now and then would not do
FENCE = "AND j.attempt = {}.attempt AND j.worker_id = $1::uuid AND j.status = 'running'"

# What is taken out: (file, text, what stands there instead), and the test that must see it.
MUTATIONS = {
    "fence": (
        [(f"schema/queries/record_{name}.sql", FENCE.format(row), "AND $1::uuid IS NOT NULL")
         for name, row in (("completed", "e"), ("plain", "e"), ("ended", "g"))],
        "tests/chaos/test_processes.py::test_worker_stopped_past_its_lease_and_woken"),
    "offsets stored early": (
        [("worker/consumer.c", '{"enable.auto.offset.store", "false"}',
          '{"enable.auto.offset.store", "true"}')],
        "tests/chaos/test_processes.py::test_killed_between_poll_and_accept"),
    "rescue without a whole lease of contact": (
        [("producer/rescue.c", "reach_ms < lease_ms", "reach_ms < lease_ms / 1000")],
        "tests/chaos/test_servers.py::test_the_janitor_is_back_before_the_worker"),
    "the spool's fsync": (
        [("worker/spool.c", "fdatasync(spool->fd) == 0", "spool->fd >= 0")],
        "test_spool"),
}


def run(*argv, cwd, env=None, timeout=900):
    return subprocess.run(argv, cwd=cwd, env=env, timeout=timeout, capture_output=True, text=True)


def build(source):
    for argv in (["cmake", "--preset", "debug"],
                 ["ninja", "-C", "build/debug", "jobmill", "jobmill-producer", "jobmill-worker",
                  "test_spool"]):
        done = run(*argv, cwd=source)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return source / "build/debug/bin"


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the source, built as it is."""
    source = tmp_path_factory.mktemp("source")
    names = run("git", "ls-files", "-z", cwd=ROOT).stdout.split("\0")
    if names == [""]:  # no repository: a tarball
        names = [str(p.relative_to(ROOT)) for p in ROOT.rglob("*")
                 if p.is_file() and "build" not in p.relative_to(ROOT).parts]
    for name in filter(None, names):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, source / name)
    build(source)
    yield source
    shutil.rmtree(source, ignore_errors=True)


def mutate(source, changes):
    """Changes the copy; returns what undoes it."""
    before = {name: (source / name).read_text() for name, _, _ in changes}
    for name, text, instead in changes:
        now = (source / name).read_text()
        assert now.count(text) == 1, f"{name} has {now.count(text)} times {text!r}: mend this table"
        (source / name).write_text(now.replace(text, instead))
    return before


def failures(bin_dir, test):
    """How many of TIMES runs of the test fail; with what they said."""
    if "::" not in test:  # a unit test
        done = [run(bin_dir / test, cwd=ROOT) for _ in range(TIMES)]
        return sum(d.returncode == 1 for d in done), "".join(d.stdout for d in done)
    env = {n: v for n, v in os.environ.items() if not n.startswith(("PYTEST_", "JOBMILL_TEST_"))}
    env.update(JOBMILL_BIN_DIR=str(bin_dir), PYTHONDONTWRITEBYTECODE="1")
    done = run(sys.executable, "-m", "pytest", "-c", "tests/pytest.ini", "--rootdir", "tests", "-q",
               "-n", "0", test, "--count", str(TIMES), cwd=ROOT, env=env)
    failed = re.search(r"^(\d+) failed", done.stdout, re.M)  # the last line, when none passed
    return int(failed.group(1)) if failed else 0, done.stdout + done.stderr


@pytest.mark.chaos_only
@pytest.mark.parametrize("name", MUTATIONS)
def test_the_suite_bites(copy, name):
    changes, test = MUTATIONS[name]
    before = mutate(copy, changes)
    try:
        failed, said = failures(build(copy), test)
    finally:
        for file, text in before.items():
            (copy / file).write_text(text)
    assert failed == TIMES, f"without {name}, {test} failed {failed} times of {TIMES}:\n{said[-5000:]}"
