#!/usr/bin/python3
"""Writes what is generated from schema/job_fields.json and schema/openapi/; --check says what is out of date.

The generated files are committed, so that building needs no Python.
"""
import json
import pathlib
import sys

import openapi_document

SCHEMA = pathlib.Path(__file__).resolve().parent
ROOT = SCHEMA.parent
BEGIN = "BEGIN GENERATED from schema/job_fields.json by schema/generate.py"
END = "END GENERATED"
KINDS = ["name", "id", "string", "integer", "time", "object", "scalars", "url", "jobs"]


def c_string(text):
    return json.dumps(text, ensure_ascii=False)


def job_fields_h(fields):
    ids = "".join(f"    JM_JOB_FIELD_{f['name'].upper()},\n" for f in fields)
    kinds = {
        "name": "lower-case letters, digits, '.', '_' and '-', the first one a letter or digit",
        "id": "UUIDv7 or any other string",
        "string": "text",
        "integer": "an integer",
        "time": "RFC 3339",
        "object": "a JSON object",
        "scalars": "a JSON object of strings, numbers, booleans and nulls",
        "url": "http or https",
        "jobs": 'list of job ids or {"external_id": ...}',
    }
    lines = "".join(f"    JM_FIELD_{k.upper()}, /* {kinds[k]} */\n" for k in KINDS)
    return f"""/* clang-format off */
/* The fields of a job message. Generated from schema/job_fields.json by schema/generate.py:
 * do not edit. */
#ifndef JM_JOB_FIELDS_H
#define JM_JOB_FIELDS_H

#include <stdbool.h>
#include <stdint.h>

typedef enum jm_job_field {{
{ids}    JM_JOB_FIELDS
}} jm_job_field;

typedef enum jm_field_kind {{
{lines}}} jm_field_kind;

typedef struct jm_field {{
    const char *name;
    uint8_t name_len;
    jm_field_kind kind;
    bool required;
    bool supported; /* false: understood, and a dead letter with the reason unsupported for now */
    int64_t min, max; /* characters of texts (of names in scalars), the value of integers, items of
                         lists; 0 and 0 where there is no limit */
    const char *placeholder; /* for the value in help */
    const char *help;        /* one sentence without a period */
}} jm_field;

extern const jm_field jm_job_fields[JM_JOB_FIELDS];

#endif
"""


def job_fields_c(fields):
    rows = ""
    for f in fields:
        flag = {True: "true", False: "false"}
        rows += (
            f"    [JM_JOB_FIELD_{f['name'].upper()}] =\n"
            f"        {{\"{f['name']}\", {len(f['name'])}, JM_FIELD_{f['kind'].upper()}, "
            f"{flag[f.get('required', False)]}, {flag[f.get('supported', True)]}, "
            f"{f.get('min', 0)}, {f.get('max', 0)}, {c_string(f['placeholder'])},\n"
            f"         {c_string(f['help'])}}},\n"
        )
    return f"""/* clang-format off */
/* The fields of a job message. Generated from schema/job_fields.json by schema/generate.py:
 * do not edit. */
#include "job_fields.h"

const jm_field jm_job_fields[JM_JOB_FIELDS] = {{
{rows}}};
"""


NAME_PATTERN = "^[a-z0-9][a-z0-9._-]{0,99}$"
# As common/url.c.
URL_PATTERN = r"^https?://([A-Za-z0-9._~%-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{0,5})?([/?#][!-~]*)?$"
PATTERNS = {"name": NAME_PATTERN, "url": URL_PATTERN}


def pattern_of(field):
    return field.get("pattern", PATTERNS.get(field["kind"], ""))


def sql_string(text):
    return "'" + text.replace("'", "''") + "'"


def submit_fields_sql(fields):
    rows = ",\n".join(
        f"        ({sql_string(f['name'])}, {sql_string(f['kind'])}, {f.get('min', 0)}, "
        f"{f.get('max', 0)}, {str(f.get('supported', True)).lower()}, "
        f"{sql_string(pattern_of(f))})"
        for f in fields)
    return f"""CREATE OR REPLACE FUNCTION submit_fields() RETURNS TABLE (name text, kind text, min integer, max integer, supported boolean, pattern text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT * FROM (VALUES
{rows}
    ) AS f (name, kind, min, max, supported, pattern);
END;
COMMENT ON FUNCTION submit_fields IS 'The fields of the job message: characters, values or items allowed, whether this version takes it, what it must match';
"""


# Shape and ranges of RFC 3339; that February of a common year has 28 days is beyond a pattern.
TIME_PATTERN = (
    "^(?!0000)[0-9]{4}-"
    "(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    "|02-(?:0[1-9]|[12][0-9]))"
    "[Tt ](?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\\.[0-9]+)?"
    "(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])$")
UUID7_PATTERN = "^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-7[0-9A-Fa-f]{3}-[89ABab][0-9A-Fa-f]{3}-[0-9A-Fa-f]{12}$"


