"""Every command of jobmill schedule from outside: what it prints, what it changes, what it refuses."""
import datetime as dt
import json
import subprocess
import zoneinfo

import pytest

from lib.paths import bin_dir
from lib.wait import wait_until

SECOND = dt.timedelta(seconds=1)
UTC = dt.timezone.utc
OLD = "2026-01-01T00:00:00Z"


def schedule(jm, *args, **more):
    return jm.cli("schedule", *args, **more)


def add(jm, name, *args, **more):
    return schedule(jm, "add", name, "--type", "noop", *args, **more)


def show(jm, name="s"):
    return schedule(jm, "show", name, "--json").json()


def items(jm, *args):
    return schedule(jm, *args, "--json").json()["items"]


def everything(jm):
    """What a command that is refused must not change."""
    return [jm.db.query(f"SELECT * FROM {table} ORDER BY 1, 2") for table in
            ("schedules", "schedule_ticks", "audit_log", "jobs", "pending_jobs", "locks")]


def at(text):
    return dt.datetime.fromisoformat(text)


def rfc(when):
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


# ---- add ----

def test_add_with_every_option(jm_sql):
    jm = jm_sql
    jm.cli("calendar", "add", "c", "--exclude", "12-25")
    args = ["--cron", "0 9 * * mon-fri", "--timezone", "Europe/Paris", "--calendar", "c", "--exclusive", "x",
            "--callback-url", "https://example.org/done?a=1", "--external-id", "ext-1", "--disabled",
            "--reason", "because", "--params", '{"a": [1, {"b": null}]}', "--metadata", '{"k": "v"}',
            "--profile", "p", "--queue", "q", "--priority", "7", "--description", "d"]
    before = everything(jm)
    dry = add(jm, "s", *args, "--dry-run")
    assert everything(jm) == before and dry.out == "" and dry.err.count("09:00:00") == 3
    added = add(jm, "s", *args)
    row = show(jm)
    assert row["id"] == added.out.strip()
    assert {k: row[k] for k in ("calendar", "exclusive", "callback_url", "external_id", "enabled",
                                "next_run_at", "priority", "queue", "profile")} == {
        "calendar": "c", "exclusive": "x", "callback_url": "https://example.org/done?a=1",
        "external_id": "ext-1", "enabled": False, "next_run_at": None, "priority": 7, "queue": "q",
        "profile": "p"}
    assert "at 09:00 on weekdays, Europe/Paris" in added.err and "it is disabled" in added.err
    [version] = items(jm, "versions", "s")
    assert (version["version"], version["action"], version["reason"]) == (1, "create", "because")
    job = jm.db.job(schedule(jm, "run", "s").out.strip())
    assert {k: job[k] for k in ("exclusive", "callback_url", "params", "metadata", "queue", "priority",
                                "profile", "submitted_by")}["params"] == {"a": [1, {"b": None}]}
    assert (job["exclusive"], job["callback_url"], job["queue"], job["priority"], job["metadata"]) == (
        "x", "https://example.org/done?a=1", "q", 7, {"k": "v"})


# ---- update ----

FIELDS = [
    (["--cron", "5 * * * *"], "cron_expression", "5 * * * *"),
    (["--every", "90s"], "interval_seconds", 90),
    (["--at", "2090-01-01T00:00:00Z"], "run_at", "2090-01-01T00:00:00+00:00"),
    (["--cron", "7 * * * *"], "cron_expression", "7 * * * *"),
    (["--timezone", "Asia/Tokyo"], "timezone", "Asia/Tokyo"),
    (["--dst-gap", "skip"], "dst_gap", "skip"), (["--dst-fold", "both"], "dst_fold", "both"),
    (["--type", "other"], "type", "other"), (["--params", '{"x": 1.10}'], "params", {"x": 1.1}),
    (["--profile", "p"], "profile", "p"), (["--metadata", '{"m": true}'], "metadata", {"m": True}),
    (["--queue", "q"], "queue", "q"), (["--priority", "0"], "priority", 0),
    (["--exclusive", "e"], "exclusive", "e"),
    (["--callback-url", "http://h/"], "callback_url", "http://h/"),
    (["--external-id", "i"], "external_id", "i"), (["--calendar", "c"], "calendar", "c"),
    (["--overlap", "queue"], "overlap", "queue"), (["--max-instances", "3"], "max_instances", 3),
    (["--misfire-grace", "0s"], "misfire_grace_seconds", 0), (["--catch-up", "all"], "catch_up", "all"),
    (["--catch-up-limit", "1"], "catch_up_limit", 1), (["--coalesce-grace"], "coalesce_grace", True),
    (["--no-coalesce-grace"], "coalesce_grace", False), (["--jitter", "1h"], "jitter_seconds", 3600),
    (["--starts-at", "2080-01-01T00:00:00Z"], "starts_at", "2080-01-01T00:00:00+00:00"),
    (["--ends-at", "2095-01-01T00:00:00Z"], "ends_at", "2095-01-01T00:00:00+00:00"),
    (["--description", "'; --"], "description", "'; --"), (["--name", "n'; DROP TABLE jobs; --"], "name",
                                                            "n'; DROP TABLE jobs; --"),
]
CLEARED = {"timezone": "UTC", "dst_gap": None, "dst_fold": None, "params": {}, "profile": None,
           "metadata": None, "queue": "default", "priority": 4, "exclusive": None, "callback_url": None,
           "external_id": None, "calendar": None, "overlap": "skip", "max_instances": 1,
           "misfire_grace_seconds": 300, "catch_up": "one", "catch_up_limit": 100,
           "coalesce_grace": False, "jitter_seconds": 0, "starts_at": None, "ends_at": None,
           "description": None}


