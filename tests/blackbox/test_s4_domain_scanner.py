"""What the domain scanner with many schedulers had (S4 of what jobmill replaces), line by line, through both ways in."""
import concurrent.futures
import json

import pytest

from lib.api import Api
from lib.wait import wait_until
from lib.ways import CONFLICT, NOT_FOUND, WAYS, Refused


@pytest.fixture(params=WAYS, ids=lambda w: w.name)
def way(request, jm):
    producer = jm.start_producer(**{"http.auth": "off"})
    jm.job_type("scan", ["/bin/sh", "-c", """echo '{"result":{"link":"http://x/1"}}' >&3"""],
                profiles={"quick": {"depth": 1}, "deep": {"depth": 9}})
    jm.start_worker()
    return request.param(jm, producer)


def test_locks(way):
    """Locks shared by instances: acquire / release / extend, atomic, owned by an instance id, released only by its token,
    expiring, blocking or not"""
    token = way.acquire("scan-1", "instance-a", 60)
    with pytest.raises(Refused) as refused:
        way.acquire("scan-1", "instance-b", 60)
    assert refused.value.kind == CONFLICT
    with pytest.raises(Refused):
        way.release("scan-1", token + 1)
    way.extend("scan-1", token, 120)
    way.release("scan-1", token)
    assert way.acquire("scan-1", "instance-b", 60) > token
    way.acquire("brief", "instance-a", 1)
    def free():
        try:
            return way.acquire("brief", "instance-b", 5)
        except Refused:
            return None
    assert wait_until(free, 10, what="it has expired")


def test_contention(jm):
    """Its tests: lock contention between instances"""
    apis = [Api.of(jm.start_producer(**{"http.auth": "off"})) for _ in range(3)]
    def grab(n):
        answer = apis[n % 3].call("POST", "/api/v1/locks/one/acquire", {"owner": f"i{n}", "ttl_s": 60})
        assert answer.status in (200, 201, 409), answer
        return answer.status
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        got = list(pool.map(grab, range(30)))
    assert sorted(got)[-1] == 409 and got.count(409) == 29


def test_schedules_by_domain(way):
    """Schedules in PostgreSQL with last run, next run, status, enabled flag, profiles per scan; looked up by domain, by
    domain configuration and by schedule id; Profiles per schedule, an outside id on each schedule"""
    one = way.add_schedule("example.org", type="scan", interval_seconds=3600, profile="quick", external_id="cfg-1",
                           metadata={"domain": "example.org"})
    way.add_schedule("example.net", type="scan", interval_seconds=3600, profile="deep", metadata={"domain": "example.net"})
    schedule = way.schedule(one)
    assert (schedule["profile"], schedule["external_id"], schedule["enabled"]) == ("quick", "cfg-1", True)
    assert {"last_run_at", "next_run_at", "last_status"} <= set(schedule)
    assert [s["id"] for s in way.schedules(**{"external_id": "cfg-1"})] == [one]
    found = way.schedules(**{"metadata.domain": "example.org"}) if way.name == "http" else \
        way.schedules(metadata={"domain": "example.org"})
    assert [s["id"] for s in found] == [one]
    job = way.run_schedule("example.org")
    way.jm.wait_ended(1)
    assert way.job(job)["profile"] == "quick"


def test_sync(way, tmp_path):
    """batch sync from an outside API (interval 300 s, optional); continuous or one-shot (`schedule sync --once`)"""
    source = tmp_path / "schedules.json"
    source.write_text(json.dumps({"schedules": [
        {"name": f"d{n}.example", "type": "scan", "interval_seconds": 3600, "external_id": f"e{n}"} for n in range(120)]}))
    way.jm.cli("schedule", "sync", "--once", "--source", source)
    assert len(way.schedules(limit=1000)) == 120


def test_changes_at_once(way):
    """Changes take effect with no restart: additions, edits and deletions are noticed, with callbacks (events for
    schedules too)"""
    way.add_schedule("soon", type="scan", interval_seconds=1, overlap="allow")
    wait_until(lambda: way.schedule("soon")["total_runs"] >= 1, 20, what="it runs")
    way.update_schedule("soon", interval_seconds=3600)
    way.delete_schedule("soon")
    kinds = lambda: [json.loads(r.value)["type"] for r in way.jm.kafka.read_all(way.jm.events_topic)]
    wait_until(lambda: {"jobmill.schedule.created", "jobmill.schedule.updated", "jobmill.schedule.deleted"} <= set(kinds()),
               30, what="events tell of it")


def test_history(way):
    """History of executions: execution id, schedule, job, domain, status started|success|failed|cancelled, start, end,
    duration, error with details, result link, free metadata; queried by schedule, domain and time; statistics (success
    rate, average duration)"""
    way.add_schedule("h", type="scan", interval_seconds=3600, metadata={"domain": "h.example"})
    job = way.run_schedule("h")
    way.jm.wait_ended(1)
    entry = way.history("h")[0]
    assert (entry["id"], entry["status"]) == (job, "completed")
    assert entry["started_at"] <= entry["completed_at"] and entry["duration_ms"] >= 0
    assert way.job(job)["result"] == {"link": "http://x/1"}
    wait_until(lambda: way.stats(schedule="h")["total"] == 1, 20, what="the statistics have it")
    assert way.stats(schedule="h")["success_rate"] == 100.0
    with pytest.raises(Refused) as refused:
        way.history("nobody")
    assert refused.value.kind == NOT_FOUND


@pytest.mark.slow
def test_many_schedules(jm):
    """Several scheduler instances at once and no run twice; Its tests: 100+ concurrent schedules"""
    for _ in range(3):
        producer = jm.start_producer(**{"http.auth": "off"})
    api = Api.of(producer)
    jm.start_worker()
    for n in range(120):
        api.post("/schedules", {"name": f"s{n}", "type": "noop", "interval_seconds": 2, "overlap": "allow"})
    wait_until(lambda: jm.db.value("SELECT count(DISTINCT schedule_id) FROM schedule_ticks WHERE outcome = 'fired'") == 120,
               60, what="each has fired")
    assert jm.db.value("SELECT count(*) FROM (SELECT schedule_id, due_at FROM jobs WHERE due_at IS NOT NULL "
                       "GROUP BY 1, 2 HAVING count(*) > 1) twice") == 0


def test_pool_under_load(jm):
    """pool with health check; Its tests: pool under load"""
    api = Api.of(jm.start_producer(**{"http.auth": "off", "http.pool_most": "3"}))
    api.post("/jobs", {"type": "noop"})
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        codes = list(pool.map(lambda _: api.call("GET", "/api/v1/jobs").status, range(200)))
    assert set(codes) == {200}
