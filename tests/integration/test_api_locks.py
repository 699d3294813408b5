"""Locks over HTTP: the same that jobs and the command line take."""
import threading
import time

import pytest

from lib.api import Api
from lib.wait import wait_until


@pytest.fixture
def api(jm):
    return Api.of(jm.start_producer("--no-scheduler", **{"http.auth": "off"}))


def refused(answer, status, code="conflict"):
    assert (answer.status, answer.json["code"]) == (status, code), answer
    return answer.json["detail"]


def acquire(api, name, **body):
    name, _, query = name.partition("?")
    return api.call("POST", f"/api/v1/locks/{name}/acquire?{query}", body)


def test_one_has_it_until_he_lets_go(jm, api):
    free = api.get("/locks/deploy")
    assert free == {"project": "default", "name": "deploy", "capacity": 1, "waiting": 0, "blocked_by": None, "holders": []}
    mine = acquire(api, "deploy", owner="me", ttl_s=100).json
    assert mine["owner"] == "me"
    assert "me" in refused(acquire(api, "deploy"), 409)
    assert jm.cli("lock", "acquire", "deploy", check=False).code == 1
    longer = api.post("/locks/deploy/extend", {"token": mine["token"], "ttl_s": 1000}, 200)
    assert longer["expires_at"] > mine["expires_at"]
    holders = api.get("/locks/deploy")["holders"]
    assert [(h["owner"], h["token"]) for h in holders] == [("me", mine["token"])]
    assert [slot["name"] for slot in api.get("/locks?name=deploy")["items"]] == ["deploy"]
    assert api.get("/locks?project=default&name=other")["items"] == []
    assert api.post("/locks/deploy/release", {"token": mine["token"]}, 200)["holders"] == []
    refused(api.call("POST", "/api/v1/locks/deploy/release", {"token": mine["token"]}), 409)
    refused(api.call("POST", "/api/v1/locks/deploy/extend", {"token": mine["token"]}), 409)
    again = acquire(api, "deploy").json
    assert again["token"] > mine["token"] and again["owner"] == "anonymous"
    api.post("/locks/deploy/release", {"force": True}, 200)
    assert jm.db.rows("SELECT action, source FROM audit_log WHERE object = 'lock'")


def test_capacity(jm, api):
    assert api.put("/locks/api.example.org", {"capacity": 2})["capacity"] == 2
    tokens = [acquire(api, "api.example.org", owner=f"o{i}").json["token"] for i in range(2)]
    refused(acquire(api, "api.example.org"), 409)
    lock = api.get("/locks/api.example.org")
    assert (lock["capacity"], sorted(h["token"] for h in lock["holders"])) == (2, sorted(tokens))
    assert jm.db.value("SELECT count(*) FROM audit_log WHERE object = 'lock'") == 1


@pytest.mark.tsan
def test_who_waits_gets_it_in_the_order_of_coming(jm, api):
    token = acquire(api, "deploy").json["token"]
    got = []

    def wait_for_it(name):
        answer = acquire(api, "deploy", owner=name, wait_s=20)
        got.append((name, answer.status))
        time.sleep(0.05)  # holds it for a moment
        api.post("/locks/deploy/release", {"token": answer.json["token"]}, 200)
    threads = []
    for n in range(4):
        threads.append(threading.Thread(target=wait_for_it, args=[f"w{n}"]))
        threads[-1].start()
        time.sleep(0.2)  # so that one comes after the other: there is nothing to see from outside
    assert not got
    api.post("/locks/deploy/release", {"token": token}, 200)
    for thread in threads:
        thread.join(30)
    assert got == [(f"w{n}", 200) for n in range(4)]


def test_waiting_ends(jm, api):
    acquire(api, "deploy", owner="me")
    began = time.monotonic()
    assert "me" in refused(acquire(api, "deploy", wait_s=0.5), 409)
    assert 0.4 < time.monotonic() - began < 10


@pytest.mark.tsan
def test_many_wait_and_others_are_served(jm, api):
    """More than there are threads or connections."""
    token = acquire(api, "deploy").json["token"]
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(acquire(api, "deploy", wait_s=30, ttl_s=600).status)) for _ in range(40)]
    for thread in threads:
        thread.start()
    began = time.monotonic()
    for _ in range(20):
        assert api.get("/locks/deploy")["holders"][0]["token"] == token
    assert time.monotonic() - began < 10 and not answers
    api.post("/locks/deploy/release", {"token": token}, 200)
    wait_until(lambda: answers == [200], 10, what="one has it")
    jm.programs[0].terminate()  # a producer that ends answers those who wait
    for thread in threads:
        thread.join(10)
    assert answers[0] == 200 and set(answers[1:]) <= {503, 409} and len(answers) == 40


@pytest.mark.parametrize("body,pointer", [
    ({"ttl_s": 0}, "/ttl_s"), ({"ttl_s": "60"}, "/ttl_s"), ({"wait_s": 31}, "/wait_s"), ({"wait_s": -1}, "/wait_s"),
    ({"owner": ""}, "/owner"), ({"owner": "job 1"}, "/owner"), ({"owner": 5}, "/owner"), ({"owner": 1.5}, "/owner"),
    ({"ttl": 5}, "/ttl")])
def test_what_is_wrong_is_named(jm, api, body, pointer):
    answer = acquire(api, "deploy", **body)
    assert answer.status == 400 and answer.json["errors"][0]["pointer"] == pointer
    assert jm.db.value("SELECT count(*) FROM locks WHERE owner IS NOT NULL") == 0


def test_names_and_numbers_that_cannot_be(api):
    assert acquire(api, "order:x").status == 400
    assert acquire(api, "x" * 201).status == 400
    assert api.call("PUT", "/api/v1/locks/x", {"capacity": 0}).json["errors"][0]["pointer"] == "/capacity"
    assert api.call("PUT", "/api/v1/locks/x", {}).json["errors"][0]["pointer"] == "/capacity"
    assert api.call("POST", "/api/v1/locks/x/extend", {"token": 0}).json["errors"][0]["pointer"] == "/token"
    assert api.call("POST", "/api/v1/locks/x/release", {}).json["errors"][0]["pointer"] == "/token"
    assert acquire(api, "x?project=nobody").status == 404
    assert api.call("GET", "/api/v1/locks/x?project=nobody").status == 404


def test_a_key_sees_the_locks_of_its_project(jm):
    producer = jm.start_producer("--no-scheduler")
    jm.db.execute("INSERT INTO projects (name) VALUES ('shop')")
    shop = Api.of(producer, jm.cli("key", "create", "--name", "s", "--scope", "submit", "--project", "shop").out.strip())
    boss = Api.of(producer, jm.cli("key", "create", "--name", "a", "--scope", "admin").out.strip())
    assert acquire(shop, "deploy").json["project"] == "shop"
    assert acquire(boss, "deploy").json["project"] == "default"
    assert [slot["project"] for slot in shop.get("/locks")["items"]] == ["shop"]
    refused(acquire(shop, "deploy?project=default"), 404, "not_found")
    refused(shop.call("POST", "/api/v1/locks/deploy/release", {"force": True}), 403, "forbidden")
    refused(shop.call("PUT", "/api/v1/locks/deploy", {"capacity": 3}), 403, "forbidden")
