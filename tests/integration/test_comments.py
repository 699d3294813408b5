"""Every table and column says what it is for."""


def test_every_table_has_a_comment(db):
    missing = db.query(
        "SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'jobmill'::regnamespace "
        "AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition "
        "AND obj_description(c.oid, 'pg_class') IS NULL")
    assert missing == []


def test_every_column_has_a_comment(db):
    missing = db.query(
        "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
        "WHERE c.relnamespace = 'jobmill'::regnamespace AND c.relkind IN ('r', 'p', 'v') "
        "AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped "
        "AND col_description(c.oid, a.attnum) IS NULL ORDER BY 1, 2")
    assert missing == []


def test_every_function_has_a_comment(db):
    missing = db.query(
        "SELECT p.proname FROM pg_proc p WHERE p.pronamespace = 'jobmill'::regnamespace "
        "AND obj_description(p.oid, 'pg_proc') IS NULL")
    assert missing == []


def test_there_is_something_to_comment(db):
    assert db.value("SELECT count(*) FROM pg_class WHERE relnamespace = 'jobmill'::regnamespace "
                    "AND relkind IN ('r', 'p') AND NOT relispartition") >= 18
