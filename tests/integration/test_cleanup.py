"""jobmill cleanup and job delete --older-than: what is old goes and is counted; what is unfinished or young stays."""
import datetime as dt
import json
import signal
import subprocess

import pytest

from lib.api import Api
from lib.ids import uuid7
from lib.paths import bin_dir
from lib.wait import wait_until

COUNTED = ("jobs", "steps", "logs", "attempts", "metadata")


def utc(days):
    return dt.datetime.now(dt.timezone.utc) + dt.timedelta(days=days)


def monday(weeks):
    """The middle of the week that is so many weeks ago."""
    today = utc(0)
    return today - dt.timedelta(days=today.weekday() - 2, weeks=weeks)


def add(db, at, status="completed", project="default", steps=1, logs=2, queue="default"):
    """A job as it is after its end (or not), with rows of all that belongs to it; returns its id."""
    job = uuid7(at.timestamp() * 1000)
    db.execute("SELECT partition_ensure(%s, %s)", at, at)
    db.execute("INSERT INTO jobs (id, project, type, queue, status, outcome, attempt, created_at, completed_at) "
               "VALUES (%s, %s, 't', %s, %s, %s, 1, %s, %s)", job, project, queue, status,
               status if status in ("failed", "cancelled", "expired") else None, at,
               at if status not in ("pending", "running") else None)
    for seq in range(steps):
        db.execute("INSERT INTO job_steps (job_id, attempt, seq, name, status) VALUES (%s, 1, %s, 's', 'success')",
                   job, seq + 1)
    for seq in range(logs):
        db.execute("INSERT INTO job_logs (job_id, attempt, seq, ts, level, message) "
                   "VALUES (%s, 1, %s, %s, 'INFO', 'm')", job, seq + 1, at)
    db.execute("INSERT INTO job_attempts (job_id, attempt, outcome) VALUES (%s, 1, 'completed')", job)
    db.execute("INSERT INTO job_metadata (job_id, key, value) VALUES (%s, 'k', 'v')", job)
    return job


def counts(db):
    return tuple(db.value(f"SELECT count(*) FROM {t}") for t in
                 ("jobs", "job_steps", "job_logs", "job_attempts", "job_metadata"))


def ids(db):
    return {str(i) for (i,) in db.query("SELECT id FROM jobs")}


def cleanup(jm, *args, **more):
    return jm.cli("cleanup", "--json", "--yes", *args, **more).json()


def weeks_of(db):
    return {n for (n,) in db.query("SELECT relname FROM pg_class WHERE relname ~ '^jobs_[0-9]{8}$'")}


def test_whole_weeks_go_as_tables(jm_sql):
    db = jm_sql.db
    gone = [add(db, monday(w)) for w in (9, 8, 8, 7)]
    stay = [add(db, monday(0)), add(db, monday(1))]
    weeks = weeks_of(db)
    dry = cleanup(jm_sql, "--older-than", "30d", "--dry-run")
    assert tuple(dry[k] for k in COUNTED) == (4, 4, 8, 4, 4) and dry["dry_run"] and dry["partitions"] == 0
    assert ids(db) == {*gone, *stay} and not db.query("SELECT FROM audit_log")
    done = cleanup(jm_sql, "--older-than", "30d", "--reason", "disk")
    assert tuple(done[k] for k in COUNTED) == (4, 4, 8, 4, 4)
    assert done["partitions"] == 15 and not done["more"] and len(weeks - weeks_of(db)) == 3
    assert ids(db) == set(stay) and counts(db) == (2, 2, 4, 2, 2)
    audit = db.rows("SELECT action, after, reason, actor FROM audit_log ORDER BY id")
    assert [a["action"] for a in audit] == ["cleanup", "cleaned"]
    assert audit[1]["after"]["jobs"] == 4 and {a["reason"] for a in audit} == {"disk"}
    again = cleanup(jm_sql, "--older-than", "30d")
    assert not any(again[k] for k in (*COUNTED, "partitions", "ticks", "dead_letters"))