def test_update_each_field(jm_sql):
    jm = jm_sql
    jm.cli("calendar", "add", "c", "--exclude", "12-25")
    sid = add(jm, "s", "--every", "1h").out.strip()
    before = show(jm, sid)
    for n, (args, column, value) in enumerate(FIELDS, 2):
        done = schedule(jm, "update", sid, *args)
        row = show(jm, sid)
        assert f"made version {n}" in done.err and row[column] == value and row["version"] == n, args
        changed = {k for k in row if row[k] != before[k]} - {column, "version", "updated_at"}
        allowed = {"next_run_at"} if column != "timezone" else {"next_run_at"}
        if column in ("cron_expression", "interval_seconds", "run_at"):
            allowed |= {"kind", "cron_expression", "interval_seconds", "run_at", "anchor_at"}
        assert changed <= allowed, (args, changed)
        again = schedule(jm, "update", sid, *args)
        assert "nothing changes" in again.err and show(jm, sid) == row, args
        before = row
    versions = items(jm, "versions", sid, "--limit", "100")
    assert [v["version"] for v in versions] == list(range(len(FIELDS) + 1, 0, -1))
    for field in CLEARED:
        schedule(jm, "update", sid, "--clear", field.replace("_", "-"))
    row = show(jm, sid)
    assert {k: row[k] for k in CLEARED} == CLEARED
    assert row["cron_expression"] == "7 * * * *" and row["next_run_at"]
    jm.db.one("SELECT count(*) FROM jobs")


def test_update_conflicts(jm_sql):
    jm = jm_sql
    jm.db.execute("INSERT INTO projects (name) VALUES ('two')")
    add(jm, "a", "--every", "1h")
    add(jm, "b", "--every", "1h")
    add(jm, "c", "--every", "1h", "--project", "two")
    schedule(jm, "update", "a", "--every", "2h", "--if-version", "1")
    before = everything(jm)
    for code, word, args in [
            (1, "version 2", ["a", "--every", "3h", "--if-version", "1"]),
            (1, "version 2", ["a", "--every", "3h", "--if-version", "3"]),
            (1, "already", ["a", "--name", "b"]), (3, "no schedule", ["a", "--project", "two", "--every", "3h"]),
            (3, "no schedule", ["nobody", "--every", "3h"]),
            (2, "every", ["a", "--clear", "every", "--every", "1h"]),
            (2, "--if-version", ["a", "--every", "3h", "--if-version", "0"]),
            (2, "what is to change", ["a"]), (2, "another option", ["a", "--queue", "x", "--clear", "queue"])]:
        done = schedule(jm, "update", *args, check=False)
        assert done.code == code and word in done.err, done
    assert everything(jm) == before
    schedule(jm, "update", "a", "--name", "c")  # of another project
    assert show(jm, "b")["version"] == 1
    dry = schedule(jm, "update", "b", "--every", "5m", "--dry-run")
    assert "would make version 2" in dry.err and show(jm, "b")["interval_seconds"] == 3600
    assert items(jm, "versions", "b")[0]["version"] == 1


def test_two_edits_of_one_version(jm_sql):
    """With --if-version one of two at once succeeds."""
    jm = jm_sql
    add(jm, "s", "--every", "1h")
    for version in range(1, 4):
        argv = [[str(bin_dir() / "jobmill"), "schedule", "update", "s", "--every", f"{n}m", "--if-version",
                 str(version)] for n in (10 * version, 10 * version + 1)]
        both = [subprocess.Popen(a, env=jm.env(), stderr=subprocess.PIPE, text=True) for a in argv]
        codes = sorted(p.wait(60) for p in both)
        for p in both:
            p.stderr.close()
        assert codes == [0, 1] and show(jm)["version"] == version + 1


# ---- enable, disable, pause, resume ----

def test_state(jm_sql):
    jm = jm_sql
    add(jm, "s", "--every", "1h")
    for verb, column, value in [("disable", "enabled", False), ("pause", "paused", True),
                                ("enable", "enabled", True), ("resume", "paused", False)]:
        before = show(jm)
        dry = schedule(jm, verb, "s", "--dry-run")
        assert "would make" in dry.err and show(jm) == before
        schedule(jm, verb, "s", "--reason", f"why {verb}")
        row = show(jm)
        assert row[column] is value and row["version"] == before["version"] + 1
        assert (row["next_run_at"] is None) == (not row["enabled"] or row["paused"])
        assert "nothing changes" in schedule(jm, verb, "s").err
        [version] = items(jm, "versions", "s", "--limit", "1")
        assert (version["action"], version["reason"]) == (verb, f"why {verb}")
        assert show(jm) == row
    assert at(show(jm)["next_run_at"]) == at(show(jm)["anchor_at"]) + dt.timedelta(hours=1)


# ---- delete ----

def test_delete_with_5000_jobs(jm_sql):
    jm = jm_sql
    sid = add(jm, "s", "--cron", "* * * * * *", "--overlap", "allow", "--disabled").out.strip()
    done = schedule(jm, "backfill", "s", "--from", OLD, "--to", "2026-01-01T01:23:20Z", "--rate",
                    "100000", "--json").json()
    assert done["fired"] == 5000
    before = everything(jm)
    assert "would delete" in schedule(jm, "delete", "s", "--dry-run").err
    assert everything(jm) == before
    schedule(jm, "delete", "s", "--reason", "no more")
    assert jm.db.one("SELECT count(*), count(schedule_id), count(due_at) FROM jobs") == (5000, 0, 5000)
    assert schedule(jm, "show", "s", check=False).code == 3
    assert schedule(jm, "delete", "s", check=False).code == 3
    last = items(jm, "versions", sid)[0]
    assert (last["action"], last["reason"], last["version"]) == ("delete", "no more", 2)
    assert last["after"] is None and last["before"]["cron_expression"] == "* * * * * *"
    add(jm, "s", "--every", "1h")  # the name is free again
    assert items(jm, "history", "s") == []


