"""The API's description: what it says of itself, and that it names all routes of the server and no other."""
import json
import re
import subprocess
import urllib.parse

import jsonschema
import pytest

from lib import openapi
from lib.api import Api
from lib.paths import ROOT, bin_dir

DOCUMENT = openapi.document()
OPERATIONS = [(method, path) for method, path, _ in DOCUMENT.operations()]


@pytest.fixture
def open_api(jm):
    return Api.of(jm.start_producer("--no-scheduler", **{"http.auth": "off"}))


def routes():
    """Of the server: (method, path) → scope, parameters."""
    out = subprocess.run([bin_dir() / "jobmill-producer", "--print-routes"], check=True, capture_output=True, text=True).stdout
    found = {}
    for line in out.splitlines():
        method, path, scope, *query = line.split()
        found[method.lower(), path.removeprefix("/api/v1")] = scope, query
    return found


def test_every_route_is_described_and_every_operation_has_a_route():
    assert sorted(routes()) == sorted(OPERATIONS)


def test_scopes_and_parameters_are_those_of_the_routes():
    differ = []
    for (method, path), (scope, query) in routes().items():
        operation = DOCUMENT.json["paths"][path][method]
        described = sorted(p["name"] for p in DOCUMENT.parameters(path, method) if p["in"] == "query")
        if (operation["x-scope"], described) != (scope, sorted(query)):
            differ.append((method, path, scope, sorted(query), operation["x-scope"], described))
    assert not differ


@pytest.mark.parametrize("method,path", OPERATIONS)
def test_operation(method, path):
    operation = DOCUMENT.json["paths"][path][method]
    assert operation["summary"] and not operation["summary"].endswith(".")
    assert operation["tags"][0] in [tag["name"] for tag in DOCUMENT.json["tags"]]
    assert (operation.get("security") == []) == (operation["x-scope"] == "none")
    named = [p["name"] for p in DOCUMENT.parameters(path, method) if p["in"] == "path"]
    assert named == re.findall(r"\{([^}]*)\}", path)
    for parameter in DOCUMENT.parameters(path, method):
        assert parameter.get("description"), parameter["name"]


def test_operations_have_names_of_their_own():
    names = [operation["operationId"] for _, _, operation in DOCUMENT.operations()]
    assert len(set(names)) == len(names)


def nodes(node, where="#"):
    yield where, node
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield from nodes(child, f"{where}/{key}")


def schemas():
    for where, node in nodes(DOCUMENT.json):
        if re.search(r"/(schema|schemas/[^/]+)$", where):
            yield where, node


def test_references_lead_somewhere_and_all_parts_are_referred_to():
    referred = set()
    for where, node in nodes(DOCUMENT.json):
        if isinstance(node, dict) and isinstance(node.get("$ref"), str):
            assert DOCUMENT.resolve(node), where
            referred.add(node["$ref"])
    unused = [f"#/components/{kind}/{name}" for kind, members in DOCUMENT.json["components"].items()
              for name in members if kind != "securitySchemes" and f"#/components/{kind}/{name}" not in referred]
    assert not unused


def test_schemas_are_schemas():
    for where, schema in schemas():
        try:
            jsonschema.Draft202012Validator.check_schema(schema)
        except jsonschema.SchemaError as e:
            raise AssertionError(f"{where}: {e.message}") from e


def test_examples_are_as_their_schemas_say():
    wrong = []
    for where, node in nodes(DOCUMENT.json):
        if not isinstance(node, dict) or "schema" not in node or "json" not in where.rsplit("/content/", 1)[-1]:
            continue
        given = [node["example"]] if "example" in node else [e["value"] for e in node.get("examples", {}).values()]
        for value in given:
            wrong += [f"{where}: {e}" for e in DOCUMENT.errors(node["schema"], value)]
    assert not wrong


# Where the sources name the code of a problem: as the argument behind a status, in the table of failures, or by itself.
CODES = (r'\b(?:req|request|req->http|request->http), \d{3}, "([a-z_]+)"', r'\{JM_ERR_\w+, \d{3}, "([a-z_]+)"\}',
         r'\{err->code, \d{3}, "([a-z_]+)"\}', r'->code = [^;]*?"([a-z_]+)"', r': (?:false|refuse)\(\w+, \d{3}, "([a-z_]+)"')


