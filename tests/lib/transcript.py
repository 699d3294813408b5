"""Transcripts of the handler protocol (tests/corpus/handler): as a program, a handler that behaves as one says."""
import json
import os
import pathlib
import sys


def read(path):
    """[(what, rest)]"""
    lines = []
    for line in pathlib.Path(path).read_text().splitlines():
        what, _, rest = line.partition(" ")
        if what == "fd":
            what, rest = "fd 3", rest.lstrip()[1:]
        lines.append((what, rest.lstrip()))
    return lines


def same_job(line, wanted):
    """Equal but for what differs from run to run."""
    found, wanted = json.loads(line), json.loads(wanted)
    for message in (found, wanted):
        job = message["job"]
        assert job["output_dir"].endswith(f"/{job['id']}-{job['attempt']}")
        job["id"] = job["output_dir"] = ""
    return json.dumps(found) == json.dumps(wanted)


def play(path):
    streams = {"fd 3": 3, "stdout": 1, "stderr": 2}
    for what, rest in read(path):
        if what in streams:
            os.write(streams[what], rest.encode() + b"\n")
        elif what == "stdin":
            line = sys.stdin.readline()
            if not line or not same_job(line, rest):
                sys.exit(f"not the line of the transcript: {line}")
        elif what == "eof":
            if sys.stdin.readline():
                sys.exit("more than the transcript has")
        elif what == "exit":
            os._exit(int(rest))


if __name__ == "__main__":
    play(sys.argv[1])
