"""jobmill lock: every verb, what it prints and its exit codes."""
import os
import pathlib
import signal
import subprocess
import time

from lib.paths import bin_dir
from lib.wait import wait_until


def token_of(result):
    assert result.code == 0, result
    return int(result.out)


def test_acquire_extend_release(jm_sql):
    cli, db = jm_sql.cli, jm_sql.db
    first = token_of(cli("lock", "acquire", "a", "--ttl", "1h", "--owner", "me"))
    again = cli("lock", "acquire", "a", check=False)
    assert again.code == 1 and "lock a is held by me" in again.err
    assert token_of(cli("lock", "acquire", "b")) > first
    owner = db.value("SELECT owner FROM locks WHERE name = 'b'")
    assert str(os.getpid()) in owner
    before = db.value("SELECT expires_at FROM locks WHERE name = 'a'")
    cli("lock", "extend", "a", "--token", first, "--ttl", "2h")
    assert (db.value("SELECT expires_at FROM locks WHERE name = 'a'") - before).seconds > 3000
    wrong = cli("lock", "release", "a", "--token", first + 1000, check=False)
    assert wrong.code == 1 and f"me holds it with token {first}" in wrong.err
    cli("lock", "release", "a", "--token", first)
    gone = cli("lock", "extend", "a", "--token", first, check=False)
    assert gone.code == 1 and "it is free" in gone.err
    assert token_of(cli("lock", "acquire", "a")) > first


def test_a_token_expires(jm_sql):
    cli = jm_sql.cli
    token = token_of(cli("lock", "acquire", "a", "--ttl", "0.3"))
    later = token_of(cli("lock", "acquire", "a", "--wait", 20, "--ttl", "1"))
    assert later > token
    late = cli("lock", "release", "a", "--token", token, check=False)
    assert late.code == 1 and f"token {token} does not hold lock a" in late.err

    def refused():
        late = cli("lock", "extend", "a", "--token", later, check=False)
        return late.code == 1 and "has expired: it held lock a until" in late.err
    wait_until(lambda: jm_sql.db.value("SELECT expires_at <= clock_timestamp() FROM locks"), 20)
    assert refused()


def test_capacity(jm_sql):
    cli, db = jm_sql.cli, jm_sql.db
    cli("lock", "set", "a", "--capacity", 2)
    tokens = [token_of(cli("lock", "acquire", "a")) for _ in range(2)]
    assert cli("lock", "acquire", "a", check=False).code == 1
    cli("lock", "set", "a", "--capacity", 3)
    tokens.append(token_of(cli("lock", "acquire", "a")))
    items = cli("lock", "list", "--json").json()["items"]
    assert [(i["slot"], i["capacity"], i["token"]) for i in items] == [
        (1, 3, tokens[0]), (2, 3, tokens[1]), (3, 3, tokens[2])]
    # Lowered: who holds it keeps it, and nobody comes in until it is kept again.
    cli("lock", "set", "a", "--capacity", 1)
    for token in tokens:
        assert cli("lock", "acquire", "a", check=False).code == 1
        cli("lock", "release", "a", "--token", token)
    assert db.value("SELECT count(*) FROM locks") == 0
    token_of(cli("lock", "acquire", "a"))
    assert cli("lock", "acquire", "a", check=False).code == 1


def test_bad_input(jm_sql):
    cli = jm_sql.cli
    for args, code in ((("acquire", "order:t/k"), 2), (("acquire", "x" * 201), 2), (("acquire", ""), 2),
                       (("acquire", "a", "--ttl", "soon"), 2), (("acquire", "a", "--owner", "job 1"), 2),
                       (("acquire", "a", "--project", "nobody"), 3), (("set", "a", "--capacity", 0), 2),
                       (("release", "a"), 2), (("release", "a", "--force"), 1), (("extend", "a"), 2),
                       (("run", "a"), 2)):
        assert cli("lock", *args, check=False).code == code, args
    assert cli("lock", "list").out == ""


def test_force(jm_sql):
    cli = jm_sql.cli
    token = token_of(cli("lock", "acquire", "a"))
    cli("lock", "release", "a", "--force")
    assert cli("lock", "release", "a", "--token", token, check=False).code == 1
    jm_sql.db.execute("INSERT INTO locks (project, name, owner, token) "
                      "VALUES ('default', 'j', 'job 01900000-0000-7000-8000-000000000001', 1)")
    held = cli("lock", "release", "j", "--force", check=False)
    assert held.code == 1 and "whose end releases it" in held.err
    assert cli("lock", "release", "j", "--token", 1, check=False).code == 1


def run(jm, *args, **more):
    return subprocess.Popen([bin_dir() / "jobmill", "lock", "run", *args], env=jm.env(), text=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)


def test_run(jm_sql):
    done = jm_sql.cli("lock", "run", "a", "--", "sh", "-c", "echo $JOBMILL_LOCK_TOKEN; exit 7", check=False)
    assert done.code == 7 and int(done.out) > 0
    assert jm_sql.cli("lock", "run", "a", "--", "sh", "-c", "kill -9 $$", check=False).code == 137
    assert jm_sql.cli("lock", "run", "a", "--", "/no/such", check=False).code == 127
    assert jm_sql.db.value("SELECT count(*) FROM locks") == 0
    token_of(jm_sql.cli("lock", "acquire", "a"))
    busy = jm_sql.cli("lock", "run", "a", "--", "true", check=False)
    assert busy.code == 1 and "is held by" in busy.err


def test_run_keeps_its_lock(jm_sql):
    """For longer than it is held ahead; a signal reaches the command."""
    started = time.monotonic()
    child = run(jm_sql, "a", "--ttl", "1", "--", "sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.1; done")
    wait_until(lambda: jm_sql.db.value("SELECT count(*) FROM locks") == 1, 20)
    first = jm_sql.db.value("SELECT expires_at FROM locks")
    while time.monotonic() - started < 3 or jm_sql.db.value("SELECT expires_at FROM locks") == first:
        assert jm_sql.db.value("SELECT count(*) FROM locks WHERE expires_at > clock_timestamp()") == 1
    child.send_signal(signal.SIGTERM)
    assert child.wait(20) == 3
    assert jm_sql.db.value("SELECT count(*) FROM locks") == 0


def test_run_ends_the_command_when_the_lock_is_lost(jm_sql):
    """One that does not end on SIGTERM is killed, with what it has started."""
    pid_file = pathlib.Path(jm_sql.dir) / "pid"
    child = run(jm_sql, "a", "--ttl", "1", "--", "sh", "-c", f"trap '' TERM; sleep 300 & echo $! > {pid_file}; wait; wait")
    wait_until(lambda: pid_file.exists() and pid_file.read_text().strip(), 20)
    jm_sql.cli("lock", "release", "a", "--force")
    assert child.wait(20) == 1
    assert "the lock could not be kept" in child.stderr.read()
    sleeper = int(pid_file.read_text())
    wait_until(lambda: not pathlib.Path(f"/proc/{sleeper}").exists()
               or "\nState:\tZ" in pathlib.Path(f"/proc/{sleeper}/status").read_text(), 10)