def text_schema(field):
    schema = {"type": "string", "minLength": field["min"], "maxLength": field["max"]}
    if pattern_of(field):
        schema["pattern"] = pattern_of(field)
    return schema


def field_schema(field, fields):
    kind = field["kind"]
    if kind in ("name", "id", "string", "url"):
        schema = text_schema(field)
    elif kind == "integer":
        schema = {"type": "integer", "minimum": field["min"], "maximum": field["max"]}
    elif kind == "time":
        schema = {"type": "string", "format": "date-time", "pattern": TIME_PATTERN}
    elif kind == "object":
        schema = {"type": "object"}
    elif kind == "scalars":
        schema = {
            "type": "object",
            "propertyNames": {"minLength": field["min"], "maxLength": field["max"]},
            "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
        }
    else:
        external = next(f for f in fields if f["kind"] == "id")
        schema = {
            "type": "array",
            "maxItems": field["max"],
            "items": {"anyOf": [
                {"type": "string", "pattern": UUID7_PATTERN},
                {"type": "object", "required": ["external_id"], "additionalProperties": False,
                 "properties": {"external_id": text_schema(external)}},
            ]},
        }
    schema = {"description": field["help"], **schema}
    if "default" in field:
        schema["default"] = field["default"]
    return schema


def message_schema(fields):
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:jobmill:job_message:v1",
        "$comment": "Generated from schema/job_fields.json by schema/generate.py: do not edit.",
        "title": "Job message",
        "description": "Value of a Kafka record in <prefix>.jobs.<queue>. The parser is stricter where no "
                       "schema can be: see docs/protocol.md.",
        "type": "object",
        "required": [f["name"] for f in fields if f.get("required")],
        "properties": {f["name"]: field_schema(f, fields) for f in fields},
        "patternProperties": {"^x-": {"description": "Yours; jobmill does not look at it"}},
        "additionalProperties": False,
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def allowed_text(field):
    low, high = field.get("min"), field.get("max")
    return {
        "name": f"string of {low}–{high} of `a-z 0-9 . _ -`, the first a letter or digit",
        "id": f"string of {low}–{high} characters",
        "string": f"string of {low}–{high} characters",
        "integer": f"integer {low}–{high}",
        "time": "RFC 3339 time",
        "object": "object",
        "scalars": "object of scalars",
        "url": f"`http` or `https` URL of at most {high} characters",
        "jobs": f'list of at most {high} job ids or `{{"external_id": …}}`',
    }[field["kind"]]


def fields_markdown(fields):
    rows = ""
    for f in fields:
        allowed = allowed_text(f)
        if f.get("required"):
            allowed += "; **required**"
        elif "default" in f:
            allowed += f"; default `{f['default'] if isinstance(f['default'], str) else json.dumps(f['default'])}`"
        rows += f"| `{f['name']}` | {allowed} | {f['help']} |\n"
    return "| field | | |\n|---|---|---|\n" + rows


def between_marks(path, begin, text, end):
    """The file with what stands between its two marks replaced."""
    head, _, rest = path.read_text().partition(begin)
    _, mark, tail = rest.partition(end)
    if not mark:
        sys.exit(f"{path}: the marks around its generated part are missing")
    return head + begin + text + end + tail


def outputs():
    fields = json.loads((SCHEMA / "job_fields.json").read_text())["fields"]
    yield ROOT / "common/job_fields.h", job_fields_h(fields)
    yield ROOT / "common/job_fields.c", job_fields_c(fields)
    yield SCHEMA / "job_message.v1.json", message_schema(fields)
    document = openapi_document.merged({
        "job_message.v1.json": json.loads(message_schema(fields)),
        "schedules.v1.json": json.loads((SCHEMA / "schedules.v1.json").read_text()),
    })
    yield SCHEMA / "openapi.v1.json", openapi_document.to_json(document)
    yield ROOT / "docs/api.md", openapi_document.to_markdown(document)
    submit = SCHEMA / "migrations/0017_control_plane.sql"  # replaces what 0002 and 0004 had
    yield submit, between_marks(submit, f"-- {BEGIN}\n", submit_fields_sql(fields), f"-- {END}\n")
    protocol = ROOT / "docs/protocol.md"
    yield protocol, between_marks(protocol, f"<!-- {BEGIN} -->\n", fields_markdown(fields),
                                  f"<!-- {END} -->\n")


def main(argv):
    check = argv[1:] == ["--check"]
    if argv[1:] and not check:
        print("usage: schema/generate.py [--check]", file=sys.stderr)
        return 2
    stale = 0
    for path, text in outputs():
        if path.exists() and path.read_text() == text:
            continue
        stale += 1
        name = path.relative_to(ROOT)
        if check:
            print(f"{name} is out of date: run schema/generate.py", file=sys.stderr)
        else:
            path.write_text(text)
            print(f"wrote {name}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
