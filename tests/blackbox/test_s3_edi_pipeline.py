"""What the EDI order pipeline had (S3 of what jobmill replaces), line by line, through both ways in."""
import datetime as dt

import pytest

from lib.api import Api
from lib.wait import wait_until
from lib.ways import NOT_FOUND, WAYS, Refused

PARSE = """read job; echo '{"log":{"level":"INFO","message":"parsed","details":{"segments":12}}}' >&3
echo '{"set":{"po_number":"PO-4711","vendor":"Acme Ltd","total_amount":12.5}}' >&3
echo '{"result":{"lines":3}}' >&3"""
POST = """echo '{"set":{"erp_po_id":"E-1"}}' >&3; echo '{"result":{"posted":true}}' >&3"""
EDI = "ISA*00*          *00*          *ZZ*A~"


@pytest.fixture(params=WAYS, ids=lambda w: w.name)
def way(request, jm):
    producer = jm.start_producer(**{"http.auth": "off"})
    jm.job_type("edi", {"name": "parse", "exec": {"argv": ["/bin/sh", "-c", PARSE]}},
                {"name": "transform", "exec": {"argv": ["/bin/true"]}},
                {"name": "post_to_erp", "exec": {"argv": ["/bin/sh", "-c", POST]}},
                searchable=["po_number", "vendor", "total_amount"], max_attempts=3, backoff={"initial_s": 0.05})
    jm.start_worker()
    return request.param(jm, producer)


def run(way, **more):
    job = way.submit("edi", params={"edi": EDI}, **more)
    wait_until(lambda: way.job(job)["status"] == "completed", 30, what="it has ended")
    return job


def test_job(way):
    """Job: job_id, started / completed_at, duration_seconds, success, the original EDI text (audit), po_number (indexed),
    total_amount, erp_po_id, vendor_name, created / updated_at; what a step finds lands on the job row while it runs"""
    job = way.job(run(way))
    assert job["params"]["edi"] == EDI and job["duration_ms"] >= 0
    assert job["metadata"] == {"po_number": "PO-4711", "vendor": "Acme Ltd", "total_amount": 12.5, "erp_po_id": "E-1"}


def test_steps(way):
    """Steps: parse, transform, validate, post_to_erp with status success|failed|pending, data (JSON), error, attempts"""
    steps = way.steps(run(way))
    assert [(s["name"], s["status"]) for s in steps] == [("parse", "success"), ("transform", "success"),
                                                         ("post_to_erp", "success")]
    assert steps[0]["data"] == {"lines": 3} and steps[0]["attempts"] == 1 and steps[0]["error"] is None


def test_logs(way):
    """Logs: timestamp, level DEBUG|INFO|WARNING|ERROR, message, details (JSON); logs create / get by level"""
    job = run(way)
    parsed = next(line for line in way.logs(job) if line["message"] == "parsed")
    assert parsed["level"] == "INFO" and parsed["details"] == {"segments": 12}
    assert way.logs(job, level="error") == []


def test_deleting_takes_steps_and_logs(way):
    """Deleting a job deletes its steps and logs."""
    job = run(way)
    way.delete_job(job)
    for table in ("jobs", "job_steps", "job_logs", "job_metadata"):
        assert way.jm.db.value(f"SELECT count(*) FROM {table}") == 0, table
    with pytest.raises(Refused) as refused:
        way.job(job)
    assert refused.value.kind == NOT_FOUND


def test_finding(way):
    """Operations: by job id, by PO number, all (limit, offset), recent, successful, failed, update, delete"""
    first, second = run(way), run(way)
    failed = way.submit("fail", max_attempts=1)
    wait_until(lambda: way.job(failed)["status"] == "failed", 30, what="it has failed")
    found = way.search(key="po_number", value="PO-4711")
    assert [j["id"] for j in found] == [second, first]
    assert [j["id"] for j in way.jobs(limit=1, offset=1)] == [second]
    assert [j["id"] for j in way.recent(limit=2)] == [failed, second]
    assert [j["id"] for j in way.jobs(status="completed")] == [second, first]
    assert [j["id"] for j in way.jobs(status="failed")] == [failed]
    way.update_job(failed, metadata={"note": "looked at"})
    assert way.job(failed)["metadata"] == {"note": "looked at"}


def test_search(way):
    """search (PO number and vendor by any part, case ignored; success; date range)"""
    job = run(way)
    other = way.submit("noop", metadata={"vendor": "Else"})
    way.jm.wait_ended(2)
    today = dt.datetime.now(dt.timezone.utc)
    since, until = (today - dt.timedelta(hours=1)).isoformat(), (today + dt.timedelta(hours=1)).isoformat()
    for part in ("acme", "ME L", "ltd"):
        found = way.search(key="vendor", value=part, match="part", status="completed", created_from=since,
                           created_to=until)
        assert [j["id"] for j in found] == [job], part
    assert other not in [j["id"] for j in found]