def test_delete_while_a_job_runs(jm):
    jm.start_producer()
    jm.start_worker()
    schedule(jm, "add", "s", "--every", "1h", "--type", "sleep", "--params", '{"seconds": 2}', "--overlap",
             "queue")
    first = schedule(jm, "run", "s").out.strip()
    second = schedule(jm, "run", "s").out.strip()
    jm.wait_status(first, "running")
    schedule(jm, "delete", "s")
    for job in first, second:
        jm.wait_status(job, "completed")
    wait_until(lambda: jm.db.value("SELECT count(*) FROM jobs WHERE schedule_id IS NOT NULL") == 0, 30,
               what="no job names it")
    assert jm.db.value("SELECT count(*) FROM job_attempts WHERE outcome <> 'completed'") == 0


# ---- run ----

@pytest.mark.parametrize("verb", [None, "disable", "pause"])
def test_run(jm_sql, verb):
    jm = jm_sql
    sid = add(jm, "s", "--every", "1h").out.strip()
    if verb:
        schedule(jm, verb, "s")
    before = show(jm)
    argv = [str(bin_dir() / "jobmill"), "schedule", "run", "s", "--reason", "now"]
    both = [subprocess.Popen(argv, env=jm.env(), stdout=subprocess.PIPE, text=True) for _ in range(2)]
    jobs = {p.communicate(timeout=60)[0].strip() for p in both}
    assert len(jobs) == 2 and all(p.returncode == 0 for p in both)
    after = show(jm)
    assert {k for k in after if after[k] != before[k]} == {"last_run_at", "last_job_id"}
    assert after["last_job_id"] in jobs
    ticks = items(jm, "ticks", "s")
    assert {t["job_id"] for t in ticks} == jobs
    assert {(t["kind"], t["outcome"], t["count"]) for t in ticks} == {("manual", "fired", 1)}
    assert jm.db.query("SELECT action, reason, version FROM audit_log WHERE object_id = %s AND action = "
                       "'run'", sid) == [("run", "now", None)] * 2
    assert jm.db.value("SELECT count(*) FROM jobs WHERE submitted_by LIKE 'user%%' OR submitted_by = "
                       "(SELECT actor FROM audit_log WHERE action = 'run' LIMIT 1)") == 2
    assert schedule(jm, "run", "nobody", check=False).code == 3


# ---- backfill ----

def backfill(jm, *args, **more):
    return schedule(jm, "backfill", "s", *args, **more)


def test_backfill(jm_sql):
    """[from, to); the days that its calendar leaves out are left out; twice makes nothing twice."""
    jm = jm_sql
    jm.cli("calendar", "add", "c", "--exclude", "2026-01-02")
    sid = add(jm, "s", "--cron", "0 */6 * * *", "--calendar", "c", "--disabled").out.strip()
    args = ["--from", OLD, "--to", "2026-01-04T06:00:00Z", "--rate", "2"]
    expected = [at(f"2026-01-0{d}T{h:02}:00:00+00:00") for d in (1, 3, 4) for h in (0, 6, 12, 18)][:9]
    before = everything(jm)
    dry = backfill(jm, *args, "--dry-run", "--json").json()
    assert dry["instants"] == dry["fired"] == 9 and everything(jm) == before
    clock = jm.db.value("SELECT clock_timestamp()")
    done = backfill(jm, *args, "--json").json()
    assert (done["instants"], done["fired"], done["already"], done["seconds"]) == (9, 9, 0, 4.0)
    rows = jm.db.query("SELECT t.due_at, t.kind, t.outcome, j.due_at, j.submitted_by, p.visible_at FROM "
                       "schedule_ticks t JOIN jobs j ON j.id = t.job_id JOIN pending_jobs p ON p.job_id = "
                       "j.id WHERE t.schedule_id = %s ORDER BY 1", sid)
    assert [r[0] for r in rows] == [r[3] for r in rows] == expected
    assert {r[1:3] + r[4:5] for r in rows} == {("backfill", "fired", "backfill")}
    starts = [r[5] for r in rows]
    assert clock <= starts[0] <= clock + 5 * SECOND
    assert [(s - starts[0]) for s in starts] == [n * SECOND / 2 for n in range(9)]
    again = backfill(jm, *args, "--json").json()
    assert (again["instants"], again["fired"], again["already"]) == (9, 0, 9)
    wider = backfill(jm, "--from", "2025-12-31T18:00:00Z", "--to", "2026-01-04T06:00:00.000001Z",
                     "--json").json()
    assert (wider["fired"], wider["already"]) == (2, 9)
    assert jm.db.value("SELECT count(*) FROM jobs") == 11
    assert show(jm)["last_run_at"] is None and show(jm)["next_run_at"] is None


def test_backfill_missed(jm_sql):
    """--missed leaves out what fired by the calendar, and only that."""
    jm = jm_sql
    sid = add(jm, "s", "--every", "600s", "--catch-up", "skip", "--misfire-grace", "50m", "--overlap",
              "allow").out.strip()
    first = jm.db.value("UPDATE schedules SET anchor_at = clock_timestamp() - interval '105 min', next_run_at "
                        "= clock_timestamp() - interval '95 min' RETURNING next_run_at")
    schedule(jm, "pause", "s")
    fired = {r[0] for r in jm.db.query("SELECT due_at FROM schedule_ticks WHERE outcome = 'fired'")}
    assert len(fired) == 5
    done = backfill(jm, "--from", rfc(first - SECOND), "--to", rfc(first + dt.timedelta(minutes=95)),
                    "--missed", "--json").json()
    assert (done["instants"], done["fired"], done["left_out"]) == (10, 5, 5)
    made = {r[0] for r in jm.db.query("SELECT due_at FROM schedule_ticks WHERE schedule_id = %s AND kind = "
                                      "'backfill'", sid)}
    assert len(made | fired) == 10 and not made & fired


