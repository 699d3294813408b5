"""Schedules in files: export and import are each other's inverse, a document changes all that it says
or nothing, and what is wrong with one is named."""
import json
import os
import subprocess
import time

import jsonschema
import psycopg
import pytest

from lib.paths import SCHEMA, bin_dir
from lib.wait import wait_until

DOCUMENT_SCHEMA = json.loads((SCHEMA / "schedules.v1.json").read_text())
PARAMS = '{"big":123456789012345678901234567890,"exact":1.10,"tiny":1e-7,"text":"\\u00e9","nested":[{"a":-0.50}]}'
EVERYTHING = {
    "name": "all", "project": "p", "external_id": "e-1", "description": "Für alle", "type": "report",
    "profile": "fast", "queue": "q-1", "priority": 9, "exclusive": "one", "metadata": {"k": 1, "l": None},
    "callback_url": "https://example.org/x", "interval_seconds": 5400, "anchor_at": "2026-01-01T00:00:00.500000Z",
    "timezone": "Europe/Paris", "dst_gap": "skip", "dst_fold": "both", "jitter_seconds": 30,
    "starts_at": "2030-01-01T00:00:00Z", "ends_at": "2031-01-01T00:00:00Z", "calendar": "office",
    "enabled": False, "paused": True, "overlap": "queue", "max_instances": 3, "misfire_grace_seconds": 120,
    "catch_up": "all", "catch_up_limit": 7, "coalesce_grace": True}
OFFICE = {"project": "p", "name": "office", "description": "Büro", "definition": {"exclude": ["sat-sun", "12-25"]}}


def daily(name, **more):
    return {"name": name, "type": "noop", "cron_expression": "@daily", **more}


def give(jm, document, *args, check=True, name="d.json"):
    path = jm.dir / name
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return jm.cli("schedule", "import", path, *args, check=check)


def export(jm, *args):
    return jm.cli("schedule", "export", *args).out


def counts(result):
    return [len(result[k]) for k in ("added", "changed", "deleted")] + [result["unchanged"]]


def rows(db):
    return db.query("SELECT to_jsonb(s) - 'updated_at' FROM schedules s ORDER BY id")


def state(db):
    """All that an import may write."""
    return (db.query("SELECT to_jsonb(s) FROM schedules s ORDER BY id"),
            db.query("SELECT to_jsonb(c) FROM calendars c ORDER BY project, name"),
            db.query("SELECT to_jsonb(a) FROM audit_log a ORDER BY id"),
            db.query("SELECT to_jsonb(l) FROM locks l ORDER BY project, name"))


@pytest.fixture
def jm2(jm_sql):
    jm_sql.db.execute("INSERT INTO projects (name) VALUES ('p'), ('other')")
    return jm_sql


def test_round_trip(jm2):
    text = json.dumps({"calendars": [OFFICE], "schedules": [EVERYTHING, daily("plain")]})
    text = text.replace('"type": "report"', f'"type": "report", "params": {PARAMS}')
    done = give(jm2, text)
    assert done.out.splitlines()[-1] == "2 added, 0 changed, 0 deleted, 0 unchanged"
    assert "+ calendar p/office" in done.out and "+ p/all  report " in done.out
    out = export(jm2)
    jsonschema.validate(json.loads(out), DOCUMENT_SCHEMA)
    document = json.loads(out)
    assert document["calendars"] == [OFFICE]
    plain, everything = document["schedules"]
    assert plain == daily("plain")
    params = everything.pop("params")
    assert everything == EVERYTHING and params["nested"] == [{"a": -0.5}]
    assert "123456789012345678901234567890" in out and "1.10" in out and "-0.50" in out
    before = state(jm2.db)
    assert jm2.cli("schedule", "import", "-", stdin=out).out == "nothing changes: 2 schedules are like that\n"
    assert give(jm2, text).out == "nothing changes: 2 schedules are like that\n"
    assert state(jm2.db) == before
    row = jm2.db.one("SELECT source, version, max_instances FROM schedules WHERE name = 'all'")
    assert row == ("import", 1, 3)
    assert jm2.db.value("SELECT capacity FROM locks WHERE name LIKE 'schedule:%'") == 3
    # What was exported makes the same schedules again, elsewhere.
    jm2.db.execute("DELETE FROM schedules")
    jm2.db.execute("DELETE FROM calendars")
    jm2.cli("schedule", "import", "-", stdin=out)
    assert export(jm2) == out