def test_stats(way):
    """stats (total, successful, failed, success rate %, average duration, total amount processed)"""
    run(way)
    run(way)
    way.submit("fail", max_attempts=1)
    way.jm.wait_ended(3)
    wait_until(lambda: way.stats()["total"] == 3, 20, what="the statistics have them")
    stats = way.stats(sum="total_amount")
    assert (stats["completed"], stats["failed"], stats["success_rate"]) == (2, 1, 66.7)
    assert stats["average_duration_ms"] >= 0
    assert stats["sum"]["value"] == 25.0


def test_steps_and_logs_by_an_outside_program(jm):
    """steps create / get / update; logs create / get by level / in bulk"""
    api = Api.of(jm.start_producer(**{"http.auth": "off"}))
    job = api.post("/jobs", {"type": "runs-elsewhere"})["id"]
    attempt = api.patch(f"/jobs/{job}", {"status": "running"})["attempt"]
    assert attempt == 1
    api.post(f"/jobs/{job}/steps", {"attempt": 1, "name": "parse", "status": "running"})
    api.patch(f"/jobs/{job}/steps", {"attempt": 1, "name": "parse", "status": "success", "data": {"n": 1}})
    assert [(s["name"], s["status"], s["data"]) for s in api.get(f"/jobs/{job}/steps")["items"]] == \
        [("parse", "success", {"n": 1})]
    api.post(f"/jobs/{job}/logs", [{"attempt": 1, "level": "INFO", "message": "a"},
                                   {"attempt": 1, "level": "ERROR", "message": "b", "details": {"x": 1}}])
    assert [line["message"] for line in api.get(f"/jobs/{job}/logs?level=error")["items"]] == ["b"]
    api.patch(f"/jobs/{job}", {"attempt": 1, "status": "completed", "result": {"ok": True}, "metadata": {"po_number": "P"}})
    ended = api.get(f"/jobs/{job}?include=result")
    assert (ended["status"], ended["result"], ended["metadata"]) == ("completed", {"ok": True}, {"po_number": "P"})
    for path, body in ((f"/jobs/{job}/logs", {"attempt": 1, "level": "INFO", "message": "late"}),
                       (f"/jobs/{job}/steps", {"attempt": 1, "name": "late", "status": "running"})):
        late = api.call("POST", "/api/v1" + path, body)
        assert late.status == 409 and late.json["code"] == "attempt_over", late


def test_a_caller_may_wait(jm):
    """a caller may wait for the result"""
    api = Api.of(jm.start_producer(**{"http.auth": "off"}))
    jm.job_type("adds", ["/bin/sh", "-c", """echo '{"result":{"sum":3}}' >&3"""])
    jm.start_worker()
    job = api.post("/jobs?wait_s=30", {"type": "adds"})
    assert (job["status"], job["result"]) == ("completed", {"sum": 3})
    still = api.post("/jobs?wait_s=1", {"type": "sleep", "params": {"seconds": 30}}, expect=(201, 202))
    assert still["status"] in ("pending", "running")
    api.post(f"/jobs/{still['id']}/cancel")


def test_retries(way):
    """max_retries 3, retry_delay 2.0 s; retries logged; on an exception the failed step and the error are saved"""
    way.jm.job_type("breaks", {"name": "post_to_erp", "exec": {"argv": ["/bin/sh", "-c", "echo 'ERP is down' >&2; exit 75"]}},
                    max_attempts=3, backoff={"initial_s": 0.05})
    way.jm.start_worker()
    job = way.submit("breaks")
    wait_until(lambda: way.job(job)["status"] == "failed", 60, what="it has failed")
    found = way.job(job)
    assert found["attempt"] == 3 and "ERP is down" in found["error"]
    failed = [s for s in way.steps(job) if s["status"] == "failed"]
    assert failed and "ERP is down" in failed[-1]["error"]
    assert [line for line in way.logs(job) if "attempt" in line["message"] or "again" in line["message"]]


def test_init_reset_stats_list(jm):
    """CLI: init, reset (drop and recreate), stats, list --limit"""
    jm.start_producer()
    jm.start_worker()
    for _ in range(3):
        jm.cli("job", "submit", "--type", "noop")
    jm.wait_ended(3)
    assert len(jm.cli("job", "list", "--limit", "2", "--json").json()["items"]) == 2
    wait_until(lambda: jm.cli("job", "stats", "--json").json()["total"] == 3, 20, what="the statistics have them")
