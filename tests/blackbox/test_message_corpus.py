"""The corpus of job messages through Kafka and a worker: what the parser accepts PostgreSQL takes, and
what it refuses is a dead letter, whole, with the reason and the field."""
from lib.corpus import CASES, is_sent, key_of, value_of


def check_dead(case, dead):
    """What is wrong with the fate of this case, or None."""
    if case["valid"]:
        if dead is None or dead["reason"] == "id_conflict":  # cases share ids
            return None
        return f"{case['name']}: {dead['reason']}: {dead['detail']}"
    if dead is None:
        return f"{case['name']}: no dead letter"
    if dead["reason"] != case["reason"] or (dead["field"] or "") != case["field"]:
        return f"{case['name']}: {dead['reason']} at {dead['field']!r}: {dead['detail']}"
    if (dead["value"] or b"") != (value_of(case) or b"") or (dead["value"] is None) != (
            value_of(case) is None):
        return f"{case['name']}: the value is not whole"
    if not dead["detail"]:
        return f"{case['name']}: no detail"
    return None


def test_corpus_through_a_worker(jm):
    sent = [c for c in CASES if is_sent(c)]
    assert len(sent) > 400
    places = [jm.send(value_of(c), key=key_of(c), partition=0,
                      headers=[(name, None if v is None else v.encode())
                               for name, v in c.get("headers", {}).items()])[0]
              for c in sent]
    jm.start_worker()
    jm.wait_offsets(timeout=60)
    dead = {row["record_offset"]: row for row in jm.db.rows("SELECT * FROM dead_letters")}
    wrong = [w for w in (check_dead(c, dead.get(place[1])) for c, place in zip(sent, places)) if w]
    assert wrong == []
    accepted = sum(c["valid"] for c in sent)
    assert jm.db.value("SELECT count(*) FROM jobs") > accepted // 2
    numbers = jm.db.value("SELECT count(*) FROM jobs WHERE params->>'a' = '123456789012345678901234567890'")
    assert numbers == 1, "every digit is kept"