def test_every_column_is_in_the_document(jm2):
    columns = {c for (c,) in jm2.db.query("SELECT column_name FROM information_schema.columns "
                                          "WHERE table_schema = 'jobmill' AND table_name = 'schedules'")}
    runtime = {"id", "source", "version", "next_run_at", "next_skip_at", "last_run_at", "last_status", "last_job_id",
               "total_runs", "successful_runs", "failed_runs", "skipped_runs", "created_at", "updated_at"}
    known = set(DOCUMENT_SCHEMA["$defs"]["schedule"]["properties"]) - {"$schema"}
    assert known == columns - runtime
    assert known - set(EVERYTHING) == {"cron_expression", "run_at", "kind", "params"}


def test_directory(jm2):
    give(jm2, {"calendars": [OFFICE], "schedules": [EVERYTHING, daily("a/b ü"), daily("x", project="other")]})
    out = export(jm2)
    tree = jm2.dir / "tree"
    jm2.cli("schedule", "export", "--output", f"{tree}/")
    assert sorted(str(p.relative_to(tree)) for p in tree.rglob("*.json")) == [
        "default/a%2Fb%20%C3%BC.json", "other/x.json", "p/all.json", "p/calendars/office.json"]
    for path in tree.rglob("*.json"):
        jsonschema.validate(json.loads(path.read_text()), DOCUMENT_SCHEMA)
    assert "nothing changes" in jm2.cli("schedule", "import", tree).out
    jm2.cli("schedule", "export", "--output", jm2.dir / "one.json")
    assert (jm2.dir / "one.json").read_text() == out
    only = json.loads(export(jm2, "--project", "other"))
    assert [s["name"] for s in only["schedules"]] == ["x"] and only["calendars"] == []
    assert jm2.cli("schedule", "export", "--project", "nobody", check=False).code == 3
    (tree / "again.json").write_text(json.dumps([daily("x", project="other")]))
    done = jm2.cli("schedule", "import", tree, check=False)
    assert done.code == 2 and "again.json" in done.err and "other/x.json" in done.err


def test_export_replaces_only_regular_files(jm2):
    give(jm2, [daily("a")])
    out, made = export(jm2), jm2.dir / "made"
    made.mkdir()
    there, link, dangling, fifo = made / "there", made / "link", made / "dangling", made / "fifo"
    there.write_text("old")
    there.chmod(0o640)
    link.symlink_to("there")
    jm2.cli("schedule", "export", "--output", link)
    assert link.is_symlink() and there.read_text() == out and there.stat().st_mode & 0o7777 == 0o640
    dangling.symlink_to("new")
    jm2.cli("schedule", "export", "--output", dangling)
    assert dangling.is_symlink() and (made / "new").read_text() == out
    os.mkfifo(fifo)
    with subprocess.Popen(["cat", fifo], stdout=subprocess.PIPE, text=True) as reader:
        jm2.cli("schedule", "export", "--output", fifo)
        assert reader.stdout.read() == out and fifo.is_fifo()
    full = made / "full"
    full.symlink_to("/dev/full")
    done = jm2.cli("schedule", "export", "--output", full, check=False)
    assert done.code == 1 and "No space left" in done.err and full.is_char_device()
    assert sorted(p.name for p in made.iterdir()) == ["dangling", "fifo", "full", "link", "new", "there"]


