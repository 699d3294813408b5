"""Schedules on a database: the rules of adding, finding and listing, and the ledger after time missed."""
import datetime as dt
import json

import pytest

from lib.wait import wait_until

MINUTE = dt.timedelta(minutes=1)


def add(jm, name, *args, **more):
    return jm.cli("schedule", "add", name, "--type", "noop", *args, **more)


def test_columns(jm_sql):
    """What is given stands in the row, the rest are the table's defaults."""
    params = '{"big": 123456789012345678901234567890, "exact": 1.10, "text": "\\u00e9"}'
    sid = add(jm_sql, "all", "--every", "90m", "--timezone", "Europe/Paris", "--params", params,
              "--profile", "p", "--metadata", '{"k": 1}', "--queue", "q-1", "--priority", "9",
              "--overlap", "allow", "--max-instances", "3", "--misfire-grace", "2m",
              "--catch-up", "all", "--catch-up-limit", "7", "--coalesce-grace", "--jitter", "30s",
              "--starts-at", "2030-01-01T00:00:00+01:00", "--ends-at", "2031-01-01T00:00:00Z",
              "--dst-gap", "skip", "--dst-fold", "both", "--description", "Für alle").out.strip()
    shown = jm_sql.cli("schedule", "show", sid, "--json")
    assert "123456789012345678901234567890" in shown.out and "1.10" in shown.out
    row = shown.json()
    expected = {
        "id": sid, "name": "all", "project": "default", "type": "noop", "profile": "p",
        "metadata": {"k": 1}, "queue": "q-1", "priority": 9, "kind": "interval",
        "cron_expression": None, "interval_seconds": 5400, "run_at": None,
        "timezone": "Europe/Paris", "dst_gap": "skip", "dst_fold": "both", "jitter_seconds": 30,
        "enabled": True, "paused": False, "overlap": "allow", "max_instances": 3,
        "misfire_grace_seconds": 120, "catch_up": "all", "catch_up_limit": 7,
        "coalesce_grace": True, "description": "Für alle", "version": 1, "total_runs": 0,
        "last_run_at": None, "source": "user"}
    assert {k: row[k] for k in expected} == expected
    add(jm_sql, "plain", "--cron", "@daily")
    plain = jm_sql.cli("schedule", "show", "plain", "--json").json()
    jm_sql.db.execute("INSERT INTO schedules (id, name, type, kind, cron_expression, next_run_at) "
                      "SELECT uuid7(), 'by hand', 'noop', 'cron', '@daily', next_run_at "
                      "FROM schedules WHERE name = 'plain'")
    by_hand = jm_sql.cli("schedule", "show", "by hand", "--json").json()
    for row in plain, by_hand:
        for key in "id", "name", "created_at", "updated_at":
            del row[key]
    assert plain == by_hand


def test_next_run_by_the_clock_of_the_database(jm_sql):
    before = jm_sql.db.value("SELECT clock_timestamp()")
    add(jm_sql, "minute", "--cron", "* * * * *")
    add(jm_sql, "hourly", "--every", "1h")
    after = jm_sql.db.value("SELECT clock_timestamp()")
    at = jm_sql.db.value("SELECT next_run_at FROM schedules WHERE name = 'minute'")
    assert at.second == at.microsecond == 0 and before < at <= after + MINUTE
    anchor, at = jm_sql.db.one("SELECT anchor_at, next_run_at FROM schedules WHERE name = 'hourly'")
    assert before < anchor < after and at == anchor + dt.timedelta(hours=1)


def test_every_as_cron_text_is_an_interval(jm_sql):
    add(jm_sql, "90 s", "--cron", "@every 1m30s")
    row = jm_sql.cli("schedule", "show", "90 s", "--json").json()
    assert (row["kind"], row["interval_seconds"], row["cron_expression"]) == ("interval", 90, None)
    args = ["schedule", "preview", "--from", "2026-01-01T00:00:00Z", "--count", "5", "--json"]
    assert (jm_sql.cli(*args, "--cron", "@every 90s").json() ==
            jm_sql.cli(*args, "--every", "90s").json())


