"""The corpus of job messages: each case with what becomes of it."""
import base64
import json

from lib.paths import ROOT

CASES = [json.loads(line) for line in
         (ROOT / "tests/corpus/message/cases.jsonl").read_text().splitlines()]


def value_of(case):
    if "base64" in case:
        return base64.b64decode(case["base64"])
    if "parts" in case:
        parts = case["parts"]
        return "".join(parts[i] * parts[i + 1] for i in range(0, len(parts), 2)).encode()
    return None if case["value"] is None else case["value"].encode()


def key_of(case):
    return base64.b64decode(case["key_base64"]) if "key_base64" in case else case.get("key")


def is_sent(case):
    """The broker sets the time of a record and does not take one above its limit; the clock of a
    case is the corpus' own."""
    value = value_of(case)
    return not ("timestamp_ms" in case or case.get("reason") == "bad_time"
                or "clock" in case.get("sql_disagrees", "") or (value and len(value) > 900000))
