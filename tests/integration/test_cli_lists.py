"""What all lists share: pages, --watch, --json=lines, colours; and job types one by one."""
import json
import re
import signal
import subprocess

import pytest

from lib.paths import bin_dir
from lib.terminal import Terminal
from lib.wait import wait_until

ESCAPE = "\x1b"


@pytest.fixture
def some(jm_sql):
    """Five jobs of one type each."""
    jm_sql.db.execute("""
        INSERT INTO jobs (id, type, project, queue, status, outcome, attempt)
        SELECT overlay(overlay(uuid7_floor(clock_timestamp() - (10 - n) * interval '1 second')::text
                PLACING '7' FROM 15) PLACING '8' FROM 20)::uuid,
            't' || n, 'default', 'default', CASE n WHEN 2 THEN 'failed' ELSE 'completed' END,
            CASE n WHEN 2 THEN 'failed' END, 1
        FROM generate_series(0, 4) n""")
    return jm_sql


def test_json_lines(some):
    lines = some.cli("job", "list", "--json=lines").out.splitlines()
    assert [json.loads(line)["type"] for line in lines] == ["t4", "t3", "t2", "t1", "t0"]
    assert [json.loads(line) for line in lines] == some.cli("job", "list", "--json").json()["items"]
    job = json.loads(lines[0])["id"]
    shown = some.cli("job", "show", job, "--json=lines").out
    assert shown.count("\n") == 1 and json.loads(shown)["id"] == job
    assert some.cli("job", "list", "--type", "none", "--json=lines").out == ""
    assert some.cli("job", "list", "--json=xml", check=False).code == 2


def test_pages(some):
    page = some.cli("job", "list", "--limit", 2, "--offset", 1, "--json").json()["items"]
    assert [job["type"] for job in page] == ["t3", "t2"]
    assert some.cli("job", "list", "--limit", 0, check=False).code == 2


def run_on_terminal(stack, *args, until, environment=None):
    with Terminal([bin_dir() / "jobmill", *args], {**stack.env(), **(environment or {})}) as terminal:
        return terminal.wait(until)


def test_colours_on_a_terminal_only(some):
    plain = some.cli("job", "list").out
    assert ESCAPE not in plain
    always = some.cli("job", "list", "--color", "always").out
    assert f"{ESCAPE}[31mfailed" in always and f"{ESCAPE}[32mcompleted" in always
    assert re.sub(r"\x1b\[\d*m", "", always).split() == plain.split()
    assert f"{ESCAPE}[31mfailed" in run_on_terminal(some, "job", "list", until="t0")
    for args, environment in ((["--color=never"], {}), ([], {"NO_COLOR": "1"}), (["--color=auto"], {"NO_COLOR": "1"})):
        seen = run_on_terminal(some, "job", "list", *args, until="t0", environment=environment)
        assert f"{ESCAPE}[31m" not in seen and "failed" in seen
    job = some.db.value("SELECT id::text FROM jobs WHERE status = 'failed'")
    assert re.search(r"Status: +\x1b\[31mfailed\x1b\[m\n", some.cli("job", "show", job, "--color", "always").out)