def test_changes_are_shown_and_made(jm2):
    give(jm2, [daily("a"), daily("b"), daily("c", timezone="Europe/Paris")])
    before = rows(jm2.db)
    document = [daily("a", queue="slow", params={"x": 1.50}), daily("b"),
                {"name": "d", "type": "noop", "cron_expression": "30 2 * * *", "timezone": "Europe/Paris"}]
    dry = give(jm2, document, "--prune", "--dry-run")
    assert rows(jm2.db) == before
    done = give(jm2, document, "--prune", "--reason", "why")
    assert done.out == dry.out
    lines = done.out.splitlines()
    assert [line for line in lines if not line.startswith("      ")] == [
        '~ a  params - -> {"x":1.5}, queue - -> "slow"', "- c",
        "+ d  noop at 02:30 every day, Europe/Paris", "1 added, 1 changed, 1 deleted, 1 unchanged"]
    assert sum(line.startswith("      runs 20") for line in lines) == 6
    log = jm2.db.query("SELECT action, actor, source, reason, version FROM audit_log WHERE reason = 'why' ORDER BY action")
    assert [(r[0], r[2], r[3], r[4]) for r in log] == [
        ("create", "import", "why", 1), ("delete", "import", "why", 2), ("update", "import", "why", 2)]
    assert all(r[1].startswith("cli:") for r in log)
    result = give(jm2, [], "--prune", "--json").json()
    assert counts(result) == [0, 0, 0, 0]  # it names no project
    result = give(jm2, [daily("a")], "--json", "--prune").json()
    assert counts(result) == [0, 1, 2, 0]
    assert result["changed"][0]["before"]["queue"] == "slow" and "queue" not in result["changed"][0]["after"]
    assert [r["name"] for r in result["deleted"]] == ["b", "d"]


def test_preview_has_notes(jm2):
    calendar = {"name": "c", "definition": {"exclude": ["mon-fri"]}}
    done = give(jm2, {"calendars": [calendar], "schedules": [daily("a", calendar="c"), daily("off", enabled=False)]})
    assert "(excluded by calendar)" in done.out
    assert done.out.count("runs ") == 3


def test_prune_leaves_other_projects_and_syncs(jm2):
    give(jm2, [daily("a"), daily("b"), daily("a", project="p")])
    jm2.cli("schedule", "add", "by-hand", "--type", "noop", "--cron", "@daily")
    jm2.db.execute("UPDATE schedules SET source = 'sync' WHERE name = 'b'")
    result = give(jm2, [daily("c")], "--prune", "--json").json()
    assert sorted(r["name"] for r in result["deleted"]) == ["a", "by-hand"]
    assert [n for n, in jm2.db.query("SELECT project || '/' || name FROM schedules ORDER BY 1")] == [
        "default/b", "default/c", "p/a"]
    # What a sync owns may be in a document as it is, and not otherwise.
    assert "1 schedules are like that" in give(jm2, [daily("b")]).out
    done = give(jm2, [daily("b", priority=1), daily("new")], check=False)
    assert done.code == 2 and "belongs to a sync" in done.err and "[0]" in done.err
    assert jm2.db.value("SELECT count(*) FROM schedules WHERE name = 'new'") == 0


def test_people_keep_what_is_theirs(jm2):
    jm2.cli("schedule", "add", "mine", "--type", "noop", "--every", "1h", "--priority", "7")
    anchor = jm2.db.value("SELECT anchor_at FROM schedules")
    give(jm2, [{"name": "mine", "type": "noop", "interval_seconds": 3600}])
    assert jm2.db.one("SELECT source, priority, anchor_at, version FROM schedules") == ("user", 4, anchor, 2)
    assert "nothing changes" in give(jm2, [{"name": "mine", "type": "noop", "interval_seconds": 3600}]).out


def test_what_has_ended_is_no_error(jm2):
    once = {"name": "once", "type": "noop", "run_at": "2020-01-01T00:00:00Z"}
    over = daily("over", ends_at="2021-01-01T00:00:00Z")
    done = give(jm2, [once, over])
    assert done.out.count("it does not run any more") == 2
    assert jm2.db.query("SELECT next_run_at FROM schedules") == [(None,), (None,)]
    assert "nothing changes" in give(jm2, [once, over]).out