@pytest.mark.parametrize("word,args", [
    ("future", ["--from", OLD, "--to", "2090-01-01T00:00:00Z"]),
    ("after from", ["--from", OLD, "--to", OLD]),
    ("after from", ["--from", "2026-01-02T00:00:00Z", "--to", OLD]),
    ("shorter range", ["--from", "2020-01-01T00:00:00Z", "--to", OLD]),
    ("--to", ["--from", OLD]), ("--from", ["--to", OLD]),
    ("--from", ["--from", "yesterday", "--to", OLD]), ("--to", ["--from", OLD, "--to", "2026-13-01T00:00:00Z"]),
    ("rate", ["--from", "2025-12-31T23:59:00Z", "--to", OLD, "--rate", "0"]),
    ("rate", ["--from", "2025-12-31T23:59:00Z", "--to", OLD, "--rate", "-1"]),
    ("rate", ["--from", "2025-12-31T23:59:00Z", "--to", OLD, "--rate", "nan"]),
    ("rate", ["--from", "2025-12-31T23:59:00Z", "--to", OLD, "--rate", "inf"]),
    ("rate", ["--from", "2025-12-31T23:59:00Z", "--to", OLD, "--rate", "1e-300"]),
    ("rate", ["--from", "2025-12-31T23:59:00Z", "--to", OLD, "--rate", "100001"]),
    ("--rate", ["--from", "2025-12-31T23:59:00Z", "--to", OLD, "--rate", "5x"]),
    ("--rate", ["--from", "2025-12-31T23:59:00Z", "--to", OLD, "--rate", ""]),
])
def test_backfill_refused(jm_sql, word, args):
    jm = jm_sql
    add(jm, "s", "--cron", "* * * * * *")
    before = everything(jm)
    for more in [], ["--dry-run"]:
        done = backfill(jm, *args, *more, check=False)
        assert done.code == 2 and word in done.err, done
    assert everything(jm) == before


@pytest.mark.parametrize("changes", [
    [["update", "s", "--description", "d"]], [["update", "s", "--every", "7m"]], [["update", "s", "--cron", "*/7 * * * *"]],
    [["disable", "s"], ["enable", "s"]], [["pause", "s"], ["resume", "s"]], ["calendar"],
    [["update", "s", "--every", "9m"], ["rollback", "s", "--version", "1"]]])
def test_what_the_ledger_has_is_not_decided_again(jm_sql, changes):
    """PostgreSQL's clock was put back by two hours after a range of instants was decided, of which the ledger names the
    first and the last: whatever is changed, the schedule goes on behind them."""
    jm = jm_sql
    jm.cli("calendar", "add", "c", "--exclude", "12-25")
    sid = add(jm, "s", "--every", "10m", "--calendar", "c").out.strip()
    end = jm.db.value("SELECT clock_timestamp() + interval '1 hour'")
    jm.db.execute("INSERT INTO schedule_ticks (schedule_id, due_at, outcome, until, count, reason) VALUES (%s, %s, "
                  "'coalesced', %s, 37, 'catch_up')", sid, end - dt.timedelta(hours=6), end)
    jm.db.execute("INSERT INTO schedule_ticks (schedule_id, due_at, kind, outcome) VALUES (%s, %s, 'backfill', 'fired')",
                  sid, end - SECOND)
    jm.db.execute("UPDATE schedules SET anchor_at = %s, next_run_at = %s", end - dt.timedelta(hours=7),
                  end + dt.timedelta(minutes=10))
    for change in changes:
        if change == "calendar":
            jm.cli("calendar", "add", "c", "--exclude", "12-26", "--replace")
        else:
            schedule(jm, *change)
    row = show(jm)
    assert end < at(row["next_run_at"]) <= end + dt.timedelta(minutes=10), row
    assert jm.db.value("SELECT count(*) FROM schedule_ticks WHERE schedule_id = %s", sid) == 2


def open_jobs(jm, sid, n):
    """So many unfinished jobs that the calendar fired."""
    for _ in range(n):
        job = jm.db.value("SELECT submit('noop', '{}', '{\"run_at\": \"2999-01-01T00:00:00Z\"}')")
        jm.db.execute("UPDATE jobs SET schedule_id = %s, submitted_by = 'schedule' WHERE id = %s", sid, job)
        jm.db.execute("INSERT INTO open_jobs (schedule_id, job_id) VALUES (%s, %s)", sid, job)


@pytest.mark.parametrize("overlap,most,unfinished", [
    ("skip", 1, 0), ("skip", 1, 1), ("skip", 2, 0), ("skip", 2, 1), ("skip", 2, 2),
    ("cancel_running", 1, 1), ("cancel_running", 2, 2)])
def test_backfill_is_no_overlap(jm_sql, overlap, most, unfinished):
    """However many jobs of a backfill there are, newer than those that the calendar fired, those alone
    count."""
    jm = jm_sql
    sid = add(jm, "s", "--cron", "* * * * * *", "--overlap", overlap, "--max-instances", str(most),
              "--disabled").out.strip()
    open_jobs(jm, sid, unfinished)
    done = backfill(jm, "--from", OLD, "--to", "2026-01-01T00:25:00Z", "--json").json()
    assert done["fired"] == 1500
    jm.db.execute("UPDATE schedules SET enabled = true, kind = 'interval', interval_seconds = 600, "
                  "cron_expression = NULL, anchor_at = clock_timestamp() - interval '15 min', next_run_at = "
                  "clock_timestamp() - interval '5 s'")
    schedule(jm, "pause", "s")
    [row] = jm.db.query("SELECT outcome, reason, count FROM schedule_ticks WHERE kind = 'calendar'")
    wanted = ("skipped", "overlap", 1) if overlap == "skip" and unfinished >= most else ("fired", None, 1)
    assert row == wanted
    cancelled = jm.db.query("SELECT submitted_by FROM jobs WHERE status = 'cancelled'")
    assert cancelled == ([("schedule",)] if overlap == "cancel_running" else [])