def test_watch_prints_again_what_is_new(some):
    process = subprocess.Popen([bin_dir() / "jobmill", "job", "list", "--watch", "0.1", "--limit", "1", "--json=lines"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=some.env())
    try:
        assert json.loads(process.stdout.readline())["type"] == "t4"
        assert json.loads(process.stdout.readline())["type"] == "t4"
        some.cli("job", "submit", "--type", "later")
        wait_until(lambda: json.loads(process.stdout.readline())["type"] == "later", 30)
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == -signal.SIGINT
        process.stdout.close()
        process.stderr.close()


def test_watch_goes_on_when_the_database_does_not_answer(some):
    """The connection is ended under it: what it says then is an error, and the next look is a list again."""
    process = subprocess.Popen([bin_dir() / "jobmill", "worker", "list", "--watch=100ms", "--all"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=some.env())
    try:
        assert "no workers" in process.stderr.readline()
        for _ in range(3):
            wait_until(lambda: some.db.value("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                                             "WHERE application_name LIKE 'jobmill%' AND datname = current_database()"), 30)
            assert process.poll() is None
        some.db.execute("INSERT INTO workers (id, kind, host, pid, version, queues, types, concurrency, lease_s, expires_at) VALUES "
                        "('01900000-0000-7000-8000-00000000000a', 'worker', 'somewhere', 1, '0', '{}', '{}', 1, 30, now())")
        wait_until(lambda: "somewhere" in process.stdout.readline(), 30)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def test_watch_draws_over_what_was_there(some):
    seen = run_on_terminal(some, "job", "list", "--watch=0.1", "--limit=1", until=f"{ESCAPE}[H{ESCAPE}[J")
    assert seen.startswith(f"{ESCAPE}[H{ESCAPE}[J")


@pytest.mark.parametrize("bad", ["--watch=x", "--watch=0", "--watch=2d", "--watch=-1"])
def test_watch_needs_a_time(some, bad):
    result = some.cli("job", "list", bad, check=False)
    assert result.code == 2 and "--watch" in result.err


def test_a_type(jm_sql):
    jm_sql.db.execute("INSERT INTO job_types (name, definition_hash, description, params_schema, max_attempts) VALUES "
                      "('mail', 'a', 'Sends mail', '{\"type\": \"object\"}', 4)")
    text = jm_sql.cli("type", "show", "mail").out
    assert re.search(r"^Name: +mail$", text, re.M) and re.search(r"^Description: +Sends mail$", text, re.M)
    assert jm_sql.cli("type", "show", "mail", "--json").json()["params_schema"] == {"type": "object"}
    gone = jm_sql.cli("type", "show", "male", check=False)
    assert gone.code == 3 and "no worker has announced a type male" in gone.err and "jobmill type list" in gone.err


def test_metadata_is_said_in_one_way(jm_sql):
    """KEY=VALUE or an object, of jobs and of schedules."""
    cli = jm_sql.cli
    for n, metadata in enumerate(({"k": "v", "n": 1}, {"k": "v", "n": 2}, {"k": "a=b"})):
        cli("job", "submit", "--type", "t", "--id", f"j{n}", "--metadata", json.dumps(metadata))
        cli("schedule", "add", f"j{n}", "--every", "1h", "--type", "t", "--metadata", json.dumps(metadata))
    for noun, name in (("job", "external_id"), ("schedule", "name")):
        def found(metadata):
            return sorted(row[name] for row in cli(noun, "list", "--metadata", metadata, "--json").json()["items"])
        assert found("k=v") == found('{"k": "v"}') == ["j0", "j1"]
        assert found('{"k": "v", "n": 2}') == found("n=2") == ["j1"] and found("k=a=b") == ["j2"]
        for wrong in ("k", "=v", "", "[1]", "{"):
            refused = cli(noun, "list", "--metadata", wrong, check=False)
            assert refused.code == 2 and "--metadata is" in refused.err and not refused.out, refused


def test_statistics_in_words(jm_sql):
    """Of nothing there is no rate; a sum says of how many jobs it is."""
    jm_sql.cli("job", "submit", "--type", "t")
    shown = jm_sql.cli("job", "stats", "--sum", "amount").out
    assert "Success rate" not in shown and "Sum:" in shown and "0 of 0 jobs with amount" in shown
    assert jm_sql.cli("job", "stats", "--sum", "amount", "--json").json()["sum"]["key"] == "amount"


def test_help_lists_what_the_worker_reads(jm_sql):
    """run and type test are the worker's: what its help names, that of the command names too."""
    for args, ours in ((["run"], ["run"]), (["test"], ["type", "test"])):
        worker = subprocess.run([bin_dir() / "jobmill-worker", *args, "--help"], capture_output=True, text=True, check=False)
        help_of = jm_sql.cli(*ours, "--help").out
        wanted = set(re.findall(r"--[a-z]+", worker.stdout + worker.stderr)) - {"--help"}
        assert wanted and wanted <= set(re.findall(r"--[a-z]+", help_of)), (wanted, help_of)
