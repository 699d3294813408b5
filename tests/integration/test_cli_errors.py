"""What commands say when something is wrong: what it is, and what to do next. With the database alone all that needs no Kafka
works, and what does need it says so."""
import os
import subprocess

import pytest

from lib.paths import bin_dir

NOWHERE = "--kafka.bootstrap.servers=127.0.0.1:1"
SHORT = "--kafka.socket.connection.setup.timeout.ms=1000"
NOBODY = "0194b0f0-0000-7000-8000-00000000000a"


@pytest.mark.parametrize("args,code,said", [
    (["job", "show", NOBODY], 3, "jobmill job list shows"),
    (["job", "show", "no-such"], 3, "jobmill job list shows"),
    (["job", "result", "no-such"], 3, "jobmill job list shows"),
    (["job", "submit", "--type", "t", "--project", "none"], 3, "none"),
    (["schedule", "show", "none"], 3, "jobmill schedule list shows"),
    (["schedule", "add", "x", "--every", "1h", "--type", "t", "--calendar", "none"], 2, 'no calendar "none"'),
    (["schedule", "delete", "none"], 3, "jobmill schedule list shows"),
    (["calendar", "show", "none"], 3, "jobmill calendar list shows"),
    (["dead", "show", NOBODY], 3, "jobmill dead list shows"),
    (["type", "show", "none"], 3, "jobmill type list shows"),
    (["document", "get", "none"], 3, "jobmill document list shows"),
    (["jbo"], 2, "did you mean job?"),
    (["job", "lst"], 2, "did you mean list?"),
    (["job", "list", "--staus", "x"], 2, "did you mean --status?"),
    (["job", "list", "--status", "faild"], 2, "did you mean failed?"),
    (["job", "list", "--limit", "x"], 2, "needs a whole number from 1 to 10000"),
    (["job", "list", "--database.url=postgresql://127.0.0.1:1/x"], 1, "JOBMILL_DATABASE_URL"),
    (["job", "list", "--databse.url=x"], 2, "database"),
    (["--foo"], 2, "no noun beside --foo"),
    (["job", "submit", "--type", "t", "--params", '{"a": "\\u0000"}'], 2, "\\u0000 is not allowed (line 1"),
    (["dead", "list", "--open", "--redriven"], 2, "give one of --open and --redriven"),
    (["dead", "list", "--from", "x"], 2, "no duration such as 2h"),
    (["schedule", "add", "x", "--type", "t", "--cron", "* * * * *", "--every", "5m"], 2, "give one of --cron, --every"),
    (["cleanup", "--older-than", "0s", "--yes"], 2, "a duration such as 30d"),
    (["cleanup", "--older-than", "1s", "--status", "no", "--yes"], 2, '"no" is no status'),
    (["job", "delete", "--older-than", "1s", "--status", "no", "--yes"], 2, '"no" is no status'),
])
def test_errors_say_what_to_do_next(jm_sql, args, code, said):
    result = jm_sql.cli(*args, check=False)
    assert result.code == code and said in result.err, result
    assert not result.out and "removed" not in result.err


NO_TEXT = "a\udcff"  # as an argument: the byte 0xff


@pytest.mark.parametrize("args,name", [
    (["job", "submit", "--type", NO_TEXT], "--type"),
    (["job", "submit", "--type", "t", "--params", '{"a": "' + NO_TEXT + '"}'], "--params"),
    (["job", "show", NO_TEXT], "ID"),
    (["job", "list", "--metadata", NO_TEXT + "=1"], "--metadata"),  # else it would filter nothing
    (["job", "search", "key", NO_TEXT], "VALUE"),
    (["schedule", "show", NO_TEXT], "NAME|ID"),
    (["calendar", "add", "c", "--definition", NO_TEXT], "--definition"),
    (["document", "set", NO_TEXT, "1"], "NAME"),
    (["document", "set", "d", NO_TEXT], "JSON|@FILE|-"),
    (["project", "update", "default", "--description", "x", "--reason", NO_TEXT], "--reason"),
    (["lock", "run", NO_TEXT, "--", "true"], "NAME"),
    (["cleanup", "--older-than", "30d", "--project", NO_TEXT, "--yes"], "--project"),
])
def test_an_argument_that_is_no_text_is_named(jm_sql, args, name):
    result = jm_sql.cli(*args, check=False)
    assert result.code == 2 and f"jobmill: {name} is not valid UTF-8\n" in result.err, result
    assert not result.out


