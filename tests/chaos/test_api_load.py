"""Jobs come over HTTP while PostgreSQL restarts, or while Kafka is away: what was answered is there, once, under its
Idempotency-Key."""
import http.client
import json
import threading
import time

from lib.api import Api
from lib.wait import wait_until

CLIENTS = 200
HEADERS = {"Content-Type": "application/json"}


class Client(threading.Thread):
    """Posts one job after the other on a connection that is kept, each under a key of its own until it is taken."""

    def __init__(self, api, name, over):
        super().__init__(name=name, daemon=True)
        self.api, self.over = api, over
        self.taken, self.refused, self.wrong = {}, 0, []

    def post(self, connection, key):
        connection.request("POST", "/api/v1/jobs", json.dumps({"type": "noop", "metadata": {"key": key}}),
                           {**HEADERS, "Idempotency-Key": key})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())

    def run(self):
        connection = http.client.HTTPConnection(self.api.host, self.api.port, timeout=60)
        key, waits = f"{self.name}.0", False
        while waits or not self.over.is_set():
            try:
                status, body = self.post(connection, key)
            except (OSError, http.client.HTTPException) as error:
                self.wrong.append(repr(error))
                return
            if status in (201, 202):
                self.taken[key] = body["id"]
                key, waits = f"{self.name}.{len(self.taken)}", False
            elif status == 503:
                self.refused += 1
                waits = True
                time.sleep(0.1)  # a client's pause before it tries again
            else:
                self.wrong.append(f"{status} {body}")
                return


def load(api, during):
    """All clients, until `during` returns."""
    over = threading.Event()
    clients = [Client(api, f"c{i}", over) for i in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        during()
    finally:
        over.set()
    for client in clients:
        client.join(60)
        assert not client.is_alive() and not client.wrong, client.wrong
    return {key: job for c in clients for key, job in c.taken.items()}, sum(c.refused for c in clients)


def until(moment_s, condition=lambda: True):
    wait_until(lambda: time.monotonic() >= moment_s and condition(), 120, what="the time of the load has passed")


def is_ready(api):
    return api.call("GET", "/readyz").status == 200


def rows(jm):
    """{Idempotency-Key: id} of all jobs."""
    found = jm.db.query("SELECT metadata->>'key', id::text FROM jobs")
    assert len({key for key, _ in found}) == len(found), "a key made two jobs"
    return dict(found)


def test_postgres_restarts_under_load(jm_pg, rounds):
    jm = jm_pg
    length_s = 10 if rounds == 1 else 60
    jm.start_worker()
    api = Api.of(jm.start_producer(**{"http.auth": "off", "http.access_log": "false", "http.max_connections_per_ip": 1000}))

    def during():
        began = time.monotonic()
        until(began + length_s / 3)
        jm.postgres.stop("immediate")
        wait_until(lambda: not is_ready(api), 30, what="it is not ready")
        assert api.call("GET", "/healthz").status == 200
        jm.postgres.start()
        wait_until(lambda: is_ready(api), 30, what="it is ready again")
        until(began + length_s)
    taken, refused = load(api, during)
    assert len(taken) > CLIENTS and refused, (len(taken), refused)
    jm.wait_ended(len(taken), timeout=120)
    there = rows(jm)
    assert {key: there.get(key) for key in taken} == taken
    for key in set(there) - set(taken):  # it was written, and the answer was lost: its key finds it
        answer = api.call("POST", "/api/v1/jobs", {"type": "noop", "metadata": {"key": key}}, Idempotency_Key=key)
        assert answer.status in (200, 201) and answer.json["id"] == there[key], answer
    jm.check()


def test_jobs_are_listed_at_once_when_postgres_is_back(jm_pg):
    jm = jm_pg
    api = Api.of(jm.start_producer(**{"http.auth": "off"}))
    api.get("/jobs")
    jm.postgres.stop()
    wait_until(lambda: not is_ready(api), 30, what="it is not ready")
    assert api.get("/jobs", expect=503)["code"] == "database_away"
    jm.postgres.start()
    wait_until(lambda: api.call("GET", "/api/v1/jobs").status == 200, 0.5, what="GET /jobs is answered")


def test_kafka_away(jm_kafka):
    """What needs no Kafka goes on; jobs are rows, and are published once it is back."""
    jm = jm_kafka
    api = Api.of(jm.start_producer(**{"http.auth": "off"}))
    first = api.post("/jobs", {"type": "noop"})["id"]
    jm.broker.stop()
    wait_until(lambda: not is_ready(api), 60, what="it is not ready")
    assert api.call("GET", "/healthz").status == 200
    second = api.post("/jobs", {"type": "noop"}, expect=201, Idempotency_Key="k")["id"]
    assert api.post("/jobs", {"type": "noop"}, expect=201, Idempotency_Key="k")["id"] == second
    assert [j["id"] for j in api.get("/jobs")["items"]] == [second, first]
    assert api.get(f"/jobs/{second}")["status"] == "pending"
    for path in ("/jobs/stats", "/types", "/schedules", "/workers", "/projects", "/locks", "/calendars", "/audit"):
        api.get(path)
    api.post("/schedules", {"name": "nightly", "type": "noop", "cron_expression": "0 3 * * *"})
    api.post(f"/jobs/{first}/cancel", expect=200)
    jm.broker.start()
    wait_until(lambda: is_ready(api), 60, what="it is ready again")
    jm.start_worker()
    wait_until(lambda: api.get(f"/jobs/{second}")["status"] == "completed", 60, what="the job has run")
    assert api.get(f"/jobs/{first}")["status"] == "cancelled"
