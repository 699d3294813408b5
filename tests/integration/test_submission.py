"""POST /jobs: one job and many, known ones, keys, and what happens while the database is away."""
import concurrent.futures
import uuid

import pytest

from lib.api import Api
from lib.pgproxy import PgProxy
from lib.wait import wait_until

OPEN = {"http.auth": "off", "http.access_log": "false"}


@pytest.fixture
def api(jm):
    jm.topic()
    jm.producer = jm.start_producer(**OPEN)
    return Api.of(jm.producer)


@pytest.mark.parametrize("number, says", [("1e400", "out of a double's range"), ("1e400000", "cannot be stored"),
                                          ("-1.5e309", "out of a double's range")])
def test_numbers_beyond_all_range_are_refused_by_every_way(jm, api, number, says):
    job = api.post("/jobs", {"type": "nobody"})["id"]
    for member in ("metadata", "params"):
        text = f'{{"a": {number}}}'
        refused = api.call("POST", "/api/v1/jobs", f'{{"type": "noop", "{member}": {text}}}'.encode())
        assert refused.status == 400 and says in refused.json["detail"], refused
        assert refused.json["errors"][0]["pointer"] == f"/{member}/a"
        by_hand = jm.cli("job", "submit", "--type", "noop", f"--{member}", text, check=False)
        assert by_hand.code == 2 and f"--{member}: " in by_hand.err and says in by_hand.err, by_hand
    refused = api.call("PATCH", f"/api/v1/jobs/{job}", f'{{"metadata": {{"a": {number}}}}}'.encode())
    assert refused.status == 400 and refused.json["errors"][0]["pointer"] == "/metadata", refused
    assert jm.db.query("SELECT id::text, metadata FROM jobs") == [(job, None)]


def problem(api, body, status=400, path="/jobs", **headers):
    answer = api.post(path, body, expect=status, **headers)
    return answer["code"], [e.get("pointer", e.get("parameter")) for e in answer.get("errors", [])]


def count(jm):
    return jm.db.value("SELECT count(*) FROM jobs")


def test_one_job_is_a_row_when_it_is_answered(jm, api):
    answer = api.call("POST", "/api/v1/jobs", {"type": "t", "params": {"n": 1}, "priority": 7,
                                               "queue": "slow", "metadata": {"k": "v"}},
                      X_Request_Id="req-17")
    assert answer.status == 201, answer
    assert answer.headers["Location"] == f"/api/v1/jobs/{answer.json['id']}"
    job = jm.db.job(answer.json["id"])
    assert (job["type"], job["params"], job["priority"], job["queue"], job["metadata"]) == (
        "t", {"n": 1}, 7, "slow", {"k": "v"})
    assert (job["request_id"], job["submitted_by"], job["status"]) == ("req-17", "anonymous", "pending")
    assert jm.db.value("SELECT state FROM pending_jobs WHERE job_id = %s", job["id"]) == "ready"
    # Without one it is the one that the answer has, as it stands in the log.
    plain = api.call("POST", "/api/v1/jobs", {"type": "t"})
    assert jm.db.job(plain.json["id"])["request_id"] == plain.headers["X-Request-Id"]


def test_a_job_that_is_too_large_says_by_what(jm, api):
    large = {"type": "t", "metadata": {"a": "b"}, "params": {"text": "x" * (1 << 20)}}
    for body, pointer in ((large, "/params"), ([{"type": "t"}, large], "/1/params")):
        refused = api.post("/jobs", body, 400)
        assert refused["errors"][0]["pointer"] == pointer and "at most 1048576 bytes" in refused["detail"], refused
    assert "params alone has 10485" in refused["detail"] and count(jm) == 0


def test_a_list_is_all_or_nothing_and_its_error_names_the_job(jm, api):
    done = api.post("/jobs", [{"type": "t", "params": {"n": n}} for n in range(1000)], 201)
    assert len({j["id"] for j in done["items"]}) == 1000 and count(jm) == 1000
    numbers = jm.db.query("SELECT (params ->> 'n')::int FROM jobs WHERE id = ANY(%s) ORDER BY id",
                          [j["id"] for j in done["items"]])
    assert len(numbers) == 1000
    wrong = [{"type": "t"} for _ in range(20)]
    wrong[17] = {"type": "t", "params": []}
    assert problem(api, wrong) == ("invalid", ["/17/params"])
    wrong[17] = {"type": "t", "prio": 1}
    assert problem(api, wrong)[1] == ["/17/prio"]
    wrong[17] = "t"
    assert problem(api, wrong)[1] == ["/17"]
    wrong[17] = {"type": "t", "project": "nobody"}
    assert problem(api, wrong, 404) == ("not_found", ["/17/project"])
    taken = str(uuid.UUID(done["items"][0]["id"]))
    wrong[17] = {"type": "other", "id": taken}
    assert problem(api, wrong, 409) == ("id_conflict", ["/17/id"])
    assert problem(api, []) == ("invalid", [""])
    assert problem(api, [{"type": "t"}] * 1001)[0] == "invalid"
    assert count(jm) == 1000


