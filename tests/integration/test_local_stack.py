"""compose/local/stack.sh: servers of one's own in any directory."""
import os
import shlex
import signal
import subprocess

import psycopg
import pytest

from lib.paths import ROOT
from lib.servers import kafka_available, pg_bin

STACK = str(ROOT / "compose" / "local" / "stack.sh")


@pytest.fixture
def stack(tmp):
    env = {k: v for k, v in os.environ.items() if not k.startswith("JOBMILL_")}

    def run(verb, *servers, check=True, **more):
        done = subprocess.run([STACK, verb, str(tmp / "stack"), *servers], env={**env, **more}, check=False, timeout=120,
                              capture_output=True, text=True)
        assert not check or done.returncode == 0, done.stderr
        return done
    yield run
    run("remove")


def exports(text):
    """The variables that `env` prints, as a shell would take them."""
    pairs = [shlex.split(line)[1].split("=", 1) for line in text.splitlines()]
    return dict(pairs)


def rows(url, sql):
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(sql)
        return cursor.fetchall() if cursor.description else []


@pytest.mark.skipif(not pg_bin(), reason="no PostgreSQL")
def test_postgres(stack):
    down = stack("env", "postgres", check=False)
    assert (down.returncode, down.stdout) == (1, "")

    assert stack("start", "postgres").stdout == ""
    url = exports(stack("env", "postgres").stdout)["JOBMILL_DATABASE_URL"]
    assert rows(url, "SELECT current_setting('fsync'), current_setting('synchronous_commit')") == [("on", "on")]
    rows(url, "CREATE TABLE kept AS SELECT 1 AS one")
    rows(url, "CREATE DATABASE another")

    pid = stack("pid", "postgres").stdout
    stack("start", "postgres")
    assert stack("pid", "postgres").stdout == pid, "start is harmless when it runs"

    stack("restart", "postgres")
    assert stack("pid", "postgres").stdout != pid
    assert exports(stack("env", "postgres").stdout)["JOBMILL_DATABASE_URL"] == url, "the port stays"
    assert rows(url, "SELECT one FROM kept") == [(1,)]

    stack("stop", "postgres")
    down = stack("env", "postgres", check=False)
    assert (down.returncode, down.stdout) == (1, "")


def test_only_what_was_started_here_is_stopped(stack, tmp):
    """A pid file that names a process of somebody else, because numbers are given out again, stops nobody."""
    other = subprocess.Popen(["sleep", "60"])
    try:
        directory = tmp / "stack" / "postgres"
        directory.mkdir(parents=True)
        (directory / "pid").write_text(f"{other.pid} 12345\n")
        (directory / "port").write_text("1\n")
        assert stack("env", "postgres", check=False).returncode == 1
        stack("kill", "postgres")
        assert other.poll() is None
    finally:
        other.send_signal(signal.SIGKILL)
        other.wait()


@pytest.mark.slow
def test_kafka(stack):
    if not kafka_available():
        if os.environ.get("CI") == "true":
            pytest.fail("no Kafka broker")
        pytest.skip("no Kafka broker")
    stack("start", "kafka")
    servers = exports(stack("env", "kafka").stdout)["JOBMILL_KAFKA_BOOTSTRAP_SERVERS"]
    sent = subprocess.run(["kcat", "-P", "-b", servers, "-t", "here"], input=b"one\n", timeout=60, check=False)
    assert sent.returncode == 0
    stack("restart", "kafka")
    assert exports(stack("env", "kafka").stdout)["JOBMILL_KAFKA_BOOTSTRAP_SERVERS"] == servers
    got = subprocess.run(["kcat", "-C", "-b", servers, "-t", "here", "-e", "-q"], capture_output=True, timeout=60, check=False)
    assert got.stdout == b"one\n"
    stack("stop", "kafka")
    assert stack("env", "kafka", check=False).returncode == 1


def test_existing_broker(stack):
    """A broker that is named is used, and none is started."""
    named = {"JOBMILL_KAFKA_BOOTSTRAP_SERVERS": "kafka.example:9092"}
    stack("start", "kafka", **named)
    assert exports(stack("env", "kafka").stdout) == named
    assert stack("pid", "kafka", check=False).returncode == 1
    stack("stop", "kafka")
    assert stack("env", "kafka", check=False).returncode == 1