@pytest.mark.slow
@pytest.mark.parametrize("overlap,most", [("skip", 1), ("skip", 3), ("queue", 2), ("allow", 1)])
def test_backfill_runs(jm, overlap, most):
    """max_instances at once, under allow as many as the rate lets start."""
    jm.start_producer()
    jm.start_worker()
    schedule(jm, "add", "s", "--cron", "* * * * *", "--type", "sleep", "--params", '{"seconds": 0.5}',
             "--overlap", overlap, "--max-instances", str(most), "--disabled")
    backfill(jm, "--from", OLD, "--to", "2026-01-01T00:09:00Z", "--rate", "1000")
    jm.wait_ended(9, 60)
    spans = jm.db.query("SELECT started_at, completed_at - interval '50 ms' FROM jobs")
    at_once = max(sum(a <= when < b for a, b in spans) for when, _ in spans)
    assert at_once == most if overlap != "allow" else at_once > 3
    jm.check()


# ---- versions and rollback ----

def test_rollback(jm_sql):
    jm = jm_sql
    add(jm, "s", "--every", "1h", "--description", "first", "--metadata", '{"a": 1}', "--max-instances", "2")
    first = show(jm)
    schedule(jm, "update", "s", "--clear", "description,metadata", "--max-instances", "5", "--cron", "@daily",
             "--timezone", "Asia/Tokyo")
    schedule(jm, "disable", "s")
    third = show(jm)
    assert third["description"] is None and third["metadata"] is None
    before = everything(jm)
    assert "would make version 4" in schedule(jm, "rollback", "s", "--version", "1", "--dry-run").err
    for version, code in ("9", 3), ("0", 2), ("x", 2):
        assert schedule(jm, "rollback", "s", "--version", version, check=False).code == code
    assert schedule(jm, "rollback", "s", check=False).code == 2
    assert everything(jm) == before
    done = schedule(jm, "rollback", "s", "--version", "1", "--reason", "back")
    assert "made version 4, as version 1 was" in done.err
    same = {"version", "updated_at", "next_run_at"}
    row = show(jm)
    assert {k: v for k, v in row.items() if k not in same} == {k: v for k, v in first.items()
                                                              if k not in same}
    assert row["next_run_at"] and row["version"] == 4
    schedule(jm, "rollback", "s", "--version", "3")
    row = show(jm)
    assert {k: v for k, v in row.items() if k not in same} == {k: v for k, v in third.items()
                                                              if k not in same}
    assert row["next_run_at"] is None
    assert "nothing changes" in schedule(jm, "rollback", "s", "--version", "3").err
    versions = items(jm, "versions", "s")
    assert [(v["version"], v["action"]) for v in versions] == [
        (5, "rollback"), (4, "rollback"), (3, "disable"), (2, "update"), (1, "create")]
    assert versions[1]["reason"] == "back" and versions[1]["actor"] and versions[1]["source"] == "cli"
    for newer, older in zip(versions, versions[1:]):
        assert newer["before"] == older["after"]
    text = schedule(jm, "versions", "s", "--limit", "1", "--offset", "3").out
    assert "max_instances" in text and "@daily" in text
    assert [v["version"] for v in items(jm, "versions", "s", "--limit", "2", "--offset", "1")] == [4, 3]


# ---- ledger and history ----

def asleep(jm, *args):
    """A schedule that slept for ten instants of ten minutes: coalesced ×4, fired, skipped ×5."""
    sid = add(jm, "s", "--every", "600s", "--misfire-grace", "50m", *args).out.strip()
    first = jm.db.value("UPDATE schedules SET anchor_at = clock_timestamp() - interval '105 min', created_at "
                        "= clock_timestamp() - interval '2 h' RETURNING anchor_at") + dt.timedelta(minutes=10)
    jm.db.execute("UPDATE schedules SET next_run_at = %s", first)
    jm.db.execute("UPDATE audit_log SET at = at - interval '2 h', after = after || jsonb_build_object("
                  "'anchor_at', (SELECT anchor_at FROM schedules))")
    return sid, first


def test_ticks_and_history(jm_sql):
    jm = jm_sql
    sid, first = asleep(jm)
    job = None
    schedule(jm, "pause", "s")
    manual = schedule(jm, "run", "s").out.strip()
    backfill(jm, "--from", rfc(first), "--to", rfc(first + SECOND))
    ticks = items(jm, "ticks", "s")
    assert [(t["outcome"], t["kind"], t["count"]) for t in ticks] == [
        ("fired", "manual", 1), ("skipped", "calendar", 5), ("fired", "calendar", 1),
        ("fired", "backfill", 1), ("coalesced", "calendar", 4)]
    job = ticks[2]["job_id"]

    def kinds(*args):
        return [t["outcome"] for t in items(jm, "ticks", "s", *args)]
    assert kinds("--outcome", "skipped") == ["skipped"] and kinds("--outcome", "missed") == []
    assert kinds("--kind", "manual") == ["fired"] and kinds("--kind", "calendar", "--outcome", "fired") == ["fired"]
    fifth = first + dt.timedelta(minutes=40)
    assert kinds("--from", rfc(fifth), "--to", rfc(fifth)) == ["fired"]
    assert kinds("--from", rfc(fifth - SECOND), "--kind", "calendar") == ["skipped", "fired"]
    inside = first + dt.timedelta(minutes=15)  # inside a run of instants
    assert kinds("--to", rfc(inside), "--kind", "calendar") == ["coalesced"]
    assert kinds("--from", rfc(inside), "--kind", "calendar")[-1] == "coalesced"
    assert kinds("--limit", "2", "--offset", "1") == ["skipped", "fired"]
    history = items(jm, "history", "s")
    assert len(history) == 3 and {h["id"] for h in history} >= {manual, job}
    jm.cli("job", "cancel", job)
    assert [h["id"] for h in items(jm, "history", "s", "--status", "cancelled")] == [job]
    assert len(items(jm, "history", "s", "--status", "pending")) == 2
    assert len(items(jm, "history", "s", "--limit", "1", "--offset", "1")) == 1
    for args in ["--outcome", "x"], ["--kind", "x"], ["--from", "x"], ["--to", "x"], ["--limit", "0"], \
                ["--offset", "-1"], ["--at", "x"]:
        done = schedule(jm, "ticks", "s", *args, check=False)
        assert done.code == 2 and args[0] in done.err, done
    assert schedule(jm, "history", "s", "--status", "x", check=False).code == 2


