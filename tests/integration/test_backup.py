"""jobmill backup and restore: what comes back is what was there, all of it or nothing, and twice is as once."""
import json
import os
import stat
import subprocess

import pytest

from lib.api import Api
from lib.database import Db

KINDS = ("projects", "documents", "calendars", "schedules")


def fill(jm):
    jm.db.execute("INSERT INTO projects (name, description, min_interval_s) VALUES ('shop', 'Läden', 60)")
    cli = jm.cli
    cli("document", "set", "limits", '{"rows":12345678901234567890.25,"é":[1.0,null]}', "--description", "how many")
    cli("document", "set", "limits", "7", "--project", "shop")
    cli("calendar", "add", "closed", "--exclude", "sat-sun,12-25", "--description", "Büro")
    cli("calendar", "add", "closed", "--exclude", "mon", "--project", "shop")
    cli("schedule", "add", "nightly", "--type", "report", "--cron", "0 3 * * *", "--timezone", "Europe/Berlin",
        "--params", '{"n":1.50}', "--calendar", "closed", "--overlap", "queue")
    cli("schedule", "add", "often", "--type", "noop", "--every", "90s", "--project", "shop")
    cli("schedule", "add", "once", "--type", "noop", "--at", "2099-01-01T00:00:00Z")
    cli("schedule", "pause", "often", "--project", "shop")


def backup(jm, *args):
    made = jm.cli("backup", *args).json()
    made.pop("at")
    return made


def names(restored):
    return {k: (restored[k]["created"], restored[k]["changed"], restored[k]["unchanged"]) for k in KINDS}


def restore(jm, path, *args):
    return jm.cli("restore", path, "--json", *args).json()


@pytest.fixture
def other(jm_sql, database_server):
    """Runs commands on another, empty database."""
    url = database_server.create()
    db = Db(url)

    class Other:
        def cli(self, *args, **more):
            return jm_sql.cli(*args, f"--database.url={url}", **more)
    made = Other()
    made.db = db
    yield made
    db.close()
    database_server.drop(url)


def test_what_is_no_file_is_written_to(jm_sql, tmp_path):
    """A pipe stays a pipe, a link a link: as root, /dev/null would become a file."""
    fill(jm_sql)
    fifo, real, link = tmp_path / "fifo", tmp_path / "real", tmp_path / "link"
    os.mkfifo(fifo)
    reader = subprocess.Popen(["cat", fifo], stdout=subprocess.PIPE)
    jm_sql.cli("backup", "--file", fifo)
    assert json.loads(reader.communicate(timeout=20)[0])["jobmill_backup"] == 1 and fifo.is_fifo()
    real.write_text("old")
    real.chmod(0o600)
    link.symlink_to(real)
    jm_sql.cli("backup", "--file", link)
    assert link.is_symlink() and json.loads(real.read_text())["jobmill_backup"] == 1
    assert real.stat().st_mode & 0o777 == 0o600
    full = jm_sql.cli("backup", "--file", "/dev/full", check=False)
    assert full.code == 1 and "No space left" in full.err and stat.S_ISCHR(os.stat("/dev/full").st_mode)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fifo", "link", "real"]


