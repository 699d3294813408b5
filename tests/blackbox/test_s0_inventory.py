"""What the cloud inventory extraction had (S0 of what jobmill replaces), line by line, through both ways in."""
import datetime as dt

import pytest

from lib.api import Api
from lib.ids import uuid7
from lib.wait import wait_until
from lib.ways import CONFLICT, NOT_FOUND, WAYS, Http, Refused

PARAMS = {"services": ["ec2", "s3"], "regions": ["eu-west-1"], "filters": {"tag": "prod"}, "batch_size": 50}


@pytest.fixture(params=WAYS, ids=lambda w: w.name)
def way(request, jm):
    producer = jm.start_producer(**{"http.auth": "off"})
    jm.job_type("extract", ["/bin/sh", "-c",
                            """echo '{"progress":{"total":3,"ok":2,"failed":1}}' >&3; echo '{"result":{"n":2}}' >&3"""])
    jm.start_worker()
    return request.param(jm, producer)


def test_job(way):
    """Job: id (UUID), status pending|running|completed|failed, started_at (indexed), completed_at, services (list),
    regions (list), filters, batch_size, total / successful / failed artifacts, errors (list), created_at, updated_at.
    Ad hoc and scheduled."""
    job = way.job(way.submit("extract", params=PARAMS))
    assert job["status"] in ("pending", "running", "completed") and job["params"] == PARAMS
    way.jm.wait_ended(1)
    job = way.job(job["id"])
    assert job["status"] == "completed" and job["started_at"] <= job["completed_at"]
    assert (job["items_total"], job["items_ok"], job["items_failed"]) == (3, 2, 1)
    assert {"errors", "created_at", "updated_at"} <= set(job)


def test_jobs_by_status(way):
    """create / get / update / list jobs (by status, limit)"""
    done = way.submit("extract")
    way.jm.wait_ended(1)
    waiting = [way.submit("nobody-runs-this") for _ in range(3)]
    wait_until(lambda: len(way.jobs(status="pending")) == 3, 20, what="three wait")
    assert [j["id"] for j in way.jobs(status="completed")] == [done]
    assert [j["id"] for j in way.jobs(status="pending", limit=2)] == waiting[:0:-1]
    way.update_job(waiting[0], metadata={"owner": "me"})
    assert way.job(waiting[0])["metadata"] == {"owner": "me"}


def test_old_jobs_are_deleted(way):
    """delete jobs older than N days (returns the count)"""
    way.submit("extract")
    way.jm.wait_ended(1)
    old = dt.datetime.now(dt.timezone.utc) - dt.timedelta(days=45)
    way.jm.db.execute("SELECT partition_ensure(%s::timestamptz, %s::timestamptz)", old, old)
    ids = [way.jm.db.value("INSERT INTO jobs (id, type, status, outcome, created_at, completed_at) VALUES "
                           "(%s, 'extract', %s, %s, %s, %s) RETURNING id", uuid7((old.timestamp() + n) * 1000), status,
                           outcome, old, ended)
           for n, (status, outcome, ended) in enumerate([("completed", None, old), ("failed", "failed", old),
                                                         ("pending", None, None)])]
    assert way.cleanup("30d", dry_run=True)["jobs"] == 2
    assert way.jm.db.value("SELECT count(*) FROM jobs") == 4
    assert way.cleanup("30d")["jobs"] == 2
    left = {str(i) for (i,) in way.jm.db.query("SELECT id FROM jobs")}
    assert str(ids[2]) in left and len(left) == 2, "what has not ended stays, and what is younger"


def test_schedule(way):
    """Schedule: id, name, cron expression, services, regions, filters, batch_size, active flag, paused flag,
    last_run_at, next_run_at, description, created_at, updated_at."""
    way.add_schedule("nightly", type="extract", cron_expression="0 3 * * *", params=PARAMS, description="each night")
    schedule = way.schedule("nightly")
    assert (schedule["name"], schedule["cron_expression"]) == ("nightly", "0 3 * * *")
    assert schedule["params"] == PARAMS and schedule["description"] == "each night"
    assert (schedule["enabled"], schedule["paused"], schedule["last_run_at"]) == (True, False, None)
    assert schedule["next_run_at"] and schedule["created_at"] and schedule["updated_at"]


def test_schedules(way):
    """create / get / update / list (active only) / delete schedules; pause and resume schedules"""
    way.add_schedule("one", type="extract", interval_seconds=3600)
    way.add_schedule("two", type="extract", interval_seconds=3600)
    way.update_schedule("one", description="changed")
    assert way.schedule("one")["description"] == "changed"
    way.schedule_do("disable", "two")
    assert [s["name"] for s in way.schedules(enabled=True)] == ["one"]
    way.schedule_do("pause", "one")
    assert way.schedule("one")["paused"] is True
    way.schedule_do("resume", "one")
    assert way.schedule("one")["paused"] is False
    way.delete_schedule("two")
    with pytest.raises(Refused) as refused:
        way.schedule("two")
    assert refused.value.kind == NOT_FOUND