def test_codes_of_problems_are_those_that_the_server_has():
    """A client that knows all of the document meets no other, and none of the document is history."""
    sources = [p.read_text() for folder in ("common", "producer/http", "producer/service") for p in (ROOT / folder).glob("*.c")]
    found = {code for text in sources for pattern in CODES for code in re.findall(pattern, text)}
    described = DOCUMENT.json["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]
    assert described == sorted(found)
    problem = {"title": "t", "status": 400, "code": "such_a_code", "detail": "d"}
    assert DOCUMENT.errors({"$ref": "#/components/schemas/Problem"}, problem), "answers with another code are noticed"


def test_objects_of_answers_say_what_they_have():
    """So that a member that nobody described cannot slip in: every object is closed, or says what its other members are."""
    open_ones = []
    for where, node in nodes(DOCUMENT.json["components"]["schemas"], "schemas"):
        if isinstance(node, dict) and isinstance(node.get("properties"), dict) and "/properties/properties" not in where:
            if "additionalProperties" not in node and "unevaluatedProperties" not in node and "allOf" not in where:
                open_ones.append(where)
    assert not open_ones


def test_it_is_served_as_it_is_in_the_repository_with_no_key(jm):
    api = Api.of(jm.start_producer())
    answer = api.call("GET", "/api/v1/openapi.json")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.json == json.loads((ROOT / "schema/openapi.v1.json").read_text())


def test_docs_ask_nobody_else_for_anything(jm):
    api = Api.of(jm.start_producer())
    page = api.call("GET", "/docs")
    assert page.status == 200 and page.headers["Content-Type"].startswith("text/html")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    parts = re.findall(r'(?:src|href)="([^"]+)"', page.raw.decode())
    assert sorted(p for p in parts if p.startswith("docs/")) == ["docs/docs.css", "docs/docs.js"]
    for part in [p for p in parts if p.startswith("docs/")]:
        answer = api.call("GET", "/" + part)
        assert answer.status == 200 and answer.headers["X-Content-Type-Options"] == "nosniff"
        assert b"://" not in answer.raw
    assert api.call("POST", "/docs").status in (404, 405)
    for path in ("/", "/docs/"):  # where people look first
        answer = api.call("GET", path)
        assert (answer.status, urllib.parse.urljoin(path, answer.headers["Location"])) == (302, "/docs")


def test_docs_show_every_operation_and_send_what_was_typed():
    """The page's own script, on a browser of a hundred lines."""
    done = subprocess.run(["node", ROOT / "tests/lib/docs_page.js", ROOT / "producer/http/pages/docs.js", ROOT / "schema/openapi.v1.json",
                           "updateSchedule", "path id=a/b c", "query project=shop", "header If-Match=\"3\""],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    page = json.loads(done.stdout)
    assert sorted(page["operations"]) == sorted(operation["operationId"] for _, _, operation in DOCUMENT.operations())
    for _, path, operation in DOCUMENT.operations():
        assert path in page["text"] and operation["summary"] in page["text"]
    for name, response in DOCUMENT.json["components"]["responses"].items():
        assert response["description"].replace("`", "") in page["text"], name
    assert {a["url"] for a in page["asked"]} == {"api/v1/openapi.json", "api/v1/whoami", "api/v1/schedules/a%2Fb%20c?project=shop"}
    sent = page["asked"][-1]
    assert sent["method"] == "PATCH" and json.loads(sent["body"]) == {"cron_expression": "0 4 * * *", "description": "an hour later"}
    assert sent["headers"] == {"If-Match": '"3"', "X-API-Key": "kept-in-this-tab", "Content-Type": "application/json"}
    assert "200 OK" in page["answer"] and "kept-in-this-tab" not in page["text"]
    assert page["shown"] and all("calendars" in text for text in page["shown"])


@pytest.mark.parametrize("method, path, body, member", [
    ("POST", "/calendars", {"definition": {}, "name": 1}, "name"),
    ("POST", "/calendars", {"definition": {}}, "name"),
    ("POST", "/calendars", {"definition": {}, "name": "c", "project": 1.5}, "project"),
    ("POST", "/locks/l/acquire", {"owner": ["me"]}, "owner"),
    ("POST", "/locks/l/acquire", {"owner": None}, "owner"),
    ("POST", "/jobs/x/steps", {"attempt": 1, "name": {}, "status": "success"}, "name"),
    ("POST", "/jobs/x/logs", {"attempt": 1, "message": 12345678901234567890}, "message"),
    ("POST", "/jobs/x/logs", {"attempt": 1}, "message"),
    ("POST", "/keys", {"name": 1, "scope": "read"}, "name"),
])
def test_what_must_be_text_is_asked_for_in_one_way(open_api, method, path, body, member):
    answer = open_api.call(method, "/api/v1" + path, body)
    assert (answer.status, answer.json["code"]) == (400, "invalid"), answer
    assert answer.json["errors"][0]["pointer"] == f"/{member}"
    assert answer.json["detail"].startswith(f"{member} must be text")
