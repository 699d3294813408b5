"""jobmill calendar: every verb, what it prints and its exit codes; and which days rules name, against an
oracle that looks at each day by itself."""
import datetime as dt
import json
import pathlib
import random
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "oracle"))

import calendar_oracle  # noqa: E402

WEEKDAYS = calendar_oracle.WEEKDAYS
ICS = """BEGIN:VCALENDAR
BEGIN:VEVENT
DTSTART;VALUE=DATE:20001225
DTEND;VALUE=DATE:20001227
RRULE:FREQ=YEARLY
END:VEVENT
BEGIN:VEVENT
DTSTART;VALUE=DATE:20260501
END:VEVENT
END:VCALENDAR
"""


def definition(jm, name, *args):
    return jm.cli("calendar", "show", name, *args, "--json").json()["definition"]


def test_add_show_list_delete(jm_sql):
    cli = jm_sql.cli
    assert cli("calendar", "add", "office", "--exclude", "sat-sun, 12-25,2026-12-24..2027-01-02",
               "--description", "Büro").out == "office\n"
    row = cli("calendar", "add", "pay.day_1", "--include", "business-day -1", "--exclude", "12-26",
              "--json").json()
    assert row == cli("calendar", "show", "pay.day_1", "--json").json()
    assert {k: row[k] for k in ("project", "name", "definition", "description", "version", "schedules")} == {
        "project": "default", "name": "pay.day_1", "description": None, "version": 1, "schedules": 0,
        "definition": {"exclude": ["12-26"], "include": ["business-day -1"]}}
    text = cli("calendar", "show", "office").out
    assert "Büro" in text and '{"exclude":["sat-sun","12-25","2026-12-24..2027-01-02"]}' in text
    rows = cli("calendar", "list", "--json").json()["items"]
    assert [(r["name"], r["exclude"], r["include"], r["schedules"]) for r in rows] == [
        ("office", 3, 0, 0), ("pay.day_1", 1, 1, 0)]
    assert cli("calendar", "list", "--limit", 1, "--offset", 1).out.splitlines()[1].startswith("pay.day_1 ")
    cli("calendar", "delete", "office")
    assert cli("calendar", "show", "office", check=False).code == 3
    assert cli("calendar", "delete", "office", check=False).code == 3
    assert jm_sql.db.query("SELECT name FROM calendars") == [("pay.day_1",)]


def test_days(jm_sql):
    cli = jm_sql.cli
    cli("calendar", "add", "c", "--exclude", "sat-sun,12-25")
    items = cli("calendar", "show", "c", "--from", "2026-12-24", "--days", 4, "--json").json()["items"]
    assert items == [{"date": "2026-12-24", "weekday": "thu", "open": True},
                     {"date": "2026-12-25", "weekday": "fri", "open": False},
                     {"date": "2026-12-26", "weekday": "sat", "open": False},
                     {"date": "2026-12-27", "weekday": "sun", "open": False}]
    lines = cli("calendar", "show", "c", "--from", "2026-12-24", "--days", 2).out.splitlines()
    assert [line.split() for line in lines] == [
        ["DATE", "DAY", "OPEN"], ["2026-12-24", "thu", "yes"], ["2026-12-25", "fri", "no"]]
    assert len(cli("calendar", "show", "c", "--from", "2026-12-24", "--json").json()["items"]) == 31
    today = dt.datetime.now(dt.timezone.utc).date()
    first = cli("calendar", "show", "c", "--days", 1, "--json").json()["items"][0]["date"]
    assert dt.date.fromisoformat(first) - today <= dt.timedelta(days=1)


def test_replace(jm_sql):
    cli = jm_sql.cli
    cli("calendar", "add", "c", "--exclude", "sat", "--description", "d")
    again = cli("calendar", "add", "c", "--exclude", "sun", check=False)
    assert again.code == 1 and 'has a calendar "c" already' in again.err and "--replace" in again.err
    assert definition(jm_sql, "c") == {"exclude": ["sat"]}
    row = cli("calendar", "add", "c", "--exclude", "sun", "--replace", "--json").json()
    assert (row["definition"], row["version"], row["description"]) == ({"exclude": ["sun"]}, 2, "d")
    assert row["updated_at"] > row["created_at"]
    row = cli("calendar", "add", "new", "--exclude", "sun", "--replace", "--json").json()
    assert row["version"] == 1


