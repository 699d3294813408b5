"""S1, an importer of CSV files into PostgreSQL: what its schedules, its API and its untested checklist promise, through HTTP
and through the command line. Each test quotes the line that it holds."""
import datetime as dt
import json

import pytest

from lib.api import Api
from lib.receiver import Receiver
from lib.wait import wait_until

HOUR = 3600


class Importer:
    """Project `imports` with a minimum of an hour between two runs, a key that is bound to it, and the type csv-import."""

    def __init__(self, jm):
        self.jm = jm
        self.handler = jm.script("import.sh", "#!/bin/sh\nread -r line\necho '{\"rows\": 3}'\n")
        jm.job_type("csv-import", [self.handler])
        jm.cli("project", "add", "imports", "--min-interval-s", HOUR)
        self.key = jm.cli("key", "create", "--name", "importer", "--scope", "admin", "--project", "imports").out.strip()
        self.producer = None
        self.api = None

    def start(self, *args, **config):
        self.producer = self.jm.start_producer(*args, **config)
        self.api = Api.of(self.producer, self.key)
        return self.api

    def add(self, name, **members):
        if not {"cron_expression", "interval_seconds"} & set(members):
            members["cron_expression"] = "0 3 * * *"
        return self.api.post("/schedules", {"name": name, "type": "csv-import", "project": "imports", **members}, 201)

    def cli(self, *args, **more):
        return self.jm.cli("schedule", *args, "--project", "imports", **more)

    def make_due(self, name, seconds_ago, every=HOUR):
        """As if it had been due so long ago, and so on."""
        self.jm.db.execute(
            "UPDATE schedules SET anchor_at = clock_timestamp() - make_interval(secs => %s), next_run_at = clock_timestamp() - "
            "make_interval(secs => %s) WHERE name = %s", seconds_ago + every, seconds_ago, name)

    def ticks(self, name):
        return self.api.get(f"/schedules/{name}/ticks")["items"]


@pytest.fixture
def importer(jm):
    one = Importer(jm)
    one.start()
    return one


def refused(answer, status):
    assert answer.status == status and answer.headers["Content-Type"] == "application/problem+json", answer
    return answer.json


# ---- the schedule and the API ----

def test_schedule_fields(importer):
    """Schedule: id, unique name (255), project, type cron|interval, cron_expression (100), interval_seconds (≥ 3600, its
    project's minimum), timezone (default UTC), enabled, callback_url, sftp_override, local_files, last_run_at, next_run_at,
    last_job_id, total / successful / failed runs, created_at, updated_at."""
    name = "n" * 255
    files = {"sftp_override": {"host": "sftp.example.org", "path": "/in"}, "local_files": ["/data/a.csv", "/data/b.csv"]}
    long_cron = "0 3 " + ",".join(str(d) for d in range(1, 32)) + " * *"
    assert len(long_cron) >= 90
    made = importer.add(name, cron_expression=long_cron, params=files, callback_url="https://shop.example.org/hook")
    assert {"id", "name", "project", "kind", "cron_expression", "interval_seconds", "timezone", "enabled", "callback_url",
            "last_run_at", "next_run_at", "last_job_id", "total_runs", "successful_runs", "failed_runs", "created_at",
            "updated_at"} <= set(made)
    assert (made["timezone"], made["enabled"], made["params"], made["kind"]) == ("UTC", True, files, "cron")
    assert made["next_run_at"].endswith("+00:00") and made["total_runs"] == 0
    refused(importer.api.call("POST", "/api/v1/schedules", {"name": name + "n", "type": "csv-import", "cron_expression": "0 3 * * *"}), 400)
    refused(importer.api.call("POST", "/api/v1/schedules", {"name": name, "type": "csv-import", "cron_expression": "0 3 * * *"}), 409)
    assert importer.cli("show", name, "--json").json()["params"] == files


CALLS = [("POST", "/schedules"), ("GET", "/schedules"), ("GET", "/schedules/x"), ("PUT", "/schedules/x"), ("DELETE", "/schedules/x"),
         ("POST", "/schedules/x/enable"), ("POST", "/schedules/x/disable"), ("POST", "/schedules/x/run"), ("GET", "/schedules/x/history")]