def test_into_an_empty_database(jm_sql, other, tmp_path):
    fill(jm_sql)
    path = tmp_path / "b.json"
    said = jm_sql.cli("backup", "--file", path).err
    assert said == "2 projects, 2 documents, 2 calendars, 3 schedules written\n" and not list(tmp_path.glob("*.new"))
    assert "12345678901234567890.25" in path.read_text() and "1.50" in path.read_text()
    dry = restore(other, path, "--dry-run")
    assert dry["dry_run"] and other.db.value("SELECT count(*) FROM projects") == 1
    assert other.db.value("SELECT count(*) FROM audit_log") == 0
    done = restore(other, path, "--reason", "moved")
    assert names(done) == names(dry) == {
        "projects": (["shop"], [], 1), "documents": (["default/limits", "shop/limits"], [], 0),
        "calendars": (["default/closed", "shop/closed"], [], 0),
        "schedules": (["default/nightly", "default/once", "shop/often"], [], 0)}
    assert backup(other) == backup(jm_sql)
    assert other.db.query("SELECT description, min_interval_s FROM projects WHERE name = 'shop'") == [("Läden", 60)]
    assert other.db.value("SELECT body::text FROM documents WHERE project = 'default'") == \
        jm_sql.db.value("SELECT body::text FROM documents WHERE project = 'default'")
    columns = "name, kind, next_run_at, paused, params::text, anchor_at, calendar"
    assert other.db.query(f"SELECT {columns} FROM schedules ORDER BY name") == \
        jm_sql.db.query(f"SELECT {columns} FROM schedules ORDER BY name")
    audit = other.db.query("SELECT object, action, count(*) FROM audit_log WHERE reason = 'moved' GROUP BY 1, 2")
    assert {("project", "create", 1), ("document", "create", 2), ("schedule", "create", 3)} <= set(audit)
    again = restore(other, path)
    assert names(again) == {"projects": ([], [], 2), "documents": ([], [], 2), "calendars": ([], [], 2),
                            "schedules": ([], [], 3)}
    assert other.db.value("SELECT count(*) FROM documents WHERE version > 1") == 0
    assert other.db.value("SELECT count(*) FROM schedules WHERE version > 1") == 0


def test_what_changed_since_goes_back_and_the_rest_stays(jm_sql, tmp_path):
    fill(jm_sql)
    path = tmp_path / "b.json"
    path.write_text(jm_sql.cli("backup").out)
    before = backup(jm_sql)
    cli = jm_sql.cli
    cli("document", "set", "limits", "0")
    cli("document", "set", "later", "1")
    cli("calendar", "add", "closed", "--exclude", "sun", "--replace")
    cli("schedule", "update", "nightly", "--cron", "0 4 * * *")
    cli("schedule", "delete", "once")
    cli("schedule", "add", "later", "--type", "noop", "--every", "1h")
    jm_sql.db.execute("UPDATE projects SET min_interval_s = 5 WHERE name = 'shop'")
    assert names(restore(jm_sql, path)) == {
        "projects": ([], ["shop"], 1), "documents": ([], ["default/limits"], 1),
        "calendars": ([], ["default/closed"], 1),
        "schedules": (["default/once"], ["default/nightly"], 1)}
    now = backup(jm_sql)
    assert {d["name"] for d in now["documents"]} - {d["name"] for d in before["documents"]} == {"later"}
    now["documents"] = [d for d in now["documents"] if d["name"] != "later"]
    now["schedules"] = [s for s in now["schedules"] if s["name"] != "later"]
    assert now == before
    text = cli("restore", "-", stdin=path.read_text())
    assert text.out == "" and text.err == "0 made, 0 changed, 9 unchanged\n"


def test_of_one_project(jm_sql):
    fill(jm_sql)
    made = backup(jm_sql, "--project", "shop")
    assert [len(made[k]) for k in KINDS] == [1, 1, 1, 1]
    assert {made[k][0].get("project", "shop") for k in KINDS} == {"shop"}
    assert jm_sql.cli("backup", "--project", "none", check=False).code == 3


def test_what_a_sync_owns_is_left_to_it(jm_sql):
    fill(jm_sql)
    jm_sql.db.execute("UPDATE schedules SET source = 'sync' WHERE name = 'often'")
    assert [s["name"] for s in backup(jm_sql)["schedules"]] == ["nightly", "once"]


def edit(**more):
    def change(made):
        made.update(more)
    return change


def bad_schedule(made):
    made["schedules"][1]["cron_expression"] = "61 * * * *"


def bad_calendar(made):
    made["calendars"][0]["definition"] = {"exclude": ["xyz"]}


def bad_body(made):
    made["documents"][1]["body"] = "\0"


def no_body(made):
    del made["documents"][0]["body"]