def why(jm, when, name="s"):
    return schedule(jm, "ticks", name, "--at", when if isinstance(when, str) else rfc(when)).out


def test_why(jm_sql):
    jm = jm_sql
    sid, first = asleep(jm)
    schedule(jm, "update", "s", "--description", "x")
    minutes = dt.timedelta(minutes=1)
    job = jm.db.value("SELECT job_id FROM schedule_ticks WHERE outcome = 'fired'")
    fifth = first + 40 * minutes
    assert f"It ran: job {job} is pending" in why(jm, fifth)
    assert f"It ran: job {job}" in why(jm, fifth.replace(microsecond=0).strftime("%Y-%m-%dT%H:%M:%SZ"))
    jm.cli("job", "cancel", str(job), "--reason", "enough")
    assert "is cancelled" in why(jm, fifth) and "enough" in why(jm, fifth)
    assert "a later instant fired for it (catch_up = one)" in why(jm, first)
    assert "a later instant fired for it (catch_up = one)" in why(jm, first + 20 * minutes)
    assert "overlap = skip" in why(jm, first + 50 * minutes)
    none = why(jm, first + 5 * minutes)
    zone = zoneinfo.ZoneInfo("UTC")
    for neighbour in first, first + 10 * minutes:
        assert neighbour.astimezone(zone).strftime("%Y-%m-%dT%H:%M:%S") in none, none
    assert "was not to run then" in none and "every 10 min" in none
    assert "It is to come." in why(jm, first + 100 * minutes)
    assert "was not to run then" in why(jm, first + 101 * minutes)
    assert "did not exist yet" in why(jm, first - 600 * minutes)
    assert "It ran" not in why(jm, first - 600 * minutes)
    schedule(jm, "disable", "s")
    assert "the schedule is disabled" in why(jm, first + 100 * minutes)
    jm.cli("schedule", "delete", "s")
    assert schedule(jm, "ticks", "s", "--at", OLD, check=False).code == 3


@pytest.mark.parametrize("args,word", [
    (["--catch-up", "skip"], "no producer was running within misfire_grace_seconds"),
    (["--catch-up", "all", "--catch-up-limit", "1"], "catch_up_limit later instants"),
    (["--coalesce-grace"], "(coalesce_grace)")])
def test_why_not(jm_sql, args, word):
    _, first = asleep(jm_sql, *args)
    schedule(jm_sql, "pause", "s")
    assert word in why(jm_sql, first)


def test_why_calendar(jm_sql):
    jm = jm_sql
    jm.cli("calendar", "add", "never", "--exclude", "2026-01-01..2089-12-31")
    sid, first = asleep(jm, "--calendar", "never")
    jm.db.execute("UPDATE schedules SET next_skip_at = next_run_at, next_run_at = NULL")
    assert "calendar leaves the day out. No producer has decided it" in why(jm, first)
    schedule(jm, "update", "s", "--description", "x")
    assert jm.db.query("SELECT outcome, reason, sum(count) FROM schedule_ticks WHERE schedule_id = %s "
                       "GROUP BY 1, 2", sid) == [("skipped", "calendar", 10)]
    assert "Its calendar leaves the day out" in why(jm, first + dt.timedelta(minutes=30))
    future = first + dt.timedelta(minutes=200)
    assert "It is to come, and its calendar leaves the day out" in why(jm, future)


def test_why_with_a_calendar_that_has_changed(jm_sql):
    """Only its rules of today are known: the answer says so where they were others at the moment."""
    jm = jm_sql
    jm.cli("calendar", "add", "days", "--exclude", "12-25")
    add(jm, "s", "--cron", "0 9 * * *", "--calendar", "days")
    lived(jm)
    monday, before, after = "2026-07-06T09:00", "2026-02-02T00:00:00Z", "2026-08-08T08:00:00Z"
    jm.cli("calendar", "add", "days", "--exclude", "mon", "--replace")
    jm.db.execute("UPDATE audit_log SET at = %s WHERE object = 'calendar' AND before IS NOT NULL", before)
    assert "Its calendar leaves the day out. The ledger has nothing" in why(jm, monday)
    jm.cli("calendar", "add", "days", "--exclude", "mon", "--description", "d", "--replace")
    assert "Its calendar leaves the day out. The ledger has nothing" in why(jm, monday), "its days are the same"
    jm.db.execute("UPDATE audit_log SET at = %s WHERE object = 'calendar' AND at = %s", after, before)
    told = f"it was changed after that moment, first at {after[:-1]}"
    answer = why(jm, monday)
    assert "As it is now its calendar days leaves the day out" in answer and told in answer, answer
    assert "Its calendar leaves" not in answer
    answer = why(jm, "2026-07-07T09:00")
    assert "As it is now its calendar days has the day" in answer and told in answer, answer
    assert "changed" not in why(jm, "2026-07-07T10:00"), "it was not to run then, whatever the day"


def lived(jm, since=OLD):
    """As if it had been added long ago."""
    jm.db.execute("UPDATE schedules SET created_at = %s", since)
    jm.db.execute("UPDATE audit_log SET at = %s WHERE version = 1", since)