def test_key_on_every_call(importer):
    """API (key in X-API-Key on every call; 200 / 201 / 204 / 400 / 404 / 409 / 500)"""
    for method, path in CALLS:
        for key in (None, "wrong", importer.key[:-1]):
            assert importer.api.with_key(key).call(method, "/api/v1" + path).status == 401, (method, path)
    importer.add("x")
    api = importer.api
    body = {"name": "y", "type": "csv-import", "cron_expression": "0 3 * * *"}
    got = [api.call(*call).status for call in [
        ("GET", "/api/v1/schedules"), ("POST", "/api/v1/schedules", body), ("GET", "/api/v1/schedules/x"),
        ("PUT", "/api/v1/schedules/x", {"enabled": False}), ("POST", "/api/v1/schedules/x/enable"),
        ("POST", "/api/v1/schedules/x/disable"), ("POST", "/api/v1/schedules/x/run"), ("GET", "/api/v1/schedules/x/history"),
        ("DELETE", "/api/v1/schedules/x"), ("POST", "/api/v1/schedules", {**body, "cron_expression": "x"}),
        ("GET", "/api/v1/schedules/x"), ("POST", "/api/v1/schedules", body)]]
    assert got == [200, 201, 200, 200, 200, 200, 201, 200, 204, 400, 404, 409]


def test_docs_in_a_browser(importer):
    """API docs at /docs in a browser"""
    page = importer.api.with_key(None).call("GET", "/docs")
    assert page.status == 200 and b"<html" in page.raw
    document = importer.api.with_key(None).get("/openapi.json")
    for method, path in CALLS:
        assert method.lower() in document["paths"][path.replace("/x", "/{id}")]


def test_by_project_name(importer):
    """schedules are created by project name (unknown: 404) and answers carry it"""
    assert importer.add("a")["project"] == "imports"
    assert importer.api.get("/schedules/a")["project"] == "imports"
    body = {"name": "b", "type": "csv-import", "cron_expression": "0 3 * * *", "project": "nobody"}
    unknown = refused(importer.api.call("POST", "/api/v1/schedules", body), 404)
    hidden = refused(importer.api.call("POST", "/api/v1/schedules", {**body, "project": "default"}), 404)
    assert unknown["code"] == hidden["code"] == "not_found"
    boss = importer.api.with_key(importer.jm.cli("key", "create", "--name", "boss", "--scope", "admin").out.strip())
    refused(boss.call("POST", "/api/v1/schedules", body), 404)
    failed = importer.jm.cli("schedule", "add", "b", "--type", "csv-import", "--cron", "0 3 * * *", "--project", "nobody", check=False)
    assert failed.code == 3 and "nobody" in failed.err


def test_partial_put(importer):
    """a PUT may be partial"""
    made = importer.add("a", timezone="Europe/Berlin", params={"local_files": ["x"]})
    put = importer.api.put(f"/schedules/{made['id']}", {"cron_expression": "0 5 * * *"})
    changed = {k for k in made if made[k] != put[k]}
    assert changed == {"cron_expression", "next_run_at", "updated_at", "version"}
    put = importer.api.put("/schedules/a", {"interval_seconds": 7200})
    assert (put["kind"], put["cron_expression"], put["params"]) == ("interval", None, {"local_files": ["x"]})
    importer.cli("update", "a", "--every", "3h")
    assert importer.api.get("/schedules/a")["interval_seconds"] == 3 * HOUR


def test_deleting(importer):
    """deleting a project deletes its schedules, deleting a schedule keeps its jobs"""
    jm = importer.jm
    importer.add("a")
    importer.add("b")
    job = importer.api.post("/schedules/a/run")
    jm.start_worker()
    jm.wait_status(job["id"], "completed")
    importer.api.delete("/schedules/a")
    wait_until(lambda: jm.db.job(job["id"])["schedule_id"] is None, 20, what="its jobs have no schedule any more")
    assert importer.api.get(f"/jobs/{job['id']}")["status"] == "completed"
    jm.cli("project", "delete", "imports", "--yes")
    assert jm.db.value("SELECT count(*) FROM schedules WHERE project = 'imports'") == 0


# ---- when it runs ----