def test_definition_as_json_and_from_a_file(jm_sql, tmp):
    cli = jm_sql.cli
    given = {"include": ["fri#2"], "exclude": []}
    cli("calendar", "add", "a", "--definition", json.dumps(given))
    path = tmp / "c.json"
    path.write_text(json.dumps(given))
    cli("calendar", "add", "b", "--definition", f"@{path}")
    cli("calendar", "add", "c", "--definition", "@-", stdin=json.dumps(given))
    assert definition(jm_sql, "a") == definition(jm_sql, "b") == definition(jm_sql, "c") == given
    missing = cli("calendar", "add", "d", "--definition", f"@{tmp}/none", check=False)
    assert missing.code == 1 and "No such file" in missing.err


def test_projects(jm_sql):
    cli = jm_sql.cli
    jm_sql.db.execute("INSERT INTO projects (name) VALUES ('p')")
    cli("calendar", "add", "c", "--exclude", "sat")
    cli("calendar", "add", "c", "--exclude", "sun", "--project", "p")
    assert definition(jm_sql, "c", "--project", "p") == {"exclude": ["sun"]}
    assert len(cli("calendar", "list", "--json").json()["items"]) == 2
    assert len(cli("calendar", "list", "--project", "p", "--json").json()["items"]) == 1
    jm_sql.db.execute("DELETE FROM projects WHERE name = 'p'")
    assert cli("calendar", "show", "c", "--project", "p", check=False).code == 3
    assert definition(jm_sql, "c") == {"exclude": ["sat"]}


def test_a_calendar_that_is_used_stays(jm_sql):
    cli, db = jm_sql.cli, jm_sql.db
    cli("calendar", "add", "c", "--exclude", "sat")
    for i in range(7):
        cli("schedule", "add", f"s{i}", "--type", "noop", "--cron", "@daily")
    db.execute("UPDATE schedules SET calendar = 'c' WHERE name <> 's3'")
    assert cli("calendar", "show", "c", "--json").json()["schedules"] == 6
    refused = cli("calendar", "delete", "c", check=False)
    assert refused.code == 1
    assert 'schedules use calendar "c": "s0", "s1", "s2", "s4", "s5" and 1 more' in refused.err
    db.execute("UPDATE schedules SET calendar = NULL WHERE name <> 's5'")
    assert cli("calendar", "delete", "c", check=False).err.strip().endswith('"c": "s5"')
    db.execute("DELETE FROM schedules WHERE name = 's5'")
    cli("calendar", "delete", "c")


