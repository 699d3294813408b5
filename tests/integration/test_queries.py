"""Every query file is one statement that PostgreSQL can prepare on a migrated database, and each
transition of a job's status has its own file."""
import re

import psycopg
import pytest

from lib.paths import SCHEMA

FILES = sorted((SCHEMA / "queries").glob("*.sql"))
OWNERS_OF_STATUS = re.compile(r"\bUPDATE\s+(?:ONLY\s+)?jobs\b[^;]*?\bSET\b[^;]*?\bstatus\s*=",
                              re.I | re.S)


def code(text):
    return re.sub(r"--[^\n]*", "", text)


@pytest.fixture(scope="module")
def prepared(database_server):
    url = database_server.create()
    with psycopg.connect(url, autocommit=True, options="-c search_path=jobmill") as conn:
        yield conn
    database_server.drop(url)


def test_there_are_queries():
    assert FILES, "no query files under schema/queries"


@pytest.mark.parametrize("path", FILES, ids=[p.stem for p in FILES])
def test_prepares(prepared, path):
    text = path.read_text()
    assert text.startswith("--"), "a query begins with a comment that says what it does"
    # The simple protocol takes the file as it is; PREPARE finds parameters that are not typed.
    prepared.pgconn.exec_(b"DEALLOCATE ALL")
    result = prepared.pgconn.prepare(b"q", text.encode())
    assert result.status == psycopg.pq.ExecStatus.COMMAND_OK, \
        f"{path.name}: {result.error_message.decode()}"


@pytest.mark.parametrize("path", FILES, ids=[p.stem for p in FILES])
def test_documents_its_parameters(path):
    text = path.read_text()
    head = re.match(r"(?:\s*--[^\n]*\n)+", text).group()
    for number in set(re.findall(r"\$(\d+)", code(text))):
        said = re.search(rf"\${number}\b", head) or any(
            int(a) <= int(number) <= int(b)
            for a, b in re.findall(r"\$(\d+)\s*(?:\.\.|to|-|–|…)+\s*\$?(\d+)", head))
        assert said, f"{path.name} does not say what ${number} is"


@pytest.mark.parametrize("path", FILES, ids=[p.stem for p in FILES])
def test_names_no_schema(path):
    assert not re.search(r"\bjobmill\.(?!partition)", code(path.read_text())), \
        "tables are unqualified: the search path names the schema"