def test_names_of_files_may_be_any_bytes(jm_sql, tmp_path):
    path = f"{tmp_path}/{NO_TEXT}.json"
    jm_sql.cli("document", "set", "d", '{"a": 1}')
    jm_sql.cli("backup", "--file", path)
    assert jm_sql.cli("restore", path, "--json").json()["documents"]["unchanged"] == 1
    assert jm_sql.cli("lock", "run", "l", "--", "test", "-s", path).code == 0


@pytest.mark.parametrize("args,missing", [
    ("document set", "NAME"), ("document set d", "JSON|@FILE|-"), ("lock run", "NAME"), ("lock run l", "COMMAND"),
    ("lock run l --", "COMMAND"), ("job show", "ID"), ("schedule import", "FILE|DIR|-"), ("calendar import c", "FILE")])
def test_the_operand_that_is_missing_is_named(jm_sql, args, missing):
    result = jm_sql.cli(*args.split(), check=False)
    assert result.code == 2 and f"jobmill: {missing} is missing\n" in result.err, result


def test_conflicts_say_what_to_do_next(jm_sql):
    cli = jm_sql.cli
    cli("schedule", "add", "s", "--every", "1h", "--type", "t")
    twice = cli("schedule", "add", "s", "--every", "1h", "--type", "t", check=False)
    assert twice.code == 1 and "jobmill schedule update changes it" in twice.err
    assert "jobmill schedule versions shows" in cli("schedule", "rollback", "s", "--version", 9, check=False).err
    cli("document", "set", "d", "1")
    assert "jobmill document history shows" in cli("document", "get", "d", "--version", 9, check=False).err
    cli("calendar", "add", "c", "--exclude", "sat")
    assert cli("calendar", "add", "c", "--exclude", "sun", check=False).err.splitlines()[1] == \
        "jobmill: --replace gives it another definition"
    cli("lock", "acquire", "l")
    assert "--wait S waits" in cli("lock", "acquire", "l", check=False).err
    job = cli("job", "submit", "--type", "t").out.strip()
    assert "jobmill job wait waits" in cli("job", "result", job, check=False).err
    assert "jobmill job cancel" in cli("job", "delete", job, check=False).err
    cli("job", "cancel", job)
    assert "jobmill job retry runs it again" in cli("job", "cancel", job, check=False).err


@pytest.mark.parametrize("args", [
    "job submit --type t", "job list", "schedule add s --every 1h --type t", "schedule list", "schedule preview --every 1h",
    "schedule export", "calendar add c --exclude sat-sun", "calendar list", "worker list", "type list", "lock list",
    "lock set l --capacity 2", "dead list", "dead redrive --all --dry-run", "document list", "schema status",
    "cleanup --older-than 30d --dry-run"])
def test_the_database_is_enough(jm_sql, args):
    result = jm_sql.cli(*args.split(), NOWHERE, check=False)
    assert result.code == 0, result


def test_doctor_says_what_it_could_not_see(jm_sql):
    result = jm_sql.cli("doctor", NOWHERE, check=False)
    assert result.code == 1 and "cannot reach Kafka" in result.out and "ok        schema" in result.out


def test_topics_without_kafka(jm_sql):
    jm_sql.cli("schedule", "add", "s", "--every", "1h", "--type", "t", "--queue", "mail")
    result = jm_sql.cli("topics", "list", "--json", NOWHERE, SHORT, check=False)
    assert result.code == 1
    assert "cannot reach Kafka" in result.err and "jobmill doctor" in result.err and "only Kafka knows" in result.err
    assert result.json()["items"] == [{"topic": f"{jm_sql.prefix}.jobs.mail", "queue": "mail", "partitions": None,
                                       "replication": None}]
    made = jm_sql.cli("topics", "create", NOWHERE, SHORT, check=False)
    assert made.code == 1 and "is [kafka] bootstrap.servers" in made.err