def test_an_unfinished_job_stays_with_its_history_and_its_neighbours_go(jm_sql):
    db = jm_sql.db
    running, pending = add(db, monday(8), "running"), add(db, monday(8), "pending")
    for _ in range(5):
        add(db, monday(8))
    gone_week = add(db, monday(9))
    done = cleanup(jm_sql, "--older-than", "30d")
    assert done["jobs"] == 6 and done["logs"] == 12 and done["partitions"] == 5
    assert ids(db) == {running, pending} and counts(db) == (2, 2, 4, 2, 2)
    assert gone_week not in ids(db)
    db.execute("UPDATE jobs SET status = 'completed', completed_at = now()")
    assert cleanup(jm_sql, "--older-than", "30d")["jobs"] == 2


def test_the_border_is_within_a_week(jm_sql):
    """Jobs a minute this side and the other of what is old, in one week."""
    db = jm_sql.db
    old = add(db, utc(-30) - dt.timedelta(minutes=1))
    young = add(db, utc(-30) + dt.timedelta(minutes=1))
    assert cleanup(jm_sql, "--older-than", "30d")["jobs"] == 1
    assert ids(db) == {young} and old not in ids(db)


def test_by_project_and_status(jm_sql):
    db = jm_sql.db
    db.execute("INSERT INTO projects (name) VALUES ('shop')")
    mine = {s: add(db, monday(6), s) for s in ("completed", "failed", "cancelled", "expired", "running")}
    shop = {s: add(db, monday(6), s, "shop") for s in ("completed", "failed")}
    tick(db, -60)
    assert cleanup(jm_sql, "--older-than", "2w", "--project", "shop", "--status", "failed")["jobs"] == 1
    assert ids(db) == {*mine.values(), shop["completed"]}
    done = cleanup(jm_sql, "--older-than", "2w", "--status", "failed,expired")
    assert done["jobs"] == 2 and done["ticks"] == 0
    assert ids(db) == {mine["completed"], mine["cancelled"], mine["running"], shop["completed"]}
    assert cleanup(jm_sql, "--older-than", "2w", "--project", "shop")["jobs"] == 1
    assert cleanup(jm_sql, "--older-than", "2w")["jobs"] == 2
    assert ids(db) == {mine["running"]}


def tick(db, days, until=None, job=None, schedule=None):
    schedule = schedule or uuid7()
    db.execute("INSERT INTO schedule_ticks (schedule_id, due_at, outcome, until, decided_at, job_id) "
               "VALUES (%s, %s, 'skipped', %s, %s, %s)", schedule, utc(days), until and utc(until), utc(days), job)
    return schedule


def test_ledger_and_dead_letters(jm_sql):
    db = jm_sql.db
    db.execute("INSERT INTO projects (name) VALUES ('shop')")
    jm_sql.cli("schedule", "add", "s", "--type", "noop", "--cron", "0 0 1 1 *", "--project", "shop")
    shops = db.value("SELECT id FROM schedules")
    open_job = add(db, monday(6), "running")
    tick(db, -40)
    tick(db, -40, schedule=shops)
    kept = [tick(db, -40, job=open_job), tick(db, -40, until=-3), tick(db, -3)]
    for days, redriven in ((-40, True), (-40, False), (-3, True)):
        db.execute("INSERT INTO dead_letters (id, topic, partition, record_offset, reason, at, redriven_at) "
                   "VALUES (%s, 't', 0, 0, 'bad_json', %s, %s)", uuid7(), utc(days), utc(days) if redriven else None)
    dry = cleanup(jm_sql, "--older-than", "30d", "--dry-run")
    assert (dry["ticks"], dry["dead_letters"]) == (2, 1)
    done = cleanup(jm_sql, "--older-than", "30d", "--project", "shop")
    assert (done["ticks"], done["dead_letters"]) == (1, 0)
    done = cleanup(jm_sql, "--older-than", "30d")
    assert (done["ticks"], done["dead_letters"]) == (1, 1)
    assert {str(s) for (s,) in db.query("SELECT schedule_id FROM schedule_ticks")} == set(kept)
    assert cleanup(jm_sql, "--older-than", "30d", "--dead-letters")["dead_letters"] == 1
    assert db.value("SELECT count(*) FROM dead_letters") == 1