def test_late_runs_inside_the_grace_become_one(jm):
    """Late runs inside the 300 s misfire grace become one, older ones are dropped (coalesce_grace, catch_up=skip), one
    instance at a time"""
    importer = Importer(jm)
    importer.start("--no-scheduler")
    jm.db.execute("UPDATE projects SET min_interval_s = 1 WHERE name = 'imports'")
    importer.add("late", interval_seconds=60, coalesce_grace=True, catch_up="skip")
    importer.add("older", interval_seconds=HOUR, coalesce_grace=True, catch_up="skip")
    assert importer.api.get("/schedules/late")["misfire_grace_seconds"] == 300
    importer.producer.terminate()
    importer.make_due("late", 230, every=60)  # 230, 170, 110 and 50 s late
    importer.make_due("older", 1000)
    importer.start()
    wait_until(lambda: importer.ticks("late") and importer.ticks("older"), 20, what="both are decided")
    late = importer.ticks("late")
    assert [t["outcome"] for t in late] == ["fired", "coalesced"] and late[1]["count"] == 3
    assert [(t["outcome"], t["count"]) for t in importer.ticks("older")] == [("missed", 1)]
    assert len(importer.api.get("/schedules/late/history")["items"]) == 1
    assert importer.api.get("/schedules/older/history")["items"] == []
    listed = importer.cli("ticks", "older", "--json").json()["items"]
    assert [t["outcome"] for t in listed] == ["missed"]


def test_one_instance_at_a_time(jm):
    """one instance at a time"""
    importer = Importer(jm)
    jm.job_type("slow", ["/bin/sleep", "30"])
    importer.start("--no-scheduler")
    jm.db.execute("UPDATE projects SET min_interval_s = 1 WHERE name = 'imports'")
    made = importer.api.post("/schedules", {"name": "slow", "type": "slow", "interval_seconds": 1})
    assert (made["overlap"], made["max_instances"]) == ("skip", 1)
    importer.producer.terminate()
    jm.start_worker()
    importer.start()
    wait_until(lambda: any(t["outcome"] == "skipped" for t in importer.ticks("slow")), 30, what="one is left out")
    assert [t["reason"] for t in importer.ticks("slow") if t["outcome"] == "skipped"][0] == "overlap"
    jobs = importer.api.get("/schedules/slow/history")["items"]
    assert len(jobs) == 1
    importer.api.post("/schedules/slow/disable")
    importer.api.post(f"/jobs/{jobs[0]['id']}/cancel")
    jm.wait_status(jobs[0]["id"], "cancelled")


def test_time_zone_per_schedule(importer):
    """time zone per schedule"""
    zones = {"UTC": "03:00", "Asia/Tokyo": "18:00", "America/New_York": None}
    for i, zone in enumerate(zones):
        made = importer.add(f"z{i}", timezone=zone)
        at = dt.datetime.fromisoformat(made["next_run_at"])
        if zones[zone]:
            assert at.astimezone(dt.timezone.utc).strftime("%H:%M") == zones[zone]
        first = importer.api.get(f"/schedules/z{i}/preview?count=1")["items"][0]
        assert first["local"][11:16] == "03:00"
    refused(importer.api.call("POST", "/api/v1/schedules", {"name": "z9", "type": "csv-import", "cron_expression": "0 3 * * *",
                                                            "timezone": "Mars/Olympus"}), 400)


def test_callback_on_completion(importer):
    """callback on completion"""
    receiver = Receiver()
    try:
        importer.add("called", callback_url=receiver.url())
        importer.jm.start_worker(http_allow_private="true")
        job = importer.api.post("/schedules/called/run")
        wait_until(lambda: receiver.of(job["id"]), 30, what="the callback comes")
        assert receiver.of(job["id"])[0]["status"] == "completed"
    finally:
        receiver.close()


