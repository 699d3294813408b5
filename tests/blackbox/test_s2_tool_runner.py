"""What the tool runner had (S2 of what jobmill replaces), line by line, through both ways in."""
import pytest

from lib.api import Api
from lib.wait import wait_until
from lib.ways import WAYS

GREP = ["/bin/sh", "-c", 'echo found; echo careful >&2; echo x > "$JOBMILL_OUTPUT_DIR/hits.txt"; exit 0']


@pytest.fixture(params=WAYS, ids=lambda w: w.name)
def way(request, jm):
    producer = jm.start_producer(**{"http.auth": "off"})
    jm.job_type("grep", GREP, description="Looks for words",
                params_schema={"type": "object", "properties": {"word": {"type": "string"}}})
    jm.job_type("breaks", ["/bin/sh", "-c", "echo no >&2; exit 65"])
    jm.start_worker()
    return request.param(jm, producer)


def test_run_a_tool(way):
    """run a tool → {job_id, pending}; Job: id, user_id (nullable), tool_name (100), parameters, status, created /
    started / completed_at, duration"""
    job = way.submit("grep", params={"word": "a"}, metadata={"user_id": "u-1"})
    way.jm.wait_ended(1)
    found = way.job(job)
    assert (found["type"], found["params"], found["metadata"]) == ("grep", {"word": "a"}, {"user_id": "u-1"})
    assert found["status"] == "completed" and found["duration_ms"] >= 0
    assert found["created_at"] <= found["started_at"] <= found["completed_at"]


def test_result(way):
    """Result: stdout, stderr, return_code, output_files (list), total_size; job detail with output files and duration"""
    job = way.submit("grep")
    way.jm.wait_ended(1)
    attempt = way.job(job)["attempts"][0]
    assert (attempt["stdout"].strip(), attempt["stderr"].strip(), attempt["return_code"]) == ("found", "careful", 0)
    assert [f["name"] for f in attempt["output_files"]] == ["hits.txt"] and attempt["total_size"] == 2


def test_logs(way):
    """Logs: timestamp, level, message; logs in time order"""
    job = way.submit("breaks")
    way.jm.wait_ended(1)
    logs = way.logs(job)
    assert [line["ts"] for line in logs] == sorted(line["ts"] for line in logs)
    assert {"ts", "level", "message"} <= set(logs[0])
    assert [line["message"] for line in logs if line["message"] == "no"]


def test_list(way):
    """list jobs (limit / offset, newest first, running and historical merged with no duplicates)"""
    ended = [way.submit("grep") for _ in range(3)]
    way.jm.wait_ended(3)
    running = way.submit("sleep", params={"seconds": 60})
    wait_until(lambda: way.job(running)["status"] == "running", 20, what="it runs")
    newest = [running, *reversed(ended)]
    assert [j["id"] for j in way.jobs()] == newest
    assert [j["id"] for j in way.jobs(limit=2)] == newest[:2]
    assert [j["id"] for j in way.jobs(limit=2, offset=2)] == newest[2:]
    way.cancel(running)


def test_stats(way):
    """stats (total, completed, success rate with one decimal, top 5 tools)"""
    for kind in ("grep", "grep", "breaks", "noop", "fail"):
        way.submit(kind, max_attempts=1)
    way.jm.wait_ended(5)
    wait_until(lambda: way.stats()["total"] == 5, 20, what="the statistics have them")
    stats = way.stats()
    assert (stats["total"], stats["completed"], stats["success_rate"]) == (5, 3, 60.0)
    assert stats["types"][0]["type"] == "grep" and stats["types"][0]["jobs"] == 2
    assert len(stats["types"]) == 4


def test_the_tools_themselves(way):
    """the tools' own descriptions and parameters at hand (`/types`)"""
    wait_until(lambda: [t for t in way.types() if t["name"] == "grep"], 20, what="it is announced")
    grep = next(t for t in way.types() if t["name"] == "grep")
    assert grep["description"] == "Looks for words"
    assert grep["params_schema"]["properties"] == {"word": {"type": "string"}}


def test_clean_up(way):
    """clean-up"""
    job = way.submit("grep")
    way.jm.wait_ended(1)
    way.delete_job(job)
    assert way.jobs() == []
    assert way.jm.db.value("SELECT count(*) FROM job_attempts") == 0


def test_starts_without_a_database(jm):
    """Start-up check of the database with its state logged; starts without a database; unreachable at start → a warning,
    and the program starts and keeps trying"""
    producer = jm.start_producer(**{"http.auth": "off", "database.url": "postgresql://x@127.0.0.1:1/x"}, wait=False)
    producer.wait_log("waiting for the database")
    address = producer.text().split("listening on ")[1].split()[0]
    api = Api(address)
    assert api.call("GET", "/healthz").status == 200
    assert api.call("GET", "/readyz").status == 503
    answer = api.call("GET", "/api/v1/jobs")
    assert answer.status == 503 and answer.json["code"] == "database_away"


def test_pool(jm):
    """Connection pool: 5 kept, 15 at most, 30 s wait, recycled after 3600 s, checked before use; pool closed at shutdown"""
    producer = jm.start_producer(**{"http.auth": "off", "http.pool_recycle_s": "1"})
    api = Api.of(producer)
    api.get("/jobs")
    count = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'jobmill-producer api%%' AND " \
            "datname = current_database()"
    assert jm.db.value(count) >= 1
    jm.db.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE "
                "'jobmill-producer api%%' AND datname = current_database()")
    for _ in range(20):
        api.get("/jobs")
    assert producer.terminate() == 0
    assert jm.db.value(count) == 0