def test_calendars(jm2):
    document = {"calendars": [OFFICE], "schedules": [daily("a", project="p", calendar="office")]}
    give(jm2, document)
    other = {**OFFICE, "definition": {"exclude": ["mon-fri"]}}
    done = give(jm2, {"calendars": [other]})
    assert done.out.splitlines() == [
        '~ calendar p/office  definition {"exclude":["sat-sun","12-25"]} -> {"exclude":["mon-fri"]} (1 schedule uses it)',
        "0 added, 0 changed, 0 deleted, 0 unchanged"]
    done = give(jm2, {"calendars": [{**other, "description": "Shop"}]}, "--dry-run")
    assert done.out.startswith('~ calendar p/office  description "Büro" -> "Shop" (1 schedule uses it)\n')
    assert jm2.db.value("SELECT next_run_at FROM schedules").isoweekday() > 5
    assert jm2.db.value("SELECT version FROM calendars") == 2
    assert "nothing changes" in give(jm2, {"calendars": [{k: v for k, v in other.items() if k != "description"}]}).out
    result = give(jm2, {"calendars": [OFFICE, {"name": "n", "definition": {}}]}, "--json").json()
    assert [c["name"] for c in result["calendars"]["added"]] == ["n"]
    assert [c["name"] for c in result["calendars"]["changed"]] == ["office"]


BROKEN = [
    ("", "d.json: "), ("{", "line 1"), ("[1,", "d.json: "), ("3", "an object or an array"), ("null", "an object or an array"),
    ("{}", "one of cron_expression"), ('[{"name":"x","name":"y"}]', "duplicate"),
    ({"schedules": {}}, "schedules: an array expected"), ({"schedules": [], "more": 1}, "more: "),
    ([1], "[0]: a schedule is a JSON object"),
    ([daily("ok"), {"name": "x", "cron_expression": "@daily"}], "[1].type: "),
    ([daily("é\x1b[2J")], "[0].name: character 2: control characters (U+001B) are refused"),
    ([daily("a\nb")], "[0].name: character 2: "), ([daily("a\x7f")], "[0].name: character 2: control characters (U+007F)"),
    ([daily("a", description="a\n\tb\r")], "[0].description: character 5: control characters (U+000D)"),
    ([daily("")], "[0].name: "), ([daily("x" * 256)], "[0].name: "), ([daily("x", project="P")], "[0].project: "),
    ([daily("x", project="nobody")], '[0]: there is no project "nobody"'),
    ([daily("x", calendar="none")], '[0].calendar: project default has no calendar "none"'),
    ([daily("x", typo=1)], "[0].typo: "), ([daily("x", source="user")], "[0].source: "),
    ([daily("x", priority=10)], "[0].priority: "), ([daily("x", priority="4")], "[0].priority: "),
    ([daily("x", priority=4.5)], "[0].priority: "), ([daily("x", queue="Q")], "[0].queue: "),
    ([daily("x", overlap="maybe")], "[0].overlap: "), ([daily("x", enabled=1)], "[0].enabled: "),
    ([daily("x", params=[])], "[0].params: "), ([daily("x", metadata={"a": {}})], "[0].metadata: "),
    ([daily("x", timezone="Mars/Base")], "[0].timezone: "), ([daily("x", ends_at="tomorrow")], "[0].ends_at: "),
    ([daily("x", callback_url="ftp://x")], "[0].callback_url: "), ([daily("x", jitter_seconds=-1)], "[0].jitter_seconds: "),
    ({"schedules": [daily("x", cron_expression="61 * * * *")]}, "schedules[0].cron_expression: "),
    ([{"name": "x", "type": "noop", "interval_seconds": 0}], "[0].interval_seconds: "),
    ([{"name": "x", "type": "noop", "interval_seconds": 60, "project": "slow"}], "[0].interval_seconds: "),
    ([daily("x", interval_seconds=60)], "only one of it"), ([daily("x"), daily("x")], "is also in"),
    ({"calendars": [{"name": "c", "definition": {"exclude": ["mon-sun"]}}]}, "no day open"),
    ({"calendars": [{"name": "c", "definition": {"exclude": ["nix"]}}]}, "calendars[0].definition: "),
    ({"calendars": [{"name": "c", "project": "nobody", "definition": {}}]}, "no project"),
    ({"calendars": [{"name": "c"}]}, "calendars[0].definition: it is missing"),
    ({"calendars": [{"name": "c", "definition": {}}] * 2}, 'calendar "c" of project default is also in'),
    ('[{"name":"x","type":"noop","cron_expression":"@daily","params":{"a":"\\u0000"}}]', "d.json: "),
    ('[{"name":"x","type":"noop","cron_expression":"@daily","params":{"a":1e999999}}]', "[0].params: "),
]