def test_the_api_goes_on_when_the_scheduler_fails(jm):
    """the API goes on when the scheduler fails to start"""
    importer = Importer(jm)
    jm.db.execute("ALTER TABLE schedule_ticks RENAME TO hidden_ticks")
    try:
        importer.start()
        importer.add("a", interval_seconds=HOUR)
        importer.make_due("a", 10)
        importer.producer.wait_log("schedule_ticks", 30)  # it says why
        assert importer.api.get("/schedules/a")["name"] == "a"
        importer.add("b")
        assert len(importer.api.get("/schedules")["items"]) == 2
    finally:
        jm.db.execute("ALTER TABLE hidden_ticks RENAME TO schedule_ticks")
    importer.producer.terminate()
    importer.start("--no-scheduler")
    assert len(importer.api.get("/schedules")["items"]) == 2
    importer.start()
    wait_until(lambda: len(importer.api.get("/schedules/a/history")["items"]) == 1, 30, what="nothing is lost")


def test_the_log_counts_active_schedules(jm):
    """"Scheduler started with N active schedules" in the log"""
    importer = Importer(jm)
    importer.start("--no-scheduler")
    for name in "abc":
        importer.add(name)
    importer.api.post("/schedules/c/disable")
    importer.producer.terminate()
    importer.start()
    importer.producer.wait_log("Scheduler started with 2 active schedules", 20)


def test_graceful_stop_waits_for_work(importer):
    """graceful stop waits for work"""
    jm = importer.jm
    jm.job_type("csv-import", [jm.script("slow.sh", "#!/bin/sh\nsleep 2\n")])
    worker = jm.start_worker()
    importer.add("a")
    job = importer.api.post("/schedules/a/run")
    wait_until(lambda: importer.api.get(f"/jobs/{job['id']}")["status"] == "running", 20, what="it runs")
    worker.terminate()
    assert jm.db.job(job["id"])["status"] == "completed"


# ---- its untested checklist ----

def test_create_interval(importer):
    """create interval"""
    made = importer.add("a", interval_seconds=HOUR)
    assert (made["kind"], made["interval_seconds"], made["cron_expression"]) == ("interval", HOUR, None)
    ahead = dt.datetime.fromisoformat(made["next_run_at"]) - dt.datetime.fromisoformat(made["created_at"])
    assert abs(ahead.total_seconds() - HOUR) < 5
    ident = importer.cli("add", "b", "--type", "csv-import", "--every", "1h").out.strip()
    assert importer.api.get(f"/schedules/{ident}")["interval_seconds"] == HOUR


def test_create_cron(importer):
    """create cron"""
    assert importer.add("a", cron_expression="*/15 8-18 * * mon-fri")["kind"] == "cron"
    ident = importer.cli("add", "b", "--type", "csv-import", "--cron", "0 6 * * *", "--timezone", "Europe/Berlin").out.strip()
    assert importer.api.get(f"/schedules/{ident}")["timezone"] == "Europe/Berlin"


def test_list_with_filters(importer):
    """GET /schedules (project, enabled, limit, offset); list with filters"""
    for name in "abcde":
        importer.add(name, enabled=name not in "bd")
    importer.jm.cli("schedule", "add", "elsewhere", "--type", "noop", "--cron", "0 3 * * *")

    def names(query, api=importer.api):
        return [s["name"] for s in api.get(f"/schedules?{query}")["items"]]
    assert names("project=imports") == list("edcba") == names("")
    assert names("project=imports&enabled=true") == list("eca")
    assert names("project=imports&enabled=false") == list("db")
    assert names("limit=2&offset=1") == list("dc")
    listed = importer.cli("list", "--enabled", "false", "--json").json()["items"]
    assert [s["name"] for s in listed] == list("db")


def test_enable_and_disable(importer):
    """enable / disable"""
    importer.add("a")
    assert importer.api.post("/schedules/a/disable")["next_run_at"] is None
    on = importer.api.post("/schedules/a/enable")
    assert on["enabled"] and on["next_run_at"]
    importer.cli("disable", "a")
    assert importer.api.get("/schedules/a")["enabled"] is False
    importer.cli("enable", "a")
    assert importer.api.get("/schedules/a")["enabled"] is True


