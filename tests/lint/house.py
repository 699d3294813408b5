#!/usr/bin/python3
"""Holds the lines that docs/architecture.md draws: who may include whom, where SQL and changes of a job's status may
stand, functions that are banned, and files that have grown too long. Prints each finding as path:line: what.
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
LONGEST_FILE = 900
TOP_LEVEL = set("CMakeLists.txt CMakePresets.json README.md LICENSE CHANGELOG.md CONTRIBUTING.md dev .ci .clang-format "
                ".clang-tidy .gitignore common producer worker schema tests compose docs".split())

# Path prefix of a file → what it must not include, as (pattern, why).
LIBPQ = r"libpq-fe\.h|postgresql/|common/pg(_batch|_pool)?\.h"
RDKAFKA = r"librdkafka/|common/kafka\.h"
LAYERS = [
    (r"common/", r"(producer|worker)/", "common uses neither producer nor worker"),
    (r"producer/", r"worker/", "producer does not use worker"),
    (r"worker/", r"producer/", "worker does not use producer"),
    (r"producer/service/", r"producer/(cli|http)/", "services know neither command line nor HTTP"),
    (r"producer/(?!schedule_sync\.c|main\.c|(?:health_)?page\.[ch]|standalone\.c)[a-z0-9_]+\.[ch]", r"producer/(cli|http)/|producer/service/(?!schedule_document\.h)",
     "the daemon's parts but the sync and the page use no service but the documents of schedules"),
    (r"producer/(cli|http)/", r"libpq-fe\.h|postgresql/|schema/sql\.h", "SQL stands in producer/service"),
    (r"producer/(cron|cron_text|zone|recurrence|tick_policy|calendar)\.[ch]", LIBPQ + "|" + RDKAFKA, "calendar arithmetic is pure"),
    (r"worker/(runner|executor|exec|spawner|handler_protocol|outcome|job_type|type_dir|loop|http_exec|plugin|pool|blocking|when)[a-z0-9_]*\.[ch]",
     LIBPQ + "|" + RDKAFKA, "runner and executors know neither database nor Kafka"),
    (r"worker/sql_", RDKAFKA, "steps know no Kafka"),
    (r"worker/(accept|start|record|lease|store)[a-z0-9_]*\.[ch]", r"librdkafka/", "the store knows no librdkafka"),
]
# strcpy and its like, by STYLE 16; each as a call.
BANNED = re.compile(r"(?<![\w.>])(strcpy|strcat|sprintf|vsprintf|strtok|atoi|atol|atof|localtime|gmtime|setenv|putenv|system|"
                    r"popen|gets|mktemp|tmpnam|rd_kafka_consume_batch_queue)\s*\(")
# The statements that change a job's status: one file a transition, named for what it does.
METRIC = re.compile(r'\.name = "(jobmill_\w+)"')
MONITORING = (ROOT / "docs/monitoring.md").read_text()
STATUS_CHANGE = re.compile(r"\bupdate\s+(?:only\s+)?(?:jobmill\.)?jobs\b(?:\s+(?:as\s+)?\w+)?\s+set\b(?P<set>.*?)(?:\bwhere\b|\bfrom\b|\breturning\b|;|\Z)",
                           re.I | re.S)
STATUS_FILES = re.compile(r"schema/(queries/(accept|start|record|lease|janitor|cancel|expire|rescue|requeue|status)_?[a-z0-9_]*\.sql"
                          r"|migrations/.*\.sql)$")
SQL_IN_C = re.compile(r'"\s*(?:SELECT\s.+\sFROM\s|INSERT\s+INTO\s|UPDATE\s+\w+\s+SET\s|DELETE\s+FROM\s|MERGE\s+INTO\s)', re.I)


def files():
    out = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                         check=True, capture_output=True).stdout.decode()
    return [name for name in out.split("\0") if name and (ROOT / name).is_file()]


def without_comments(text):
    """The code with comments blanked, so that line numbers stay."""
    def blank(match):
        found = match.group(0)
        return found if found[0] in "\"'" else re.sub(r"[^\n]", " ", found)
    return re.sub(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|/\*.*?\*/|//[^\n]*', blank, text, flags=re.S)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def check_c(name, text, say):
    code = without_comments(text)
    for number, line in enumerate(code.splitlines(), 1):
        include = re.match(r'\s*#\s*include\s*[<"]([^>"]+)[>"]', line)
        if include:
            for where, what, why in LAYERS:
                if re.match(where, name) and re.match(what, include.group(1)):
                    say(name, number, f"includes {include.group(1)}: {why}")
            continue
        bare = re.sub(r'"(?:\\.|[^"\\])*"', '""', line)
        call = BANNED.search(bare)
        if call and not name.startswith("tests/"):
            say(name, number, f"{call.group(1)} is banned")
    if re.match(r"producer/(cli|http)/", name):
        for found in SQL_IN_C.finditer(code):
            say(name, line_of(code, found.start()), "SQL belongs to producer/service and schema/queries")
    if not name.startswith("tests/"):
        for found in METRIC.finditer(text):
            if found.group(1) not in MONITORING:
                say(name, line_of(text, found.start()), f"{found.group(1)} is not in docs/monitoring.md")
        for found in STATUS_CHANGE.finditer(code):
            if re.search(r"\bstatus\s*=", found.group("set")):
                say(name, line_of(code, found.start()), "changes a job's status outside schema/queries")
        if not re.match(r"\s*/[*/]", text) and not text.lstrip().startswith("/*"):
            say(name, 1, "does not open with what it is responsible for")
    if text.count("\n") > LONGEST_FILE:
        say(name, LONGEST_FILE, f"has {text.count(chr(10))} lines; {LONGEST_FILE} are enough")


def check_sql(name, text, say):
    code = re.sub(r"--[^\n]*", "", text)
    for found in STATUS_CHANGE.finditer(code):
        if re.search(r"\bstatus\s*=", found.group("set")) and not STATUS_FILES.match(name):
            say(name, line_of(code, found.start()), "changes a job's status, but is not named as a transition")
    if name.startswith("schema/queries/") and not text.lstrip().startswith("--"):
        say(name, 1, "does not open with what it does and its parameters")


def main():
    findings = []

    def say(name, line, what):
        findings.append(f"{name}:{line}: {what}")
    for name in files():
        top = name.split("/")[0]
        if top not in TOP_LEVEL:
            say(name, 1, "does not belong at the top level")
        if name.endswith((".c", ".h")):
            check_c(name, (ROOT / name).read_text(errors="replace"), say)
        elif name.endswith(".sql"):
            check_sql(name, (ROOT / name).read_text(), say)
    print("\n".join(findings), end="\n" if findings else "")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