@pytest.mark.parametrize("cron,more,when,words", [
    ("30 2 * * *", [], "2026-03-29T02:30", ["did not exist in Europe/Paris", "03:00:00+02:00"]),
    ("30 2 * * *", ["--dst-gap", "skip"], "2026-03-29T02:30",
     ["did not exist in Europe/Paris", "was not to run then", "2026-03-28T02:30:00+01:00",
      "2026-03-30T02:30:00+02:00"]),
    ("30 2 * * *", [], "2026-10-25T02:30", ["came twice", "2026-10-25T02:30:00+01:00"]),
    ("30 2 * * *", ["--dst-fold", "second"], "2026-10-25T02:30",
     ["came twice", "was not to run then", "after it at 2026-10-25T02:30:00+01:00"]),
    ("30 2 * * *", [], "2026-10-25T01:30:00Z", ["was not to run then", "2026-10-25T02:30:00+02:00"]),
    ("30 2 * * *", [], "2026-07-01T02:30", ["ledger has nothing about it"]),
    ("30 2 * * *", [], "2026-07-01", ["was not to run then", "2026-06-30T02:30:00+02:00",
                                      "2026-07-01T02:30:00+02:00"]),
    ("30 2 * * *", [], "2026-07-01T02:30:00+02:00", ["ledger has nothing about it"]),
    ("30 2 * * *", [], "2025-07-01T02:30", ["did not exist yet", "2026-01-01T01:00:00+01:00"]),
])
def test_why_by_local_time(jm_sql, cron, more, when, words):
    jm = jm_sql
    add(jm, "s", "--cron", cron, "--timezone", "Europe/Paris", *more)
    lived(jm)
    answer = why(jm, when)
    if "03:00:00+02:00" in words:
        words = words[:1] + ["ledger has nothing about it"]
        found = schedule(jm, "ticks", "s", "--at", when, "--json").json()
        assert found["local"] == "2026-03-29T03:00:00+02:00" and found["at"] == "2026-03-29T01:00:00Z"
    for word in words:
        assert word in answer, answer


def test_why_while_it_was_off(jm_sql):
    """Who disabled it and when, also where it was edited after that."""
    jm = jm_sql
    add(jm, "s", "--cron", "0 * * * *")
    lived(jm)
    changes = [("disable", "2026-02-01T00:00:00Z", "Anna"), ("update", "2026-02-02T00:00:00Z", "Bert"),
               ("enable", "2026-02-03T00:00:00Z", "Carl"), ("pause", "2026-02-04T00:00:00Z", "Dora"),
               ("update", "2026-02-05T00:00:00Z", "Emil"), ("resume", "2026-02-06T00:00:00Z", "Fred")]
    for n, (verb, when, who) in enumerate(changes, 2):
        schedule(jm, verb, "s", *(["--description", who] if verb == "update" else []))
        jm.db.execute("UPDATE audit_log SET at = %s, actor = %s WHERE version = %s", when, who, n)
    for when in "2026-02-01T12:00:00Z", "2026-02-02T12:00:00Z":
        answer = why(jm, when)
        assert "It was disabled: version 2, disable at 2026-02-01T00:00:00" in answer and "Anna" in answer
    for when in "2026-02-04T12:00:00Z", "2026-02-05T12:00:00Z":
        answer = why(jm, when)
        assert "It was paused: version 5, pause at 2026-02-04T00:00:00" in answer and "Dora" in answer
    for when in "2026-01-15T12:00:00Z", "2026-02-03T12:00:00Z", "2026-02-06T12:00:00Z":
        assert "ledger has nothing about it" in why(jm, when)


def test_why_between_edits(jm_sql):
    """Each moment by the definition that held then."""
    jm = jm_sql
    add(jm, "s", "--cron", "0 * * * *")
    lived(jm)
    schedule(jm, "update", "s", "--cron", "30 * * * *")
    jm.db.execute("UPDATE audit_log SET at = '2026-02-01T00:10:00Z' WHERE version = 2")
    assert "ledger has nothing" in why(jm, "2026-02-01T00:00:00Z")
    assert "was not to run then" in why(jm, "2026-02-01T01:00:00Z")
    assert "ledger has nothing" in why(jm, "2026-02-01T01:30:00Z")
    assert "was not to run then" in why(jm, "2026-01-31T23:30:00Z")


# ---- preview, show, list ----

def test_preview_and_sentence(jm_sql):
    jm = jm_sql
    jm.cli("calendar", "add", "c", "--exclude", "2026-03-30,sat")
    add(jm, "s", "--cron", "30 2 * * *", "--timezone", "Europe/Paris", "--calendar", "c")
    found = items(jm, "preview", "s", "--from", "2026-03-27T12:00:00Z", "--count", "4")
    assert [(f["local"], f["note"]) for f in found] == [
        ("2026-03-28T02:30:00+01:00", "excluded by calendar"), ("2026-03-29T03:00:00+02:00", "dst gap"),
        ("2026-03-30T02:30:00+02:00", "excluded by calendar"), ("2026-03-31T02:30:00+02:00", "")]
    text = schedule(jm, "show", "s").out
    assert "at 02:30 every day, Europe/Paris" in text
    add(jm, "i", "--every", "90s")
    assert "90 s" in schedule(jm, "show", "i").out
    add(jm, "o", "--at", "2090-05-01T12:00:00Z")
    assert "once at 2090-05-01" in schedule(jm, "show", "o").out
    assert len(items(jm, "preview", "o")) == 1
    assert "no instant is to come" in schedule(jm, "preview", "o", "--from", "2091-01-01T00:00:00Z").err


def test_list_says_how_it_went(jm):
    """The last outcome, and the rate of success of the last 20."""
    jm.start_producer()
    jm.start_worker()
    schedule(jm, "add", "s", "--cron", "* * * * * *", "--overlap", "allow", "--type", "fail", "--disabled")
    # 15 fail, then 15 succeed: of the last 20, 5 failed.
    jm.job_type("quick", ["/bin/true"])
    jm.job_type("fail", ["/bin/false"], max_attempts=1)
    backfill(jm, "--from", OLD, "--to", "2026-01-01T00:00:15Z", "--rate", "1000")
    jm.wait_ended(15, 60)
    wait_until(lambda: show(jm)["last_status"] == "failed", 15, what="the last outcome is told")
    [row] = items(jm, "list")
    assert row["recent_success_rate"] == 0
    schedule(jm, "update", "s", "--type", "noop")
    backfill(jm, "--from", "2026-01-01T00:00:15Z", "--to", "2026-01-01T00:00:30Z", "--rate", "1000")
    jm.wait_ended(30, 60)
    wait_until(lambda: show(jm)["last_status"] == "completed", 15, what="the last outcome is told")
    wait_until(lambda: show(jm)["total_runs"] == 30, 15, what="all are counted")
    [row] = items(jm, "list")
    assert row["recent_success_rate"] == 75.0
    assert (row["successful_runs"], row["failed_runs"], row["skipped_runs"]) == (15, 15, 0)
    text = schedule(jm, "list").out
    assert "75.0 %" in text and "completed" in text


