"""What commands do for who sits at a terminal: they ask, show how far they are, and follow what comes."""
import json
import subprocess

import pytest

from lib.paths import bin_dir
from lib.terminal import Terminal
from lib.wait import wait_until

JOB = "0194b0f0-0000-7000-8000-00000000000a"


def add_job(stack, status="running"):
    """A job of now, whose id is given back."""
    return stack.db.value("""
        INSERT INTO jobs (id, type, project, queue, status, outcome, attempt)
        SELECT overlay(overlay(uuid7_floor(clock_timestamp())::text PLACING '7' FROM 15) PLACING '8' FROM 20)::uuid,
            't', 'default', 'default', %s, CASE %s WHEN 'failed' THEN 'failed' END, 1 RETURNING id::text""", status, status)


def add_line(stack, job, seq, level="INFO", attempt=1, message=None):
    stack.db.execute("INSERT INTO job_logs (job_id, attempt, seq, step, ts, level, message) "
                     "VALUES (%s, %s, %s, 'main', clock_timestamp(), %s, %s)",
                     job, attempt, seq, level, message or f"line {seq}")


def end(stack, job, status="completed", error=None):
    stack.db.execute("UPDATE jobs SET status = %s, error = %s, outcome = CASE %s WHEN 'failed' THEN 'failed' END, "
                     "updated_at = clock_timestamp() WHERE id = %s", status, error, status, job)


class Following:
    """jobmill job logs --follow in the background."""

    def __init__(self, stack, *args):
        self.process = subprocess.Popen([bin_dir() / "jobmill", "job", "logs", *args], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, env=stack.env())

    def line(self):
        return self.process.stdout.readline()

    def finish(self):
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err


def test_logs_are_followed_until_the_end(jm_sql):
    job = add_job(jm_sql)
    add_line(jm_sql, job, 1)
    following = Following(jm_sql, job, "-f", "--json")
    assert json.loads(following.line())["message"] == "line 1"
    add_line(jm_sql, job, 2, "ERROR")
    assert json.loads(following.line())["message"] == "line 2"
    add_line(jm_sql, job, 1, attempt=2)
    assert json.loads(following.line())["attempt"] == 2
    assert following.process.poll() is None
    end(jm_sql, job)
    assert following.finish() == (0, "", "")


def test_followed_logs_as_text(jm_sql):
    job = add_job(jm_sql)
    following = Following(jm_sql, job, "--follow", "--level", "warning")
    for seq, level in enumerate(("DEBUG", "INFO", "WARNING", "ERROR"), 1):
        add_line(jm_sql, job, seq, level)
    end(jm_sql, job, "failed", "it broke")
    code, out, err = following.finish()
    assert code == 0
    assert [line.split()[1:] for line in out.splitlines()] == [["WARNING", "1", "main", "line", "3"],
                                                               ["ERROR", "1", "main", "line", "4"]]
    assert err == "the job is failed: it broke\n"


def test_following_a_job_with_more_lines_than_one_look_takes(jm_sql):
    job = add_job(jm_sql, "completed")
    jm_sql.db.execute("INSERT INTO job_logs (job_id, attempt, seq, ts, level, message) SELECT %s, 1, n, clock_timestamp(), "
                      "'INFO', 'line ' || n FROM generate_series(1, 2500) n", job)
    code, out, _ = Following(jm_sql, job, "--follow", "--json").finish()
    assert code == 0 and [json.loads(line)["seq"] for line in out.splitlines()] == list(range(1, 2501))


def test_following_a_job_that_is_deleted(jm_sql):
    job = add_job(jm_sql)
    add_line(jm_sql, job, 1)
    following = Following(jm_sql, job, "--follow")
    assert "line 1" in following.line()
    jm_sql.db.execute("DELETE FROM jobs WHERE id = %s", job)
    code, _, err = following.finish()
    assert code == 3 and "the job has been deleted" in err


def test_following_over_a_lost_connection(jm_sql):
    job = add_job(jm_sql)
    add_line(jm_sql, job, 1)
    following = Following(jm_sql, job, "--follow", "--json")
    assert json.loads(following.line())["seq"] == 1
    wait_until(lambda: jm_sql.db.value("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                                       "WHERE application_name = 'jobmill' AND datname = current_database()"), 30)
    add_line(jm_sql, job, 2)
    assert json.loads(following.line())["seq"] == 2
    end(jm_sql, job)
    assert following.finish()[0] == 0


def test_following_nothing(jm_sql):
    assert jm_sql.cli("job", "logs", "-f", JOB, check=False).code == 3


# ---- asking ----

def on_terminal(stack, *args):
    return Terminal([bin_dir() / "jobmill", *args], stack.env())


def jobs(stack):
    return stack.db.value("SELECT count(*) FROM jobs")


def test_deleting_asks_on_a_terminal(jm_sql):
    job = add_job(jm_sql, "completed")
    with on_terminal(jm_sql, "job", "delete", job) as terminal:
        terminal.wait("Go on? [y/N] ")
        terminal.type("n\n")
        assert terminal.finish() == 1 and "nothing was done" in terminal.text
    assert jobs(jm_sql) == 1
    with on_terminal(jm_sql, "job", "delete", job) as terminal:
        terminal.wait("Go on? [y/N] ")
        terminal.type("y\n")
        assert terminal.finish() == 0
    assert jobs(jm_sql) == 0


def test_yes_does_not_ask(jm_sql):
    job = add_job(jm_sql, "completed")
    with on_terminal(jm_sql, "job", "delete", job, "--yes") as terminal:
        assert terminal.finish() == 0 and "Go on" not in terminal.text
    assert jobs(jm_sql) == 0


@pytest.mark.parametrize("args", [["job", "delete"], ["schedule", "delete"]])
def test_scripts_are_not_asked(jm_sql, args):
    job = add_job(jm_sql, "completed")
    jm_sql.cli("schedule", "add", "s", "--every", "1h", "--type", "t")
    jm_sql.cli(*args, {"job": job, "schedule": "s"}[args[0]])


def test_a_dry_run_is_not_asked(jm_sql):
    jm_sql.cli("schedule", "add", "s", "--every", "1h", "--type", "t")
    with on_terminal(jm_sql, "schedule", "delete", "s", "--dry-run") as terminal:
        assert terminal.finish() == 0 and "Go on" not in terminal.text and "would delete" in terminal.text
    assert jm_sql.cli("schedule", "list", "--json").json()["items"]


# ---- how far it is ----

def test_a_bar_while_much_is_backfilled(jm_sql):
    jm_sql.cli("schedule", "add", "s", "--cron", "* * * * * *", "--type", "t")
    args = ["schedule", "backfill", "s", "--from", "2026-11-01T00:00:00Z", "--to", "2026-11-01T12:00:00Z", "--rate", "100000"]
    with on_terminal(jm_sql, *args) as terminal:
        assert terminal.finish(120) == 0
        assert "] " in terminal.text and " of 43200 instants" in terminal.text and "\r\x1b[K" in terminal.text
        assert terminal.text.split("\r\x1b[K")[-1].startswith("43200 instants")
    again = jm_sql.cli(*args, "--dry-run")
    assert "#" not in again.err and "43200 had been backfilled before" in again.err