def test_no_edit_ends_schedules(jm_sql, tmp):
    cli, db = jm_sql.cli, jm_sql.db
    cli("calendar", "add", "c", "--exclude", "2031-01-01")
    for i in range(6):
        cli("schedule", "add", f"s{i}", "--type", "noop", "--at", f"2031-01-{i + 6:02}T10:00:00Z", "--calendar", "c")
    cli("schedule", "add", "sundays", "--type", "noop", "--cron", "0 0 * * 0", "--calendar", "c")
    cli("schedule", "add", "off", "--type", "noop", "--at", "2031-01-02T10:00:00Z", "--calendar", "c")
    cli("schedule", "disable", "off")
    (tmp / "c.ics").write_text(ICS.replace("20260501", "20310106"))
    before = db.query("SELECT to_jsonb(s) FROM schedules s ORDER BY id"), definition(jm_sql, "c")

    def refused(names, *args):
        done = cli(*args, check=False)
        assert done.code == 2 and done.err.strip().endswith(f"it leaves no instant for {names}"), done.err
        assert before == (db.query("SELECT to_jsonb(s) FROM schedules s ORDER BY id"), definition(jm_sql, "c"))

    refused('schedule "s0"', "calendar", "import", "c", tmp / "c.ics", "--to-year", 2031, "--replace")
    refused('schedule "sundays"', "calendar", "add", "c", "--replace", "--exclude", "sun")
    refused('schedules "s0", "s1", "s2", "s3", "s4" and 2 more',
            "calendar", "add", "c", "--replace", "--include", "2032-01-01,2031-01-01")
    document = {"calendars": [{"name": "c", "definition": {"exclude": ["sun"]}}]}
    path = tmp / "d.json"
    path.write_text(json.dumps(document))
    refused('schedule "sundays"', "schedule", "import", path)
    refused('schedule "sundays"', "schedule", "import", path, "--dry-run")
    weekly = {"name": "sundays", "type": "noop", "cron_expression": "0 0 * * 0", "calendar": "c"}
    path.write_text(json.dumps({**document, "schedules": [{**weekly, "queue": "q"}]}))
    refused('schedule "sundays"', "schedule", "import", path)
    path.write_text(json.dumps({**document, "schedules": [{**weekly, "cron_expression": "0 0 * * 1"}]}))
    cli("schedule", "import", path)
    cli("calendar", "add", "c", "--replace", "--exclude", "sun,2031-01-01")
    cli("schedule", "delete", "s0")
    cli("calendar", "add", "c", "--replace", "--exclude", "2031-01-06")


@pytest.mark.parametrize("code,word,args", [
    (2, "give --exclude", ["add", "a"]),
    (2, "give --exclude", ["add", "a", "--exclude", "sat", "--definition", "{}"]),
    (2, '--exclude: rule 2 "2026-02-31": there is no such day', ["add", "a", "--exclude", "sat,2026-02-31"]),
    (2, '--include: rule 1 "fri#9"', ["add", "a", "--include", "fri#9"]),
    (2, '--exclude: rule 2 ""', ["add", "a", "--exclude", "sat,,sun"]),
    (2, "--definition: a JSON object", ["add", "a", "--definition", "[]"]),
    (2, 'did you mean "exclude"', ["add", "a", "--definition", '{"excludes": []}']),
    (2, "no day open", ["add", "a", "--exclude", "mon-sun"]),
    (2, "no day open", ["add", "a", "--include", "2020-01-01"]),
    (2, "NAME", ["add", "A", "--exclude", "sat"]),
    (2, "NAME", ["add", "x" * 101, "--exclude", "sat"]),
    (2, "NAME", ["add", "", "--exclude", "sat"]),
    (2, "NAME", ["add", ".a", "--exclude", "sat"]),
    (3, 'no project "nobody"', ["add", "a", "--exclude", "sat", "--project", "nobody"]),
    (3, 'no calendar "a" in project default', ["show", "a"]),
    (3, 'no calendar "a"', ["show", "a", "--days", "3"]),
    (2, "--from", ["show", "a", "--from", "12-25"]),
    (2, "no such day", ["show", "a", "--from", "2026-02-29"]),
    (2, "days", ["show", "a", "--days", "0"]),
    (1, "No such file", ["import", "a", "/nowhere.ics"]),
    (2, "to-year", ["import", "a", "/nowhere.ics", "--from-year", "2026", "--to-year", "2025"]),
])
def test_bad_input(jm_sql, code, word, args):
    result = jm_sql.cli("calendar", *args, check=False)
    assert result.code == code and word in result.err, result
    assert jm_sql.db.value("SELECT count(*) FROM calendars") == 0


