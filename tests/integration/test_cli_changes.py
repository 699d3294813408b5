"""--dry-run, --reason and --yes: what is only tried changes nothing, what is done says why in the audit log."""
import json
import re

import pytest

from lib.database import name_of
from lib.paths import bin_dir
from lib.stack import Stack
from lib.terminal import Terminal

TABLES = ("jobs", "pending_jobs", "schedules", "calendars", "locks", "documents", "projects", "api_keys", "audit_log")


@pytest.fixture(scope="module")
def filled_database(database_server, tmp_path_factory):
    """A database with one of everything, to be copied: its name, and the ids of what commands are given by id."""
    url = database_server.create()
    stack = Stack(tmp_path_factory.mktemp("filled"), url, None)
    cli = stack.cli
    ids = {name: cli("job", "submit", "--type", "t").out.strip() for name in ("waiting", "ended")}
    cli("job", "cancel", ids["ended"])
    cli("schedule", "add", "s", "--every", "1h", "--type", "t")
    cli("schedule", "update", "s", "--description", "second")
    cli("calendar", "add", "c", "--exclude", "sat-sun")
    cli("lock", "acquire", "held", "--ttl", "1h")
    cli("project", "add", "p")
    cli("document", "set", "d", '{"a": 1}')
    cli("document", "set", "d", '{"a": 2}')
    cli("key", "create", "--name", "k", "--scope", "read")
    ids["key"] = cli("key", "list", "--json").json()["items"][0]["id"]
    assert not stack.finish()
    yield url, ids
    database_server.drop(url)


@pytest.fixture
def filled(database_server, filled_database, make_stack):
    template, ids = filled_database
    url = database_server.create(name_of(template))
    stack = make_stack(url, None)
    stack.ids = ids
    yield stack
    wrong = stack.finish()
    database_server.drop(url)
    assert not wrong, "\n".join(wrong)


def contents(stack):
    return {table: stack.db.value(f"SELECT jsonb_agg(to_jsonb(t) - 'last_used_at' ORDER BY t::text) FROM {table} t")
            for table in TABLES}


CHANGES = {
    "job cancel": "job cancel {waiting}",
    "job retry": "job retry {ended}",
    "job delete": "job delete {ended}",
    "job update": "job update {waiting} --priority 7",
    "schedule add": "schedule add other --every 2h --type t",
    "schedule update": "schedule update s --every 2h",
    "schedule enable": "schedule disable s",
    "schedule pause": "schedule pause s",
    "schedule run": "schedule run s",
    "schedule rollback": "schedule rollback s --version 1",
    "schedule delete": "schedule delete s",
    "calendar add": "calendar add other --exclude 12-25",
    "calendar replace": "calendar add c --exclude 12-25 --replace",
    "calendar delete": "calendar delete c",
    "lock set": "lock set l --capacity 3",
    "lock force": "lock release held --force",
    "project add": "project add q",
    "project update": "project update p --description other",
    "project delete": "project delete p --yes",
    "key create": "key create --name other --scope admin",
    "key revoke": "key revoke {key}",
    "document set": "document set d [2]",
    "document rollback": "document rollback d --version 1",
    "document delete": "document delete d",
    "cleanup": "cleanup --older-than 1ms --yes",
}


def command(stack, name):
    return CHANGES[name].format(**stack.ids).split()


@pytest.mark.parametrize("name", CHANGES)
def test_a_dry_run_changes_nothing_and_says_so(filled, name):
    before = contents(filled)
    tried = filled.cli(*command(filled, name), "--dry-run")
    assert contents(filled) == before
    assert filled.cli("job", "wait", filled.ids["waiting"], "--timeout", "0", check=False).code == 1
    assert re.search(r"\bwould (be|make|delete)\b|^runs  ", tried.err, re.M), tried
    assert tried.err.endswith("\n") and (not tried.out or tried.out.endswith("\n"))


@pytest.mark.parametrize("name", CHANGES)
def test_one_document_with_json(filled, name):
    """Of what is only tried too."""
    tried = filled.cli(*command(filled, name), "--dry-run", "--json").json()
    assert tried.get("dry_run") is True or "items" in tried, tried  # items: when a schedule would run
    done = filled.cli(*command(filled, name), "--json").json()
    assert done and "dry_run" not in done or done["dry_run"] is False, done


def test_a_schedule_that_would_not_run_says_so(filled):
    for verb, back, state in (("disable", "enable", "disabled"), ("pause", "resume", "paused")):
        tried = filled.cli("schedule", verb, "s", "--dry-run")
        assert f"it would be {state}" in tried.err, tried
        done = filled.cli("schedule", verb, "s")
        assert f"it is {state}" in done.err and "runs" not in done.err, done
        assert "it would be" not in filled.cli("schedule", back, "s", "--dry-run").err
        filled.cli("schedule", back, "s")


@pytest.mark.parametrize("name", CHANGES)
def test_the_reason_is_in_the_audit_log(filled, name):
    count = "SELECT count(*) FROM audit_log WHERE reason = 'as agreed' AND actor LIKE 'cli:%%' AND source = 'cli'"
    filled.cli(*command(filled, name), "--reason", "as agreed")
    assert filled.db.value(count) >= 1
    assert "as agreed" in json.dumps(filled.cli("audit", "list", "--json").json()["items"])


@pytest.mark.parametrize("args", [["job", "cancel", "no-such"], ["schedule", "delete", "none"], ["calendar", "delete", "none"],
                                  ["lock", "release", "none", "--force"], ["key", "revoke", "none"]])
def test_a_dry_run_fails_as_the_change_would(filled, args):
    tried, done = (filled.cli(*args, *more, check=False) for more in (["--dry-run"], []))
    assert tried.code == done.code != 0 and tried.err == done.err


def test_a_dry_run_of_migrations(make_stack, empty_db_url):
    empty_database = make_stack(empty_db_url, None)
    tried = empty_database.cli("schema", "migrate", "--dry-run", "--json").json()
    assert tried["missing"][0] == "0001_foundation" and tried["state"] == "empty"
    assert empty_database.cli("schema", "status", check=False).code == 1
    made = empty_database.cli("schema", "init", "--json").json()
    assert made["applied"] == tried["missing"]
    assert empty_database.cli("schema", "init", "--dry-run", "--json").json()["missing"] == []


def test_reset_wants_the_name(jm_sql):
    jm_sql.cli("job", "submit", "--type", "t")
    refused = jm_sql.cli("schema", "reset", check=False)
    assert refused.code == 2 and "say --yes" in refused.err
    assert "would drop" in jm_sql.cli("schema", "reset", "--dry-run").err
    with Terminal([bin_dir() / "jobmill", "schema", "reset"], jm_sql.env()) as terminal:
        terminal.wait("Type jobmill to go on: ")
        terminal.type("jobmil\n")
        assert terminal.finish() == 1 and "nothing was done" in terminal.text
    assert jm_sql.db.value("SELECT count(*) FROM jobs") == 1
    with Terminal([bin_dir() / "jobmill", "schema", "reset"], jm_sql.env()) as terminal:
        terminal.wait("Type jobmill to go on: ")
        terminal.type("jobmill\n")
        assert terminal.finish() == 0
    assert jm_sql.db.value("SELECT count(*) FROM jobs") == 0


def test_topics_that_would_be_made(jm):
    jm.cli("topics", "create", "a")
    items = jm.cli("topics", "create", "a", "b", "--dry-run", "--json").json()["items"]
    assert items == [{"queue": "a", "missing": False}, {"queue": "b", "missing": True}]
    assert "b" not in [topic["queue"] for topic in jm.cli("topics", "list", "--json").json()["items"]]