def unknown_project(made):
    made["documents"][0]["project"] = "nowhere"


def bad_project(made):
    made["projects"][0]["name"] = "UPPER"


def twice(made):
    made["projects"].append(made["projects"][0])


@pytest.mark.parametrize("change, why", [
    (edit(jobmill_backup=2), "version"), (edit(jobmill_backup=None), "no backup"), (edit(keys=[]), "keys"),
    (edit(projects={}), "projects"), (edit(projects=[{"name": 5}]), "projects/0/name"),
    (edit(projects=[{"name": "x", "min_interval_s": 0}]), "projects/0/min_interval_s"), (bad_schedule, "cron"),
    (bad_calendar, "xyz"), (bad_body, "0000"), (no_body, "documents/0"), (unknown_project, "nowhere"),
    (bad_project, "projects"), (twice, "twice")])
def test_a_wrong_backup_changes_nothing(jm_sql, other, tmp_path, change, why):
    fill(jm_sql)
    made = jm_sql.cli("backup").json()
    made["projects"].reverse()
    change(made)
    path = tmp_path / "b.json"
    path.write_text(json.dumps(made))
    wrong = other.cli("restore", path, check=False)
    assert wrong.code in (2, 3) and why in wrong.err, wrong
    assert [other.db.value(f"SELECT count(*) FROM {t}") for t in (*KINDS, "audit_log")] == [1, 0, 0, 0, 0]


def test_no_json_and_no_file(jm_sql, tmp_path):
    path = tmp_path / "b.json"
    path.write_text("{")
    wrong = jm_sql.cli("restore", path, check=False)
    assert wrong.code == 2 and str(path) in wrong.err
    assert jm_sql.cli("restore", tmp_path / "none", check=False).code == 1
    assert jm_sql.cli("backup", "--file", tmp_path / "no" / "b.json", check=False).code == 1


# HTTP

@pytest.fixture
def api(jm):
    key = jm.cli("key", "create", "--name", "admin", "--scope", "admin").out.strip()
    return Api.of(jm.start_producer(), key)


def bound(jm, api, project, scope="admin"):
    return api.with_key(jm.cli("key", "create", "--name", "b" + scope, "--scope", scope, "--project", project).out.strip())


def test_over_http(jm, api):
    fill(jm)
    made = api.call("GET", "/api/v1/backup")
    assert b"12345678901234567890.25" in made.raw
    assert {k: made.json[k] for k in KINDS} == {k: backup(jm)[k] for k in KINDS}
    jm.cli("document", "set", "limits", "0")
    jm.cli("schedule", "delete", "once")
    dry = api.call("POST", "/api/v1/restore?dry_run=1", made.raw, Content_Type="application/json").json
    done = api.call("POST", "/api/v1/restore", made.raw, Content_Type="application/json").json
    assert dry["dry_run"] and names(dry) == names(done)
    assert names(done)["documents"] == ([], ["default/limits"], 1)
    assert names(done)["schedules"] == (["default/once"], [], 2)
    assert api.call("GET", "/api/v1/backup").json["documents"] == made.json["documents"]
    shop = bound(jm, api, "shop")
    mine = shop.get("/backup")
    assert [len(mine[k]) for k in KINDS] == [1, 1, 1, 1] and mine["documents"][0]["project"] == "shop"
    shop.get("/backup?project=default", expect=404)
    shop.post("/restore", mine, expect=403)
    api.post("/restore", {"jobmill_backup": 2}, expect=400)
    wrong = dict(mine, schedules=[dict(mine["schedules"][0], interval_seconds=-1)])
    answer = api.call("POST", "/api/v1/restore", wrong)
    assert answer.status == 400 and answer.json["errors"][0]["pointer"] == "/schedules/0/interval_seconds", answer
    wrong = dict(mine, projects=[{"name": 5}])
    assert api.call("POST", "/api/v1/restore", wrong).json["errors"][0]["pointer"] == "/projects/0/name"