@pytest.mark.parametrize("code,word,args", [
    (2, "--cron", ["--cron", "61 * * * *"]),
    (2, "no such day", ["--cron", "0 0 30 2 *"]),
    (2, "1 to 5", ["--cron", "0 0 * * fri#6"]),
    (2, "--cron", ["--cron", "@every 90"]),
    (2, "dst", ["--cron", "@every 5m", "--dst-gap", "never"]),
    (2, "--timezone", ["--cron", "* * * * *", "--timezone", "Mars/Olympus"]),
    (2, "--timezone", ["--cron", "* * * * *", "--timezone", "../../etc/passwd"]),
    (2, "past", ["--at", "2020-01-01T00:00:00Z"]),
    (2, "--at", ["--at", "tomorrow"]),
    (2, "--every", ["--every", "90"]),
    (2, "--every", ["--every", "0s"]),
    (2, "--every", ["--every", "1500ms"]),
    (2, "one of", []),
    (2, "one of", ["--every", "1h", "--cron", "* * * * *"]),
    (2, "--params", ["--every", "1h", "--params", "[]"]),
    (2, "--params", ["--every", "1h", "--params", '{"a":1,"a":2}']),
    (2, "--params", ["--every", "1h", "--params", '{"a":"\\u0000"}']),
    (2, "--metadata", ["--every", "1h", "--metadata", '{"a":{}}']),
    (2, "--queue", ["--every", "1h", "--queue", "Q"]),
    (2, "priority", ["--every", "1h", "--priority", "10"]),
    (2, "overlap", ["--every", "1h", "--overlap", "never"]),
    (2, "no calendar", ["--every", "1h", "--calendar", "none"]),
    (3, "no project", ["--every", "1h", "--project", "nobody"]),
    (2, "--ends-at", ["--every", "1h", "--ends-at", "2020-01-01T00:00:00Z"]),
    (2, "--ends-at", ["--every", "1h", "--starts-at", "2031-01-01T00:00:00Z", "--ends-at",
                      "2030-01-01T00:00:00Z"]),
])
def test_refused(jm_sql, code, word, args):
    done = add(jm_sql, "x", *args, check=False)
    assert done.code == code and word in done.err and done.out == "", done
    assert jm_sql.db.value("SELECT count(*) FROM schedules") == 0


def test_names_and_projects(jm_sql):
    """A name is unique in its project; the project's shortest interval holds for intervals only."""
    jm_sql.db.execute("INSERT INTO projects (name, min_interval_s) VALUES ('slow', 3600)")
    first = add(jm_sql, "n", "--every", "10s").out.strip()
    done = add(jm_sql, "n", "--every", "10s", check=False)
    assert done.code == 1 and "already" in done.err
    done = add(jm_sql, "n", "--every", "59m", "--project", "slow", check=False)
    assert done.code == 2 and "3600" in done.err
    second = add(jm_sql, "n", "--every", "1h", "--project", "slow").out.strip()
    third = add(jm_sql, "m", "--cron", "* * * * *", "--project", "slow", "--json").json()["id"]
    done = jm_sql.cli("schedule", "show", "n", check=False)
    assert done.code == 2 and "--project" in done.err
    assert jm_sql.cli("schedule", "show", "n", "--project", "slow", "--json").json()["id"] == second
    assert jm_sql.cli("schedule", "show", first, "--json").json()["id"] == first
    assert jm_sql.cli("schedule", "show", "nobody", check=False).code == 3
    assert jm_sql.cli("schedule", "show", first.replace("0", "1"), check=False).code == 3

    def listed(*args):
        return [x["id"] for x in jm_sql.cli("schedule", "list", "--json", *args).json()["items"]]
    jm_sql.db.execute("UPDATE schedules SET enabled = false WHERE id = %s", first)
    assert listed() == [third, second, first]
    assert listed("--project", "slow") == [third, second]
    assert listed("--enabled", "false") == [first]
    assert listed("--enabled", "true", "--limit", "1", "--offset", "1") == [second]
    assert listed("--type", "other") == []
    assert "disabled" in jm_sql.cli("schedule", "list").out


def test_preview_of_a_stored_one(jm_sql):
    add(jm_sql, "x", "--cron", "30 2 * * *", "--timezone", "America/New_York", "--dst-gap", "skip")
    items = jm_sql.cli("schedule", "preview", "x", "--from", "2026-03-07T00:00:00Z", "--count", "2",
                       "--json").json()["items"]
    assert items == [
        {"at": "2026-03-07T07:30:00Z", "local": "2026-03-07T02:30:00-05:00", "note": ""},
        {"at": "2026-03-09T06:30:00Z", "local": "2026-03-09T02:30:00-04:00", "note": ""}]
    add(jm_sql, "i", "--every", "1h")
    anchor = jm_sql.db.value("SELECT anchor_at FROM schedules WHERE name = 'i'")
    item = jm_sql.cli("schedule", "preview", "i", "--count", "1", "--json").json()["items"][0]
    assert dt.datetime.fromisoformat(item["local"]) == anchor + dt.timedelta(hours=1)
    done = jm_sql.cli("schedule", "preview", "x", "--cron", "* * * * *", check=False)
    assert done.code == 2