def test_configuration_store(way):
    """Configuration store (JSON) with created_at / updated_at, and every version of it kept with its number;
    create / get / update configuration, create / get configuration versions"""
    way.set_document("accounts", {"prod": ["1"], "n": 1})
    way.set_document("accounts", {"prod": ["1", "2"], "n": 2})
    document = way.document("accounts")
    assert document["body"] == {"prod": ["1", "2"], "n": 2} and document["version"] == 2
    assert document["created_at"] <= document["updated_at"]
    assert way.document("accounts", version=1)["body"] == {"prod": ["1"], "n": 1}
    assert [v["version"] for v in way.document_versions("accounts")] == [2, 1]


def test_status_in_real_time(way):
    """Status is updated in real time"""
    way.jm.job_type("slow", ["/bin/sh", "-c", "while [ ! -e go ]; do sleep 0.05; done"])
    job = way.submit("sleep", params={"seconds": 30})
    wait_until(lambda: way.job(job)["status"] == "running", 20, what="it runs")
    way.cancel(job)
    wait_until(lambda: way.job(job)["status"] == "cancelled", 20, what="it is cancelled")


def test_only_active_schedules_are_restored(way):
    """schedules survive restarts and only active, unpaused ones are restored"""
    for name in ("active", "paused", "disabled"):
        way.add_schedule(name, type="extract", interval_seconds=1, overlap="allow")
    way.schedule_do("pause", "paused")
    way.schedule_do("disable", "disabled")
    runs = lambda name: way.schedule(name)["total_runs"]
    before = runs("active"), runs("paused"), runs("disabled")
    again = way.jm.start_producer(**{"http.auth": "off"})
    wait_until(lambda: runs("active") > before[0] + 1, 20, what="the active one runs")
    assert (runs("paused"), runs("disabled")) == before[1:]
    assert "Scheduler started with 1 active schedules" in again.text()


def test_audit_trail(way):
    """an audit trail"""
    way.add_schedule("watched", type="extract", interval_seconds=3600)
    way.update_schedule("watched", description="changed")
    way.delete_schedule("watched")
    rows = [r for r in way.audit(object="schedule") if r["object"] == "schedule"]
    assert [r["action"] for r in rows] == ["delete", "update", "create"]
    assert all(r["actor"] and r["source"] == ("api" if way.name == "http" else "cli") and r["at"] for r in rows)
    assert rows[1]["before"].get("description") is None and rows[1]["after"]["description"] == "changed"


def test_cancellation(way):
    """cancellation through the database"""
    job = way.submit("sleep", params={"seconds": 30})
    wait_until(lambda: way.job(job)["status"] == "running", 20, what="it runs")
    way.cancel(job)
    wait_until(lambda: way.job(job)["status"] == "cancelled", 20, what="it is cancelled")
    with pytest.raises(Refused) as refused:
        way.cancel(job)
    assert refused.value.kind == CONFLICT


def test_dependencies(way):
    """job dependencies and workflows"""
    first = way.submit("extract")
    then = way.submit("extract", depends_on=[first])
    way.jm.wait_ended(2)
    assert way.job(first)["completed_at"] <= way.job(then)["started_at"]


def test_statistics(way):
    """metrics and statistics endpoints; status and time indexes"""
    for kind in ("extract", "extract", "fail"):
        way.submit(kind)
    way.jm.wait_ended(3, timeout=90)
    wait_until(lambda: way.stats()["total"] == 3, 20, what="the statistics have them")
    stats = way.stats()
    assert (stats["completed"], stats["failed"], stats["success_rate"]) == (2, 1, 66.7)


def test_schedule_versions(way):
    """schedule versions and history"""
    way.add_schedule("v", type="extract", interval_seconds=3600)
    way.update_schedule("v", interval_seconds=7200)
    assert [v["version"] for v in way.schedule_versions("v")] == [2, 1]
    job = way.run_schedule("v")
    way.jm.wait_ended(1)
    assert [j["id"] for j in way.history("v")] == [job]


def test_without_a_database(jm):
    """the database can be switched off and the work still runs; database errors are logged and never fail the work"""
    jm.start_worker(**{"database.enabled": "false"})
    api = Api.of(jm.start_producer(**{"http.auth": "off", "database.enabled": "false"}))
    answer = api.call("POST", "/api/v1/jobs", {"type": "noop"})
    assert answer.status == 202, answer
    job = answer.json["id"]

    def recent():
        items = api.get("/jobs/recent")["items"]
        assert [(j["id"], j["status"]) for j in items] == [(job, "completed")]
        return True
    wait_until(recent, 30, what="it is among the recent ones")


def test_many_instances(way):
    """many instances share history; tables are created on start"""
    other = Http(way.jm, way.jm.start_producer(**{"http.auth": "off"}))
    job = way.submit("extract")
    way.jm.wait_ended(1)
    assert other.job(job)["status"] == "completed"
    assert [j["id"] for j in other.jobs()] == [j["id"] for j in way.jobs()] == [job]