def test_broken_documents_change_nothing(jm2):
    jm2.db.execute("INSERT INTO projects (name, min_interval_s) VALUES ('slow', 3600)")
    give(jm2, [daily("there"), daily("too")])
    before = state(jm2.db)
    for document, word in BROKEN:
        # The rest of a document is fine, and would change something.
        if isinstance(document, list):
            document = document + [daily("zz-fine"), daily("there", priority=1)]
        done = give(jm2, document, "--prune", check=False)
        assert done.code == 2 and word in done.err and "nothing is changed" in done.err, (document, done)
        assert "d.json" in done.err and not done.out, (document, done)
        assert state(jm2.db) == before, document
    missing = jm2.cli("schedule", "import", jm2.dir / "none", check=False)
    assert missing.code == 1 and "No such file" in missing.err


def test_all_that_is_wrong_is_said_at_once(jm2):
    done = give(jm2, [daily("a", priority=-1), daily("b"), daily("c", timezone="X"), daily("d", queue="_")], check=False)
    assert [line.split(":")[1].strip() for line in done.err.splitlines()[:-1]] == [
        "[0].priority", "[2].timezone", "[3].queue"]
    done = give(jm2, [daily(f"n{i:02}", project="nobody") for i in range(30)], check=False)
    assert len(done.err.splitlines()) == 31
    # Members of one schedule as well, whether or not a database is needed to judge them.
    done = give(jm2, [daily("a", priority=-1, queue="_", overlap="maybe", typo=1)], check=False)
    assert {line.split(":")[1].strip() for line in done.err.splitlines()[:-1]} == {
        "[0].priority", "[0].queue", "[0].overlap", "[0].typo"}
    jm2.db.execute("INSERT INTO projects (name, min_interval_s) VALUES ('slow', 3600)")
    done = give(jm2, [{"name": "a", "type": "noop", "project": "slow", "interval_seconds": 60, "calendar": "none"},
                      daily("b", calendar="none"), daily("c", priority=-1)], check=False)
    assert {line.split(":")[1].strip() for line in done.err.splitlines()[:-1]} == {
        "[0].interval_seconds", "[0].calendar", "[1].calendar", "[2].priority"}
    # A calendar that is wrong is not missed as well.
    done = give(jm2, {"calendars": [{"name": "c", "definition": 3}],
                      "schedules": [daily("a", calendar="c"), daily("b", project="nobody")]}, check=False)
    assert {line.split(":")[1].strip() for line in done.err.splitlines()[:-1]} == {
        "calendars[0].definition", "schedules[1]"}


