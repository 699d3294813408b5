"""Two projects' keys against each other's objects, on every endpoint of the document: what is another's is not there, in
the same words as what does not exist, and stays as it is."""
import json
import random
import re

import pytest

from lib.api import Api
from lib.api_fuzz import Sampler, operations, quote

TABLES = ("jobs", "schedules", "documents", "calendars", "locks", "projects", "api_keys", "dead_letters")
ABSENT = "01a227d5-9622-7422-9fdf-09bd781321ce"


def make(jm, api, project):
    """One object of each kind in a project: {(first segment, parameter): name}."""
    job = api.post("/jobs", {"type": "nobody-runs-this", "project": project})["id"]
    schedule = api.post("/schedules", {"name": f"of-{project}", "type": "noop", "project": project,
                                       "interval_seconds": 3600, "metadata": {"secret": f"of-{project}"}})["id"]
    api.put(f"/documents/of-{project}?project={project}", {"body": {"owner": project}}, expect=(200, 201))
    key = api.post("/keys", {"name": f"k-{project}", "scope": "admin", "project": project})
    return {("jobs", "id"): job, ("schedules", "id"): schedule, ("documents", "name"): f"of-{project}",
            ("keys", "id"): key["id"], ("projects", "name"): project}, key["key"]


def contents(jm, project):
    """All rows that name the project, but for what time alone changes."""
    found = {}
    for table in TABLES:
        rows = jm.db.query(f"SELECT to_jsonb(t) - 'last_used_at' FROM {table} t WHERE to_jsonb(t)::text LIKE %s",
                           f"%{project}%")
        found[table] = sorted(json.dumps(r[0], sort_keys=True) for r in rows)
    return found


@pytest.fixture
def two(jm):
    producer = jm.start_producer("--no-scheduler")
    root = jm.cli("key", "create", "--name", "root", "--scope", "admin").out.strip()
    api = Api.of(producer, root)
    for name in ("alpha", "omega"):
        api.post("/projects", {"name": name})
    mine, mine_key = make(jm, api, "alpha")
    theirs, _ = make(jm, api, "omega")
    return jm, api.with_key(mine_key), mine, theirs


def fill(operation, objects):
    """The path with the objects' names; None: it names something that belongs to nobody."""
    segment, known = operation.path.split("/")[1], True
    def name(match):
        nonlocal known
        value = objects.get((segment, match.group(1)))
        if value is None and match.group(1) in ("n", "version", "seq", "attempt", "step"):
            return "1"
        known &= value is not None
        return quote(str(value))
    path = re.sub(r"\{([^}]*)\}", name, operation.path)
    return path if known and "{" in operation.path else None


def bodies(operation):
    """Something that is right as far as it goes, so that it is the name that decides."""
    rng = random.Random(1)
    if operation.body is None:
        return [None]
    return [Sampler().sample(operation.body, rng) for _ in range(3)] + [{}]


def test_what_is_anothers_is_not_there(two):
    jm, api, _, theirs = two
    before, looked = contents(jm, "omega"), 0
    absent = {key: ABSENT for key in theirs}
    for operation in operations():
        path, nowhere = fill(operation, theirs), fill(operation, absent)
        if not path:
            continue
        if "project" in operation.names("query"):  # names are a project's own: there is nothing of that one either
            path, nowhere = path + "?project=omega", path + "?project=nobody"
        for body in bodies(operation):
            answer = api.call(operation.method, "/api/v1" + path, body)
            same = api.call(operation.method, "/api/v1" + nowhere, body)
            assert answer.status == same.status, f"{operation} {body}: {answer} but {same}"
            assert answer.status in (400, 403, 404, 415), f"{operation} {body}: {answer}"
            if answer.status == 404:
                assert same_words(answer, path) == same_words(same, nowhere), f"{operation}: {answer} but {same}"
        looked += 1
    assert looked > 20
    assert contents(jm, "omega") == before


def same_words(answer, path):
    """What is said, without the names that were asked for."""
    text = answer.json["detail"]
    for name in (path.split("/")[2].split("?")[0], "omega", "nobody", ABSENT):
        text = text.replace(name, "X")
    return text


def test_lists_have_only_what_is_ones_own(two):
    jm, api, mine, _ = two
    for operation in operations():
        if operation.method != "GET" or "{" in operation.path or operation.path in ("/events", "/openapi.json"):
            continue
        answer = api.call("GET", "/api/v1" + operation.path)
        assert answer.status in (200, 400, 403), f"{operation}: {answer}"
        assert b"omega" not in answer.raw, f"{operation}: {answer}"
        if "project" in operation.names("query"):
            other = api.call("GET", f"/api/v1{operation.path}?project=omega")
            absent = api.call("GET", f"/api/v1{operation.path}?project=nobody")
            assert other.status == absent.status, f"{operation}: {other} but {absent}"
            assert other.status in (400, 403, 404), f"{operation}: {other}"


def test_nothing_is_made_in_anothers_project(two):
    jm, api, _, _ = two
    before = contents(jm, "omega")
    for path, body in (("/jobs", {"type": "noop", "project": "omega"}),
                       ("/jobs", [{"type": "noop"}, {"type": "noop", "project": "omega"}]),
                       ("/schedules", {"name": "x", "type": "noop", "interval_seconds": 60, "project": "omega"}),
                       ("/keys", {"name": "x", "scope": "read", "project": "omega"}),
                       ("/keys", {"name": "x", "scope": "read"}),
                       ("/projects", {"name": "mine-too"})):
        answer = api.call("POST", "/api/v1" + path, body)
        assert answer.status in (403, 404) or (path == "/keys" and answer.json["project"] == "alpha"), f"{path} {body}: {answer}"
    assert contents(jm, "omega") == before
    assert jm.db.value("SELECT count(*) FROM projects WHERE name = 'mine-too'") == 0
