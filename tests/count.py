#!/usr/bin/python3
"""Adds up results: count.py FILE...   JUnit XML as ctest and pytest write it, or lines "ok NAME" and "not ok NAME".
Prints one line, "N passed, N failed" (and what was skipped, where there was any); exit 1 when anything failed.
"""
import sys
import xml.etree.ElementTree as ET


def junit(path):
    counts = [0, 0, 0]
    for case in ET.parse(path).iter("testcase"):
        failed = case.find("failure") is not None or case.find("error") is not None
        skipped = case.find("skipped") is not None or case.get("status") in ("notrun", "disabled")
        counts[1 if failed or case.get("status") == "fail" else 2 if skipped else 0] += 1
    return counts


def lines(path):
    with open(path, encoding="utf-8") as f:
        text = f.read().splitlines()
    return [sum(t.startswith("ok ") for t in text), sum(t.startswith("not ok ") for t in text), 0]


total = [0, 0, 0]
for name in sys.argv[1:]:
    try:
        found = junit(name) if name.endswith(".xml") else lines(name)
    except (OSError, ET.ParseError) as e:
        print(f"{name}: {e}", file=sys.stderr)
        found = [0, 1, 0]
    total = [a + b for a, b in zip(total, found)]
print(f"{total[0]} passed, {total[1]} failed" + (f", {total[2]} skipped" if total[2] else ""))
sys.exit(1 if total[1] else 0)