def test_manual_run_creates_a_job_and_statistics(importer):
    """manual run creates a job, history, schedule_id on the job, statistics updated after a run"""
    jm = importer.jm
    jm.job_type("broken", ["/bin/sh", "-c", "exit 65"])
    jm.start_worker()
    made = importer.add("a", params={"local_files": ["x"]})
    by_http = importer.api.post("/schedules/a/run")
    by_cli = importer.cli("run", "a").out.strip()
    for job in (by_http["id"], by_cli):
        row = jm.wait_status(job, "completed")
        assert (str(row["schedule_id"]), row["params"], row["project"]) == (made["id"], {"local_files": ["x"]}, "imports")
    importer.api.put("/schedules/a", {"type": "broken"})
    failed = importer.api.post("/schedules/a/run")
    jm.wait_status(failed["id"], "failed")
    history = importer.api.get("/schedules/a/history")["items"]
    assert [j["id"] for j in history] == [failed["id"], by_cli, by_http["id"]]
    assert [j["id"] for j in importer.api.get("/schedules/a/history?status=failed")["items"]] == [failed["id"]]
    assert [j["id"] for j in importer.cli("history", "a", "--json").json()["items"]] == [j["id"] for j in history]

    def counted():
        now = importer.api.get("/schedules/a")
        assert (now["total_runs"], now["successful_runs"], now["failed_runs"]) == (3, 2, 1), now
        return now
    now = wait_until(counted, 30, what="the runs are counted")
    assert (now["last_job_id"], now["last_status"]) == (failed["id"], "failed") and now["last_run_at"]


def test_persists_after_restart_and_runs_by_itself(jm):
    """persists after restart, runs by itself"""
    importer = Importer(jm)
    importer.start("--no-scheduler")
    before = importer.add("a", interval_seconds=HOUR)
    importer.producer.kill()
    importer.start("--no-scheduler")
    assert importer.api.get("/schedules/a") == before
    importer.producer.terminate()
    importer.make_due("a", 1)
    jm.start_worker()
    importer.start()
    job = wait_until(lambda: importer.api.get("/schedules/a/history")["items"], 30, what="it runs by itself")[0]
    assert jm.wait_status(job["id"], "completed")["due_at"]
    assert [t["kind"] for t in importer.ticks("a")] == ["calendar"]


def test_several_schedules_per_project(importer):
    """several schedules per project"""
    for n in range(5):
        importer.add(f"s{n}", interval_seconds=HOUR + n)
    assert len(importer.api.get("/schedules?project=imports")["items"]) == 5
    jobs = {importer.api.post(f"/schedules/s{n}/run")["schedule_id"] for n in range(5)}
    assert len(jobs) == 5


def test_minimum_interval_enforced(importer):
    """minimum interval enforced"""
    problem = refused(importer.api.call("POST", "/api/v1/schedules", {"name": "a", "type": "csv-import", "interval_seconds": HOUR - 1}), 400)
    assert problem["errors"][0]["pointer"] == "/interval_seconds" and "3600" in problem["detail"]
    importer.add("a", interval_seconds=HOUR)
    refused(importer.api.call("PUT", "/api/v1/schedules/a", {"interval_seconds": 60}), 400)
    assert importer.api.get("/schedules/a")["interval_seconds"] == HOUR
    failed = importer.cli("add", "b", "--type", "csv-import", "--every", "59m", check=False)
    assert failed.code == 2 and "3600" in failed.err


# ---- wanted later ----

def test_scheduler_health_and_alerts(importer):
    """Wanted later: scheduler health, alerts on failed scheduled jobs."""
    jm = importer.jm
    assert importer.api.with_key(None).call("GET", "/healthz").status == 200
    metrics = importer.api.with_key(None).call("GET", "/metrics").raw.decode()
    assert "jobmill_schedules_overdue" in metrics and "jobmill_schedule_ticks_total" in metrics
    jm.job_type("broken", ["/bin/sh", "-c", "exit 65"])
    jm.start_worker()
    made = importer.api.post("/schedules", {"name": "a", "type": "broken", "cron_expression": "0 3 * * *"})
    job = importer.api.post("/schedules/a/run")
    jm.wait_status(job["id"], "failed")

    def told():
        events = [json.loads(r.value) for r in jm.kafka.read_all(jm.events_topic)]
        return [e for e in events if e["type"] == "jobmill.job.failed"]
    event = wait_until(told, 30, 0.3, "the failure is told")[0]
    assert (event["subject"], event["data"]["schedule_id"]) == (job["id"], made["id"])
