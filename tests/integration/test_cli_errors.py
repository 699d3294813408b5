"""What commands say when something is wrong: what it is, and what to do next. With the database alone all that needs no Kafka
works, and what does need it says so."""
import pytest

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
])
def test_errors_say_what_to_do_next(jm_sql, args, code, said):
    result = jm_sql.cli(*args, check=False)
    assert result.code == code and said in result.err, result
    assert not result.out


def test_conflicts_say_what_to_do_next(jm_sql):
    cli = jm_sql.cli
    cli("schedule", "add", "s", "--every", "1h", "--type", "t")
    twice = cli("schedule", "add", "s", "--every", "1h", "--type", "t", check=False)
    assert twice.code == 1 and "jobmill schedule update changes it" in twice.err
    assert "jobmill schedule versions shows" in cli("schedule", "rollback", "s", "--version", 9, check=False).err
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
