"""?dry_run=1: everything is judged, the answer is what would be, and nothing is changed."""
import re
import subprocess

import pytest

from lib.api import Api
from lib.paths import bin_dir

# What cannot be taken back by leaving it out: what programs outside tell, locks that are held now, sessions.
WITHOUT = {("POST", "/jobs/{id}/steps"), ("PATCH", "/jobs/{id}/steps"), ("POST", "/jobs/{id}/logs"),
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


def test_submissions(jm, api):
    known = api.post("/jobs", {"type": "t", "dedup_key": "d", "id": "mine", "run_at": "2099-01-01T00:00:00Z"})["id"]
    with Unchanged(jm):
        would = api.post("/jobs?dry_run=1", {"type": "t", "queue": "slow", "depends_on": [known]}, 200)
        assert (would["type"], would["queue"], would["project"], would["existed"]) == ("t", "slow", "default", False)
        api.get("/jobs/" + would["id"], expect=404)
        would = api.post("/jobs?dry_run=1", [{"type": "t"}, {"type": "u", "dedup_key": "d"}, {"type": "t", "dedup_key": "d"}], 200)
        assert [j["existed"] for j in would["items"]] == [False, False, True] and would["items"][2]["id"] == known
        named = "01900000-0000-7000-8000-000000000001"
        assert api.post("/jobs?dry_run=1", {"type": "t", "id": named}, 200)["id"] == named
        for body, status, pointer in (({"type": "t", "project": "nope"}, 404, "/project"), ({"type": "T"}, 400, "/type"),
                                      ([{"type": "t"}, {"type": "t", "priority": 10}], 400, "/1/priority"),
                                      ([{"type": "t"}, {"type": "other", "id": "mine"}, {"type": "t", "id": "mine", "params": {"a": 1}}],
                                       409, "/2/id")):
            really = api.call("POST", "/api/v1/jobs", body)
            refused = api.call("POST", "/api/v1/jobs?dry_run=1", body)
            assert (refused.status, refused.json["errors"][0]["pointer"]) == (status, pointer), refused
            assert {**refused.json, "instance": None} == {**really.json, "instance": None}
        assert api.post("/jobs?dry_run=1&wait_s=1", {"type": "t"}, 400)["errors"][0]["parameter"] == "wait_s"
        # An Idempotency-Key is not used up by it.
        api.post("/jobs?dry_run=1", {"type": "t"}, 200, Idempotency_Key="k")
        assert jm.db.value("SELECT count(*) FROM idempotency_keys") == 0
        done = jm.cli("job", "submit", "--type", "t", "--dry-run")
        assert done.err == "would be submitted:\n" and len(done.out.strip()) == 36
        taken = jm.cli("job", "submit", "--type", "t", "--dedup-key", "d", "--dry-run", "--json").json()
        assert taken == {"id": known, "dry_run": True}
        refused = jm.cli("job", "submit", "--type", "t", "--project", "nope", "--dry-run", check=False)
        assert refused.code == 3 and 'no project "nope"' in refused.err
    assert api.post("/jobs", {"type": "t"}, 201, Idempotency_Key="k")["id"]


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