def test_a_known_job_is_given_back(jm, api):
    first = api.call("POST", "/api/v1/jobs", {"type": "t", "id": "order-1", "params": {"a": 1}})
    again = api.call("POST", "/api/v1/jobs", {"type": "t", "id": "order-1", "params": {"a": 1}})
    assert (first.status, again.status) == (201, 200)
    assert again.json["id"] == first.json["id"] and again.json["status"] == "pending"
    assert problem(api, {"type": "t", "id": "order-1", "params": {"a": 2}}, 409) == (
        "id_conflict", ["/id"])
    one = api.post("/jobs", {"type": "t", "dedup_key": "d"}, 201)
    assert api.post("/jobs", {"type": "t", "dedup_key": "d", "params": {"x": 1}}, 200)["id"] == one["id"]
    mixed = api.post("/jobs", [{"type": "t", "dedup_key": "d"}, {"type": "t"}], 201)["items"]
    assert [j["existed"] for j in mixed] == [True, False]
    assert count(jm) == 3


def test_jobs_that_wait_for_others(jm, api):
    parent = api.post("/jobs", {"type": "t"}, 201)["id"]
    child = api.post("/jobs", {"type": "t", "depends_on": [parent]}, 201)["id"]
    assert jm.db.value("SELECT parent_id FROM job_dependencies WHERE job_id = %s", child) == \
        uuid.UUID(parent)


def test_an_idempotency_key_gives_the_same_answer(jm, api):
    body = [{"type": "t", "params": {"n": n}} for n in range(3)]
    first = api.post("/jobs", body, 201, Idempotency_Key="k1")
    again = api.call("POST", "/api/v1/jobs", body, Idempotency_Key="k1")
    assert again.status == 201 and again.json == first
    assert again.headers["Idempotency-Replayed"] == "true"
    assert problem(api, {"type": "t"}, 409, Idempotency_Key="k1")[0] == "idempotency_conflict"
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        ids = {a["id"] for a in pool.map(
            lambda _: api.post("/jobs", {"type": "t"}, 201, Idempotency_Key="k2"), range(16))}
    assert len(ids) == 1 and count(jm) == 4
    jm.db.execute("UPDATE idempotency_keys SET expires_at = now() WHERE key = 'k2'")
    assert api.post("/jobs", {"type": "t"}, 201, Idempotency_Key="k2")["id"] not in ids


def test_one_bad_job_never_fails_the_others(jm, api):
    taken = api.post("/jobs", {"type": "t"}, 201)["id"]
    bodies = [{"type": "t", "id": taken, "params": {"other": n}} if n % 5 == 0 else
              {"type": "t", "id": f"x{n}"} for n in range(60)]
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        got = list(pool.map(lambda b: api.call("POST", "/api/v1/jobs", b), bodies))
    assert [a.status for a in got] == [409 if n % 5 == 0 else 201 for n in range(60)]
    assert count(jm) == 49


def test_params_are_held_against_the_announced_schema(jm, api):
    jm.db.execute("""INSERT INTO job_types (name, definition_hash, params_schema, profiles) VALUES
        ('strict', 'h', '{"type": "object", "required": ["to"], "properties": {"to": {"type": "string"}}}',
         '{"house": {"to": "me"}}')""")

    def known():
        return api.call("POST", "/api/v1/jobs", {"type": "strict"}).status == 400
    wait_until(known, 10, what="the schema is known")
    assert problem(api, {"type": "strict", "params": {"to": 1}}) == ("invalid", ["/params/to"])
    assert problem(api, {"type": "strict", "profile": "none"}) == ("invalid", ["/profile"])
    api.post("/jobs", {"type": "strict", "profile": "house"}, 201)
    api.post("/jobs", {"type": "strict", "params": {"to": "you"}}, 201)
    assert problem(api, {"type": "jobmill.callback"}) == ("invalid", ["/type"])
    assert problem(api, {"type": "t", "queue": "Slow"}) == ("invalid", ["/queue"])


def test_the_answer_is_held_until_the_job_has_ended(jm, api):
    jm.start_worker()
    job = api.post("/jobs?wait_s=30", {"type": "noop"}, 201)
    assert job["status"] == "completed"
    failed = api.post("/jobs?wait_s=30", {"type": "fail", "params": {"message": "no"}, "max_attempts": 1}, 201)
    assert failed["status"] == "failed"
    later = api.post("/jobs?wait_s=1", {"type": "noop", "run_at": "2099-01-01T00:00:00Z"}, 201)
    assert later["status"] == "pending"
    assert problem(api, [{"type": "noop"}], path="/jobs?wait_s=1")[0] == "invalid"


@pytest.fixture
def proxy(jm):
    with PgProxy(jm.database_url) as made:
        yield made


def test_without_the_database_jobs_go_to_kafka(jm, proxy):
    jm.topic()
    api = Api.of(jm.start_producer(**OPEN, **{"database.url": proxy.url(jm.database_url)}))
    api.post("/jobs", {"type": "noop"}, 201)
    proxy.away()
    sent = api.post("/jobs", {"type": "noop"}, 202)
    named = api.post("/jobs", {"type": "noop", "id": "mine"}, 202)
    api.post("/jobs", [{"type": "noop"}] * 10, 202)
    assert problem(api, {"type": "noop"}, 503, Idempotency_Key="k")[0] == "database_away"
    assert problem(api, {"type": "noop", "params": 1})[1] == ["/params"]
    assert named["id"] == "mine"
    proxy.away(False)
    jm.start_worker()
    jm.wait_ended(12)
    assert jm.wait_status(sent["id"], "completed")
    wait_until(lambda: api.call("POST", "/api/v1/jobs", {"type": "noop"}).status == 201, 20,
               what="rows again")
