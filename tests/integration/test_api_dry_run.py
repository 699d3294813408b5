"""?dry_run=1: everything is judged, the answer is what would be, and nothing is changed."""
import re
import subprocess

import pytest

from lib.api import Api
from lib.paths import bin_dir

# What cannot be taken back by leaving it out: submitting, what programs outside tell, locks that are held now, sessions.
WITHOUT = {("POST", "/jobs"), ("POST", "/jobs/{id}/steps"), ("PATCH", "/jobs/{id}/steps"), ("POST", "/jobs/{id}/logs"),
           ("POST", "/locks/{name}/acquire"), ("POST", "/locks/{name}/extend"), ("POST", "/schedules/preview"),
           ("POST", "/session"), ("DELETE", "/session")}
TABLES = ("jobs", "pending_jobs", "job_metadata", "audit_log", "schedules", "schedule_ticks", "api_keys", "locks", "projects")


@pytest.fixture
def api(jm):
    return Api.of(jm.start_producer("--no-scheduler", **{"http.auth": "off"}))


def everything(jm):
    return {table: jm.db.rows(f"SELECT t::text FROM {table} t ORDER BY 1") for table in TABLES}


class Unchanged:
    """Nothing is written within."""

    def __init__(self, jm):
        self.jm = jm

    def __enter__(self):
        self.before = everything(self.jm)

    def __exit__(self, kind, *_):
        if not kind:
            assert everything(self.jm) == self.before


def test_every_route_that_changes_something_takes_it():
    out = subprocess.run([bin_dir() / "jobmill-producer", "--print-routes"], check=True, capture_output=True, text=True).stdout
    changing = {}
    for line in out.splitlines():
        method, path, _, *query = line.split()
        if method != "GET":
            changing[method, path.removeprefix("/api/v1")] = query
    assert {route for route, query in changing.items() if "dry_run" not in query} == WITHOUT


def test_jobs(jm, api):
    waiting, = [j["id"] for j in api.post("/jobs", [{"type": "t", "run_at": "2099-01-01T00:00:00Z"}])["items"]]
    with Unchanged(jm):
        would = api.post(f"/jobs/{waiting}/cancel?dry_run=1", expect=200)
        assert (would["id"], would["status"]) == (waiting, "cancelled")
        would = api.patch(f"/jobs/{waiting}?dry_run=1", {"priority": 9, "metadata": {"po": "7"}})
        assert (would["priority"], would["metadata"]) == (9, {"po": "7"})
        assert api.get(f"/jobs/{waiting}")["status"] == "pending"
        for action in ("retry", "cancel"):
            assert api.call("POST", f"/api/v1/jobs/01900000-0000-7000-8000-000000000001/{action}?dry_run=1").status == 404
        assert api.call("POST", f"/api/v1/jobs/{waiting}/retry?dry_run=1").status == 409
        assert api.call("DELETE", f"/api/v1/jobs/{waiting}?dry_run=1").status == 409
        for body in ({"status": "running"}, {"attempt": 1, "status": "completed"}):
            answer = api.call("PATCH", f"/api/v1/jobs/{waiting}?dry_run=1", body)
            assert answer.status == 400 and answer.json["errors"][0]["parameter"] == "dry_run"
    api.post(f"/jobs/{waiting}/cancel")
    with Unchanged(jm):
        would = api.post(f"/jobs/{waiting}/retry?dry_run=1", expect=200)
        assert (would["retry_of"], would["status"], would["type"]) == (waiting, "pending", "t")
        api.get(f"/jobs/{would['id']}", 404)
        api.delete(f"/jobs/{waiting}?dry_run=1")
        assert api.call("POST", f"/api/v1/jobs/{waiting}/cancel?dry_run=1").status == 409
        assert api.call("POST", f"/api/v1/jobs/{waiting}/cancel?dry_run=perhaps").status == 400
    api.delete(f"/jobs/{waiting}?dry_run=0")
    api.get(f"/jobs/{waiting}", 404)


def test_schedules_run_at_once(jm, api):
    schedule = api.post("/schedules", {"name": "s", "type": "t", "interval_seconds": 3600}, 201)["id"]
    with Unchanged(jm):
        would = api.post(f"/schedules/{schedule}/run?dry_run=1", expect=200)
        assert (would["schedule_id"], would["type"], would["status"]) == (schedule, "t", "pending")
        api.get(f"/jobs/{would['id']}", 404)
    assert api.post(f"/schedules/{schedule}/run", expect=201)["schedule_id"] == schedule


def test_locks(jm, api):
    held = api.post("/locks/l/acquire", {"owner": "me"}, 200)
    with Unchanged(jm):
        assert api.put("/locks/l?dry_run=1", {"capacity": 5})["capacity"] == 5
        assert api.post("/locks/l/release?dry_run=1", {"force": True}, 200)["holders"] == []
        answer = api.call("POST", "/api/v1/locks/l/release?dry_run=1", {"token": held["token"]})
        assert answer.status == 400 and answer.json["errors"][0]["parameter"] == "dry_run"
        assert api.call("POST", "/api/v1/locks/free/release?dry_run=1", {"force": True}).status == 409
    lock = api.get("/locks/l")
    assert (lock["capacity"], len(lock["holders"])) == (1, 1)


def test_keys(jm, api):
    with Unchanged(jm):
        would = api.post("/keys?dry_run=1", {"name": "k", "scope": "read"}, 200)
        assert would["name"] == "k" and not re.search("jm_", str(would))
        assert api.call("POST", "/api/v1/keys?dry_run=1", {"name": "k", "scope": "all"}).status == 400
    made = api.post("/keys", {"name": "k", "scope": "read"}, 201)
    with Unchanged(jm):
        assert api.call("POST", "/api/v1/keys?dry_run=1", {"name": "k", "scope": "read"}).status == 409
        api.delete(f"/keys/{made['id']}?dry_run=1")
    assert api.get(f"/keys/{made['id']}")["state"] == "active"
