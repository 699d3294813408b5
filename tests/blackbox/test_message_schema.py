"""The corpus of job messages through a JSON Schema validator: it must agree with the C parser (which
tests/unit/test_job_message.c holds to the same corpus), or the corpus says why not. And the files that
are generated from the list of fields are up to date."""
import base64
import json
import subprocess
import sys

import jsonschema
import pytest
import yaml

from lib.paths import SCHEMA

ROOT = SCHEMA.parent
CASES = [json.loads(line) for line in
         (ROOT / "tests/corpus/message/cases.jsonl").read_text().splitlines()]
MESSAGE_SCHEMA = json.loads((SCHEMA / "job_message.v1.json").read_text())


def value_of(case):
    """The bytes of the record's value; None for a tombstone."""
    if "base64" in case:
        return base64.b64decode(case["base64"])
    if "parts" in case:
        parts = case["parts"]
        return "".join(parts[i] * parts[i + 1] for i in range(0, len(parts), 2)).encode()
    return None if case["value"] is None else case["value"].encode()


@pytest.fixture(scope="module")
def validator():
    jsonschema.Draft202012Validator.check_schema(MESSAGE_SCHEMA)
    return jsonschema.Draft202012Validator(MESSAGE_SCHEMA)


def is_valid(validator, value):
    try:
        document = json.loads(value.decode("utf-8"))
    except (ValueError, AttributeError, RecursionError):
        return False
    return validator.is_valid(document)


def test_corpus_is_large_enough():
    assert len(CASES) >= 150
    assert len({case["name"] for case in CASES}) == len(CASES)
    for case in CASES:
        assert case["valid"] is True or {"reason", "field"} <= case.keys(), case["name"]


@pytest.mark.parametrize("case", [c for c in CASES if "schema_not_asked" not in c],
                         ids=lambda c: c["name"])
def test_schema_agrees(validator, case):
    agrees = is_valid(validator, value_of(case)) == case["valid"]
    if "schema_disagrees" in case:
        assert not agrees, f"the schema agrees by now: drop the note ({case['schema_disagrees']})"
    else:
        assert agrees, "valid" if case["valid"] else case["reason"]


def test_generated_files_are_up_to_date():
    done = subprocess.run([sys.executable, SCHEMA / "generate.py", "--check"],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


# The description of the topics

ASYNCAPI = yaml.safe_load((SCHEMA / "asyncapi.yaml").read_text())


def references(node):
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_asyncapi_has_all_topics():
    assert ASYNCAPI["asyncapi"].startswith("3.")
    assert {c["address"] for c in ASYNCAPI["channels"].values()} == {
        "{prefix}.jobs.{queue}", "{prefix}.events", "{prefix}.dead"}


def test_asyncapi_refers_to_what_is_there():
    for reference in references(ASYNCAPI):
        if not reference.startswith("#/"):
            assert (SCHEMA / reference).is_file(), reference
            continue
        node = ASYNCAPI
        for part in reference[2:].split("/"):
            assert part in node, reference
            node = node[part]


def test_asyncapi_examples_are_valid(validator):
    examples = ASYNCAPI["components"]["messages"]["job"]["examples"]
    for example in examples + ASYNCAPI["components"]["messages"]["relayedJob"]["examples"]:
        validator.validate(example["payload"])
    shown = {field for example in examples for field in example["payload"]}
    later = {"callback_url", "depends_on"}
    assert shown - {"x-mine"} == set(MESSAGE_SCHEMA["properties"]) - later
    event = ASYNCAPI["components"]["schemas"]["cloudEvent"]
    job_event = jsonschema.Draft202012Validator(json.loads((SCHEMA / "job_event.v1.json").read_text()))
    for example in ASYNCAPI["components"]["messages"]["event"]["examples"]:
        job_event.validate(example["payload"])
    for example in ASYNCAPI["components"]["messages"]["cloudEventStructured"]["examples"]:
        assert set(event["required"]) <= example["payload"].keys()


def test_every_reason_of_the_corpus_is_documented():
    reasons = set(ASYNCAPI["components"]["schemas"]["reason"]["enum"])
    assert {case["reason"] for case in CASES if not case["valid"]} <= reasons
    protocol = (ROOT / "docs/protocol.md").read_text()
    for reason in reasons:
        assert f"| `{reason}` |" in protocol, reason