def test_all_or_nothing_under_a_conflict(jm2):
    """Somebody changes a schedule, or adds one, between what is found and what is done."""
    give(jm2, [daily(f"s{i}") for i in range(5)])
    document = [daily(f"s{i}", priority=1) for i in range(5)] + [daily("zz")]
    for statement in ("UPDATE schedules SET version = version + 1 WHERE name = 's3'",
                      "DELETE FROM schedules WHERE name = 's3'",
                      "INSERT INTO schedules (id, name, type, kind, cron_expression) "
                      "VALUES (uuid7(), 'zz', 'noop', 'cron', '@daily')"):
        with psycopg.connect(jm2.database_url, options="-c search_path=jobmill") as conn:
            conn.execute(statement)
            conn.execute("SELECT 1 FROM schedules WHERE name = 's0' FOR UPDATE")
            path = jm2.dir / "d.json"
            path.write_text(json.dumps(document))
            run = subprocess.Popen([bin_dir() / "jobmill", "schedule", "import", path], env=jm2.env(),
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            assert "s0" in run.stdout.readline()  # found and shown; now it waits for a row
            time.sleep(0.3)
            conn.commit()
        err = run.communicate(timeout=30)[1]
        assert run.returncode == 1, err
        assert jm2.db.value("SELECT count(*) FROM schedules WHERE priority <> 4") == 0, statement
        assert jm2.db.value("SELECT count(*) FROM audit_log WHERE action = 'update'") == 0
        assert "s3" in err or "added one of these" in err or "already" in err
        jm2.db.execute("DELETE FROM schedules WHERE name = 'zz'")
        give(jm2, [daily(f"s{i}") for i in range(5)])
        jm2.db.execute("DELETE FROM audit_log")
    assert counts(give(jm2, document, "--json").json()) == [1, 5, 0, 0]


def test_a_deadlock_is_tried_again(jm2):
    """Somebody locks the same schedules the other way round, and PostgreSQL picks the import to give way."""
    give(jm2, [daily(f"s{i}") for i in range(5)])
    path = jm2.dir / "d.json"
    path.write_text(json.dumps([daily(f"s{i}", priority=1) for i in range(5)]))
    with psycopg.connect(jm2.database_url, options="-c search_path=jobmill -c deadlock_timeout=60s") as conn:
        first, *_, last = [i for i, in jm2.db.query("SELECT id FROM schedules ORDER BY id")]
        conn.execute("SELECT 1 FROM schedules WHERE id = %s FOR UPDATE", (last,))
        run = subprocess.Popen([bin_dir() / "jobmill", "schedule", "import", path], env=jm2.env(),
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wait_until(lambda: jm2.db.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'jobmill' "
                                        "AND wait_event_type = 'Lock'"), 20, 0.02, "the import waits")
        conn.execute("SELECT 1 FROM schedules WHERE id = %s FOR UPDATE", (first,))  # once it has given way
        conn.commit()
    out, err = run.communicate(timeout=30)
    assert run.returncode == 0 and not err, err
    assert "0 added, 5 changed" in out
    assert jm2.db.query("SELECT DISTINCT priority, version FROM schedules") == [(1, 2)]
    assert jm2.db.value("SELECT count(*) FROM audit_log WHERE action = 'update'") == 5
    wait_until(lambda: jm2.db.value("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"), 20,
               what="the server counts the deadlock")


def test_what_was_due_is_settled(jm2):
    give(jm2, [{"name": "m", "type": "noop", "cron_expression": "* * * * *"}])
    jm2.db.execute("UPDATE schedules SET next_run_at = next_run_at - interval '2 minutes'")
    give(jm2, [daily("m")])
    assert jm2.db.value("SELECT sum(count) FROM schedule_ticks") >= 1


def test_many(jm2):
    document = [daily(f"s{i:05}", params={"n": i}) for i in range(2000)]
    assert counts(give(jm2, document, "--json").json()) == [2000, 0, 0, 0]
    assert jm2.db.value("SELECT count(*) FROM schedules WHERE next_run_at > now()") == 2000
    for s in document:
        s["cron_expression"] = "0 4 * * *"
    assert counts(give(jm2, document[:-100], "--json", "--prune").json()) == [0, 1900, 100, 0]
    assert "1900 schedules are like that" in give(jm2, document[:-100]).out
    assert jm2.db.one("SELECT count(*), count(*) FILTER (WHERE version = 2) FROM schedules") == (1900, 1900)
    assert jm2.db.value("SELECT count(*) FROM audit_log") == 4000


def test_a_pause_by_hand_outlasts_an_import(jm_sql, tmp):
    """Who paused it resumes it; a document that says paused decides."""
    document = tmp / "s.json"
    definition = {"name": "a", "type": "noop", "cron_expression": "@daily"}
    document.write_text(json.dumps([definition]))
    jm_sql.cli("schedule", "import", document)
    jm_sql.cli("schedule", "pause", "a")
    document.write_text(json.dumps([{**definition, "cron_expression": "@hourly"}]))
    jm_sql.cli("schedule", "import", document)
    row = jm_sql.cli("schedule", "show", "a", "--json").json()
    assert row["paused"] and row["cron_expression"] == "@hourly" and row["next_run_at"] is None
    document.write_text(json.dumps([{**definition, "paused": False}]))
    jm_sql.cli("schedule", "import", document)
    assert not jm_sql.cli("schedule", "show", "a", "--json").json()["paused"]
    jm_sql.cli("schedule", "pause", "a")
    jm_sql.cli("schedule", "rollback", "a", "--version", "1")
    assert not jm_sql.cli("schedule", "show", "a", "--json").json()["paused"]