@pytest.mark.parametrize("args", [
    "--version", "help", "job --help", "job list", "job list --json", "job stats", "job show {job}", "job wait {job} --json",
    "document get d", "document diff d --from 1 --to 2", "schedule preview --every 1h", "schedule export", "audit list",
    "cleanup --older-than 30d --dry-run", "doctor --kafka.bootstrap.servers=127.0.0.1:1", "backup", "key create --name k --scope read"])
def test_an_answer_that_cannot_be_written_is_a_failure(jm_sql, args):
    cli = jm_sql.cli
    job = cli("job", "submit", "--type", "t").out.strip()
    cli("job", "cancel", job)
    cli("document", "set", "d", "1")
    cli("document", "set", "d", "2")
    with open("/dev/full", "w") as full:
        done = subprocess.run([bin_dir() / "jobmill", *args.format(job=job).split()], env=jm_sql.env(), stdout=full,
                              stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1, done
    assert "cannot write the answer: No space left" in done.stderr or "doctor" in args, done


def test_times_may_be_so_long_ago(jm_sql):
    db, cli = jm_sql.db, jm_sql.cli
    for hours in (0, 3):
        db.execute("INSERT INTO dead_letters (id, topic, partition, record_offset, value, reason, at) VALUES "
                   "(uuid7(), 't', 0, %s, 'x', 'bad_json', now() - %s * interval '1 hour')", hours, hours)

    def offsets(*args):
        return [letter["record_offset"] for letter in cli("dead", "list", *args, "--json").json()["items"]]
    assert offsets("--from", "2h") == [0] and offsets("--to", "2h") == [3] and len(offsets("--from", "4h")) == 2
    tried = cli("dead", "redrive", "--from", "4h", "--to", "2h", "--dry-run", "--json").json()
    assert tried["redriven"] + tried["refused"] == 1
    cli("schedule", "add", "s", "--every", "1h", "--type", "t")
    cli("schedule", "run", "s")
    assert len(cli("schedule", "ticks", "s", "--from", "1h", "--json").json()["items"]) == 1
    assert not cli("schedule", "ticks", "s", "--to", "1h", "--json").json()["items"]


def test_a_dead_letter_that_an_id_names_and_that_stays_is_a_failure(jm_sql):
    letter = jm_sql.db.value("INSERT INTO dead_letters (id, topic, partition, record_offset, value, reason) VALUES "
                             "(uuid7(), 't', 0, 1, '{', 'bad_json') RETURNING id")
    left = jm_sql.cli("dead", "redrive", letter, "--dry-run", check=False)
    assert left.code == 1 and "1 left" in left.err
    assert jm_sql.cli("dead", "redrive", "--all", "--dry-run").code == 0


def test_a_doctor_without_a_database(jm_sql):
    """Left out by configuration it is nothing that is wrong."""
    found = jm_sql.cli("doctor", "--json", "--database.enabled=false", NOWHERE, SHORT, check=False).json()["items"]
    assert [(f["check"], f["state"]) for f in found if f["state"] == "wrong"] == [("kafka", "wrong")]
    assert "left out" in next(f["message"] for f in found if f["check"] == "database")


def test_one_name_for_who_gives_commands(jm_sql):
    """Of a job that is submitted, in the audit log, and of a lock."""
    cli = jm_sql.cli
    job = cli("job", "submit", "--type", "t").out.strip()
    cli("job", "cancel", job)
    actor = cli("audit", "list", "--json").json()["items"][0]["actor"]
    assert actor.startswith("cli:") and cli("job", "show", job, "--json").json()["submitted_by"] == actor
    cli("lock", "acquire", "l")
    user = actor.removeprefix("cli:")
    assert cli("lock", "list", "--json").json()["items"][0]["owner"].startswith(f"{user}@")
    shown = cli("lock", "run", "m", "--", bin_dir() / "jobmill", "lock", "list", "m", "--json").json()["items"][0]["owner"]
    assert shown.startswith(f"{user}@") and not shown.endswith(f" {os.getpid()}")  # its own, not who called it


def test_the_error_of_a_job_moves_no_cursor(jm_sql):
    job = jm_sql.cli("job", "submit", "--type", "t").out.strip()
    jm_sql.cli("job", "cancel", job, "--reason", "\x1b[31mred\x07")
    said = jm_sql.cli("job", "wait", job, check=False)
    assert said.code == 1 and "[31mred" in said.err and "\x1b" not in said.err and "\x07" not in said.err