def ledger(db, name):
    return db.query("SELECT t.due_at, coalesce(t.until, t.due_at), t.count, t.outcome, t.reason, "
                    "t.job_id FROM schedule_ticks t JOIN schedules s ON s.id = t.schedule_id "
                    "WHERE s.name = %s ORDER BY t.due_at", name)


POLICIES = {
    "defaults": [],
    "skip": ["--catch-up", "skip", "--overlap", "allow"],
    "one": ["--catch-up", "one", "--overlap", "allow"],
    "all": ["--catch-up", "all", "--overlap", "allow", "--catch-up-limit", "20"],
    "together": ["--coalesce-grace"],
    "latest": ["--catch-up", "skip", "--coalesce-grace"],
}


def test_missed_time(jm_sql):
    """Three hours with no producer, then two: each instant is in the ledger once, as its policy says."""
    for name, args in POLICIES.items():
        add(jm_sql, name, "--cron", "* * * * *", *args)
    jm_sql.db.execute("UPDATE schedules SET next_run_at = next_run_at - interval '3 hours'")
    first = jm_sql.db.value("SELECT min(next_run_at) FROM schedules")
    producers = [jm_sql.start_producer(wait=False) for _ in range(2)]
    wait_until(lambda: jm_sql.db.value("SELECT min(next_run_at) > clock_timestamp() FROM schedules"),
               60, what="the schedules have caught up")
    for producer in producers:
        producer.terminate()
    seen = {}
    for name in POLICIES:
        rows = ledger(jm_sql.db, name)
        expected = first
        for due, until, count, outcome, reason, job in rows:
            assert due == expected and until == due + (count - 1) * MINUTE, (name, rows)
            assert (outcome == "fired") == (job is not None) == (reason is None), (name, rows)
            expected = until + MINUTE
        assert expected == jm_sql.db.value("SELECT next_run_at FROM schedules WHERE name = %s", name)
        seen[name] = rows
    reasons = {name: [(r[3], r[4]) for r in rows] for name, rows in seen.items()}
    fired = {name: sum(r[3] == "fired" for r in rows) for name, rows in seen.items()}
    assert reasons["defaults"][:3] == [("coalesced", "catch_up"), ("fired", None),
                                       ("skipped", "overlap")]
    assert fired["defaults"] == 1
    assert reasons["skip"][0] == ("missed", "misfire_grace") and 4 <= fired["skip"] <= 8
    assert reasons["one"][0] == ("coalesced", "catch_up") and fired["one"] >= fired["skip"]
    assert reasons["all"][0] == ("missed", "catch_up_limit") and 24 <= fired["all"] <= 28
    assert reasons["together"][0] == ("coalesced", "coalesce_grace") and fired["together"] == 1
    assert [r[0] for r in reasons["latest"][:3]] == ["missed", "coalesced", "fired"]
    jobs = jm_sql.db.value("SELECT count(*) FROM jobs WHERE schedule_id IS NOT NULL")
    assert jobs == sum(fired.values())
    assert jm_sql.db.value("SELECT count(*) FROM pending_jobs") == jobs


def test_a_row_that_cannot_be_understood_stops_no_other(jm_sql):
    """Written by hand or by a newer program: it is left as it is, and the others fire."""
    add(jm_sql, "good", "--every", "1s")
    for name, column in ("expression", "cron_expression = 'x y z'"), ("zone", "timezone = 'No/Where'"), \
                        ("type", "type = 'No Type'"):
        add(jm_sql, name, "--cron", "* * * * * *")
        jm_sql.db.execute(f"UPDATE schedules SET {column}, next_run_at = clock_timestamp() "
                          "WHERE name = %s", name)
    producer = jm_sql.start_producer(wait=False)
    wait_until(lambda: len(ledger(jm_sql.db, "good")) >= 2, 30, what="the good schedule fires")
    producer.terminate()
    for name in "expression", "zone", "type":
        assert ledger(jm_sql.db, name) == []
        assert name in "".join(text for _, text in jm_sql.logs())
    assert json.loads(jm_sql.cli("schedule", "list", "--json").out)["items"]