def test_more_than_a_batch(jm_sql):
    """Several batches, with unfinished ones between them, and nothing twice in the count."""
    db = jm_sql.db
    at = monday(5)
    db.execute("SELECT partition_ensure(%s, %s)", at, at)
    db.execute("INSERT INTO jobs (id, type, status) SELECT overlay(uuid7_floor(%s)::text placing lpad(to_hex(n), 12, '0') "
               "from 25)::uuid, 't', CASE WHEN n %% 100 = 0 THEN 'pending' ELSE 'completed' END "
               "FROM generate_series(1, 3500) n", at)
    db.execute("INSERT INTO job_logs (job_id, attempt, seq, ts, level, message) "
               "SELECT id, 1, 1, now(), 'INFO', 'm' FROM jobs")
    done = cleanup(jm_sql, "--older-than", "2w")
    assert (done["jobs"], done["logs"], done["partitions"]) == (3465, 3465, 0)
    assert counts(db) == (35, 0, 35, 0, 0)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_interrupted_one_says_what_went_until_then(jm_sql, name):
    """It is stopped within its second batch, whose last row somebody else holds."""
    db = jm_sql.db
    at = monday(5)
    db.execute("SELECT partition_ensure(%s, %s)", at, at)
    db.execute("INSERT INTO jobs (id, type, status) SELECT overlay(uuid7_floor(%s)::text placing lpad(to_hex(n), 12, '0') "
               "from 25)::uuid, 't', 'completed' FROM generate_series(1, 3500) n", at)
    with db.connect() as other:
        other.execute("BEGIN")
        other.execute("SELECT FROM jobs WHERE id = (SELECT id FROM jobs ORDER BY id OFFSET 1999 LIMIT 1) FOR UPDATE")
        process = subprocess.Popen([bin_dir() / "jobmill", "cleanup", "--older-than", "1w", "--status", "completed", "--yes",
                                    "--json"], env=jm_sql.env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wait_until(lambda: db.value("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                                    "AND wait_event_type = 'Lock'") == 1, 30)
        process.send_signal(getattr(signal, name))
        other.execute("ROLLBACK")
    out, err = process.communicate(timeout=30)
    assert process.returncode == 1 and "interrupted: what was removed before is gone" in err, (process, out, err)
    done = json.loads(out)
    assert (done["jobs"], done["more"]) == (2000, True) and db.value("SELECT count(*) FROM jobs") == 1500
    log = jm_sql.cli("audit", "list", "--object", "cleanup", "--json").json()["items"]
    assert [a["action"] for a in log] == ["cleaned", "cleanup"] and log[0]["after"]["jobs"] == 2000
    assert cleanup(jm_sql, "--older-than", "1w")["jobs"] == 1500


def test_who_does_not_own_the_tables_deletes_rows(jm_sql):
    db = jm_sql.db
    old = add(db, monday(8))
    role = "jmt_cleaner_" + old[-8:]
    db.execute(f'CREATE ROLE "{role}" LOGIN')
    try:
        db.execute(f'GRANT USAGE ON SCHEMA jobmill TO "{role}"')
        db.execute(f'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA jobmill TO "{role}"')
        url = db.url.split("?")[0]
        done = cleanup(jm_sql, "--older-than", "30d", f"--database.url={url}?options=-crole%3D{role}")
        assert (done["jobs"], done["partitions"]) == (1, 0) and not ids(db)
    finally:
        db.execute(f'DROP OWNED BY "{role}"')
        db.execute(f'DROP ROLE "{role}"')


def test_statistics_stay(jm_sql):
    db = jm_sql.db
    add(db, monday(8))
    db.execute("INSERT INTO job_stats (hour, project, type, status, jobs, duration_ms) "
               "VALUES (%s, 'default', 't', 'completed', 1, 5)", monday(8))
    cleanup(jm_sql, "--older-than", "30d")
    assert db.value("SELECT sum(jobs) FROM job_stats") == 1


def test_job_delete_older_than_prints_the_count(jm_sql):
    db = jm_sql.db
    for status in ("completed", "completed", "failed", "running"):
        add(db, monday(8), status)
    tick(db, -60)
    delete = ("job", "delete", "--older-than", "30d")
    assert jm_sql.cli(*delete, "--status", "completed", "--dry-run").out == "2\n"
    assert jm_sql.cli(*delete, "--status", "completed", "--yes").out == "2\n"
    assert jm_sql.cli(*delete, "--yes").out == "1\n"
    assert jm_sql.cli(*delete, "--yes").out == "0\n"
    assert db.statuses() == {"running": 1} and db.value("SELECT count(*) FROM schedule_ticks") == 1
    for wrong in (["job", "delete"], ["job", "delete", "x", "--older-than", "1d"]):
        assert jm_sql.cli(*wrong, check=False).code == 2


@pytest.mark.parametrize("args, why", [
    ((), "older-than"), (("--older-than", "30"), "--older-than"), (("--older-than", "0s"), "older_than"),
    (("--older-than", "40000d"), "older_than"), (("--older-than", "1d", "--status", "running"), "running"),
    (("--older-than", "1d", "--status", "completed,,failed"), "no status"),
    (("--older-than", "1d", "--status", ""), "no status")])
def test_mistakes(jm_sql, args, why):
    wrong = jm_sql.cli("cleanup", "--yes", *args, check=False)
    assert wrong.code == 2 and why in wrong.err, wrong


def test_nothing_without_a_yes(jm_sql):
    db = jm_sql.db
    add(db, monday(8))
    asked = jm_sql.cli("cleanup", "--older-than", "30d", check=False, stdin="")
    assert asked.code == 2 and "--yes" in asked.err and len(ids(db)) == 1
    text = jm_sql.cli("cleanup", "--older-than", "30d", "--yes")
    assert "Jobs:" in text.out and "removed:" in text.err and not ids(db)


def test_what_was_removed_and_what_came_meanwhile(jm):
    """While jobs run and end, a cleanup takes only the old ones."""
    jm.topic()
    old = [add(jm.db, monday(8)) for _ in range(50)]
    jm.start_worker()
    jm.send(*[{"type": "noop"} for _ in range(500)])
    done = cleanup(jm, "--older-than", "30d")
    jm.wait_ended(500)
    assert done["jobs"] == len(old)
    assert jm.db.value("SELECT count(*) FROM jobs") == 500 and not set(old) & ids(jm.db)
    assert json.dumps(done)


# HTTP

@pytest.fixture
def api(jm):
    key = jm.cli("key", "create", "--name", "admin", "--scope", "admin").out.strip()
    return Api.of(jm.start_producer(), key)


def bound(jm, api, project, scope="admin"):
    return api.with_key(jm.cli("key", "create", "--name", "b" + scope, "--scope", scope, "--project", project).out.strip())


def test_over_http(jm, api):
    db = jm.db
    db.execute("INSERT INTO projects (name) VALUES ('shop')")
    mine, shops = [add(db, monday(8)) for _ in range(3)], [add(db, monday(8), project="shop") for _ in range(2)]
    running = add(db, monday(8), "running")
    assert api.post("/cleanup?dry_run=1", {"older_than": "30d"})["jobs"] == 5
    shop = bound(jm, api, "shop")
    shop.post("/cleanup", {"older_than": "30d", "project": "default"}, expect=404)
    assert shop.post("/cleanup", {"older_than": "30d"})["jobs"] == 2
    assert ids(db) == {*mine, running} and not ids(db) & set(shops)
    assert api.post("/cleanup", {"older_than": "30d", "status": "failed"})["jobs"] == 0
    done = api.call("POST", "/api/v1/cleanup", {"older_than": "30d", "jobs_only": True}, X_Reason="disk").json
    assert done["jobs"] == 3 and not done["more"] and ids(db) == {running}
    audit = jm.cli("audit", "list", "--object", "cleanup", "--json").json()["items"]
    assert (audit[0]["action"], audit[0]["actor"], audit[0]["reason"]) == ("cleaned", "key:admin", "disk")
    assert audit[0]["after"]["jobs"] == 3
    bound(jm, api, "shop", "submit").post("/cleanup", {"older_than": "30d"}, expect=403)


@pytest.mark.parametrize("body, pointer", [
    ({}, "/older_than"), ({"older_than": 30}, "/older_than"), ({"older_than": "30"}, "/older_than"),
    ({"older_than": "0s"}, "/older_than"), ({"older_than": "1d", "status": "running"}, "/status"),
    ({"older_than": "1d", "status": 5}, "/status"), ({"older_than": "1d", "project": 5}, "/project"),
    ({"older_than": "1d", "jobs_only": 5}, "/jobs_only"), ({"older_than": "1d", "dead_letters": 5}, "/dead_letters"),
    ({"older_then": "1d"}, "/older_then")])
def test_bad_bodies(jm, api, body, pointer):
    old = add(jm.db, monday(8))
    answer = api.call("POST", "/api/v1/cleanup", body)
    assert answer.status == 400 and answer.json["errors"][0]["pointer"] == pointer, answer
    assert ids(jm.db) == {old}
