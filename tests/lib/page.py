"""A worker's own port: its address from the ready line, requests, and metrics as numbers."""
import http.client
import json
import re


class Answer:
    def __init__(self, response, body):
        self.status = response.status
        self.headers = response.headers
        self.body = body

    def json(self):
        return json.loads(self.body)

    def text(self):
        return self.body.decode()

    def __repr__(self):
        return f"{self.status} {self.body[:2000]!r}"


def address(program):
    """(host, port) that the ready line of a started program names."""
    found = re.search(r"listening on ([0-9A-Za-z.:\[\]-]+):(\d+)", program.text())
    assert found, f"no ready line with a port:\n{program.tail()}"
    return found.group(1), int(found.group(2))


def request(program, path, method="GET", body=None, headers=None, timeout=10):
    host, port = address(program)
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        response = connection.getresponse()
        return Answer(response, response.read())
    finally:
        connection.close()


def get(program, path, **more):
    return request(program, path, **more)


LINE = re.compile(r'^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def parse(text):
    """{(name, ((label, value), …)): number} of a Prometheus text."""
    found = {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        match = LINE.match(line)
        assert match, f"not a line of metrics: {line!r}"
        labels = tuple(sorted(LABEL.findall(match.group(2) or "")))
        key = (match.group(1), labels)
        assert key not in found, f"twice: {line}"
        found[key] = float(match.group(3))
    return found


def metric(program, name, labels=None):
    """The sum over the series of this name that have these labels; None where there is none."""
    answer = get(program, "/metrics")
    assert answer.status == 200, answer
    wanted = set((labels or {}).items())
    values = [v for (n, have), v in parse(answer.text()).items()
              if n == name and wanted <= set(have)]
    return sum(values) if values else None