# ---- bad input ----

BAD = [
    ("--cron", "61 * * * *"), ("--cron", ""), ("--cron", "* * * *"), ("--every", "0s"), ("--every", "-5m"),
    ("--every", "1500ms"), ("--every", "1000000000000d"), ("--at", "tomorrow"), ("--at", "2020-01-01T00:00:00Z"),
    ("--timezone", "Mars/Olympus"), ("--timezone", ""), ("--timezone", "../../etc/passwd"),
    ("--dst-gap", "maybe"), ("--dst-fold", "third"), ("--params", "[]"), ("--params", "{"),
    ("--params", '{"a":1,"a":2}'), ("--params", "{}x"), ("--metadata", '{"a":{}}'), ("--metadata", "1"),
    ("--profile", ""), ("--profile", "x" * 101), ("--queue", "Q"), ("--queue", ""), ("--queue", "x" * 64),
    ("--priority", "10"), ("--priority", "-1"), ("--priority", "x"), ("--priority", "99999999999"),
    ("--exclusive", ""), ("--exclusive", "order:x"), ("--exclusive", "x" * 201),
    ("--callback-url", "ftp://x/"), ("--callback-url", "http:///x"), ("--callback-url", "http://x/ y"), ("--callback-url", ""),
    ("--calendar", "none"), ("--calendar", "A B"), ("--overlap", "never"), ("--max-instances", "0"),
    ("--max-instances", "x"), ("--misfire-grace", "-1s"), ("--misfire-grace", "1"),
    ("--misfire-grace", "100000000d"), ("--catch-up", "some"), ("--catch-up-limit", "0"),
    ("--jitter", "25h"), ("--jitter", "-1s"), ("--starts-at", "x"), ("--ends-at", "x"),
    ("--ends-at", "2020-01-01T00:00:00Z"), ("--type", "No Type"), ("--type", "jobmill.x"), ("--type", ""),
    ("--description", b"\xff"), ("--queue", b"\xff"), ("--external-id", b"\xff\xfe"),
]


def raw(jm, *args):
    argv = [bytes(a) if isinstance(a, bytes) else str(a).encode() for a in (bin_dir() / "jobmill", *args)]
    return subprocess.run(argv, env=jm.env(), capture_output=True, timeout=60, check=False)


def test_bad_input(jm_sql):
    """Exit code 2, the option is named, and nothing changes: of add and of update."""
    jm = jm_sql
    jm.cli("schedule", "add", "s", "--type", "noop", "--cron", "@daily")
    before = everything(jm)
    for option, value in BAD:
        when = [] if option in ("--cron", "--every", "--at") else ["--cron", "@hourly"]
        kind = [] if option == "--type" else ["--type", "noop"]
        for args in ["add", "n", *kind, *when], ["update", "s"]:
            done = raw(jm, "schedule", *args, option, value)
            assert done.returncode == 2 and option.encode() in done.stderr, (args, option, value, done)
            assert b"ERROR: " not in done.stderr, done
    new = ["--type", "noop", "--every", "1h"]
    for word, args in [
            ("NAME", ["add", b"\xff", *new]), ("name", ["add", "", *new]), ("name", ["add", "x" * 256, *new]),
            ("--name", ["update", "s", "--name", b"\xff", "--queue", "q"]), ("name", ["update", "s", "--name", ""]),
            ("nothing", ["update", "s", "--clear", "nothing"]), ("version", ["update", "s", "--clear", "version"]),
            ("name", ["update", "s", "--clear", "name"]), ("type", ["update", "s", "--clear", "type"]),
            ("--clear", ["update", "s", "--clear", b"\xff"]),
            ("cron", ["update", "s", "--clear", "cron-expression"]), ("one of", ["add", "n", "--type", "noop"]),
            ("NAME", ["add", *new]), ("m", ["add", "n", "m", *new]), ("--type", ["add", "n", "--every", "1h"]),
            ("--bogus", ["add", "n", *new, "--bogus"])]:
        done = raw(jm, "schedule", *args)
        assert done.returncode == 2 and word.encode() in done.stderr, (args, done)
    assert everything(jm) == before


@pytest.mark.parametrize("name", ["'; DROP TABLE schedules; --", '"x" \\ $1 %s', "a  b", "ünï 日本 🙂",
                                  "--name", "%", "_", "0198a5a0-0000-7000-8000-00000000000g", " "])
def test_names(jm_sql, name):
    jm = jm_sql
    operand = ["--", name] if name.startswith("-") else [name]
    sid = schedule(jm, "add", "--type", "noop", "--every", "1h", *operand).out.strip()
    schedule(jm, "add", "--type", "noop", "--every", "1h", "other")
    for verb in "show", "pause", "run", "ticks", "history", "versions", "preview", "resume":
        schedule(jm, verb, *operand)
    assert show(jm, sid)["name"] == name
    assert [i["name"] for i in items(jm, "list")] == ["other", name]
    schedule(jm, "update", "--description", name, *operand)
    assert show(jm, sid)["description"] == name
    schedule(jm, "delete", *operand)
    assert [i["name"] for i in items(jm, "list")] == ["other"]
    assert jm.db.value("SELECT count(*) FROM jobs") == 1


def test_json_is_json(jm_sql):
    """What every command prints with --json can be read, and names the same schedule."""
    jm = jm_sql
    sid = json.loads(add(jm, "s", "--every", "1h", "--json").out)["id"]
    for verb in "update", "pause", "resume", "disable", "enable":
        more = ["--description", "x"] if verb == "update" else []
        found = schedule(jm, verb, "s", *more, "--json").json()
        assert found["id"] == sid and isinstance(found["preview"], list)
    assert schedule(jm, "run", "s", "--json").json()["job_id"]