def test_import(jm_sql, tmp):
    cli = jm_sql.cli
    path = tmp / "holidays.ics"
    path.write_text(ICS)
    rules = ["2026-05-01", "2026-12-25..2026-12-26", "2027-12-25..2027-12-26"]
    years = "--from-year", "2026", "--to-year", "2027"
    assert cli("calendar", "import", "h", path, *years, "--dry-run").json() == {"exclude": rules}
    assert jm_sql.db.value("SELECT count(*) FROM calendars") == 0
    assert cli("calendar", "import", "h", path, *years, "--description", "d").out == "h\n"
    assert definition(jm_sql, "h") == {"exclude": rules}
    assert cli("calendar", "import", "h", path, check=False).code == 1
    cli("calendar", "import", "h", "-", "--replace", stdin=ICS)
    year = dt.datetime.now(dt.timezone.utc).year
    got = definition(jm_sql, "h")["exclude"]
    assert [r for r in got if "05-01" not in r] == [
        f"{y}-12-25..{y}-12-26" for y in range(year, year + 5)]
    # What is no calendar changes nothing.
    for text, word in ((ICS.replace("RRULE:FREQ=YEARLY", "RRULE:FREQ=OFTEN"), "line 5: RRULE"),
                       (ICS.replace("END:VCALENDAR", ""), "has no END"), ("", "empty"),
                       ("a\0b", "no text"), (ICS.replace("2026", "1999").replace("YEARLY", "YEARLY;COUNT=1"),
                                             "no event takes place")):
        path.write_text(text)
        bad = cli("calendar", "import", "h", path, "--replace", check=False)
        assert bad.code == 2 and word in bad.err and "holidays.ics" in bad.err, bad
    assert definition(jm_sql, "h")["exclude"] == got


def test_dry_run_needs_no_database(jm_sql, tmp):
    path = tmp / "holidays.ics"
    path.write_text(ICS)
    result = jm_sql.cli("calendar", "import", "h", path, "--from-year", 2026, "--to-year", 2026, "--dry-run",
                        env={"JOBMILL_DATABASE_URL": "postgresql://127.0.0.1:1/none"})
    assert result.json() == {"exclude": ["2026-05-01", "2026-12-25..2026-12-26"]}


def random_date(rng):
    return dt.date(2026, 1, 1) + dt.timedelta(days=rng.randrange(1200))


def random_mmdd(rng):
    return (dt.date(2028, 1, 1) + dt.timedelta(days=rng.randrange(366))).strftime("%m-%d")


def random_rule(rng):
    first = random_date(rng)
    return rng.choice([
        lambda: str(first),
        lambda: f"{first}..{first + dt.timedelta(days=rng.randrange(60))}",
        lambda: random_mmdd(rng),
        lambda: f"{random_mmdd(rng)}..{random_mmdd(rng)}" if rng.random() < 0.3 else random_mmdd(rng),
        lambda: rng.choice(WEEKDAYS),
        lambda: f"{rng.choice(WEEKDAYS)}-{rng.choice(WEEKDAYS)}" if rng.random() < 0.3 else "sat-sun",
        lambda: f"{rng.choice(WEEKDAYS)}#{rng.choice([-5, -4, -3, -2, -1, 1, 2, 3, 4, 5])}",
        lambda: f"business-day {rng.choice([-1, 1]) * rng.randint(1, 23)}"])()


@pytest.mark.parametrize("seed", range(4))
def test_against_the_oracle(jm_sql, seed):
    rng = random.Random(seed)
    first, n = dt.date(2025, 12, 1), 1300
    for _ in range(12):
        given = {name: [random_rule(rng) for _ in range(rng.randrange(most))]
                 for name, most in (("exclude", 7), ("include", rng.choice([1, 6])))}
        oracle = calendar_oracle.Calendar(given)
        saved = jm_sql.cli("calendar", "add", "c", "--definition", json.dumps(given), "--replace", check=False)
        if saved.code == 2:
            assert "no day open" in saved.err
            assert not any(oracle.days(dt.datetime.now(dt.timezone.utc).date(), 800)), given
            continue
        assert saved.code == 0, saved
        shown = jm_sql.cli("calendar", "show", "c", "--from", first, "--days", n, "--json").json()["items"]
        expected = oracle.days(first, n)
        wrong = [(i["date"], i["open"]) for i, e in zip(shown, expected, strict=True) if i["open"] != e]
        assert not wrong, (given, wrong[:5])
