"""The HTTP API of a producer, as a client of somebody else's would speak to it."""
import http.client
import json
import re
import socket
import time


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.raw = response.read()
        kind = self.headers.get("Content-Type", "")
        self.json = json.loads(self.raw) if "json" in kind and self.raw else None

    def __repr__(self):
        return f"{self.status} {self.raw[:2000]!r}"


class Api:
    """base: http://host:port of a producer; key: what goes into X-API-Key."""

    def __init__(self, address, key=None):
        self.host, port = address.rsplit(":", 1)
        self.port = int(port)
        self.key = key

    @classmethod
    def of(cls, producer, key=None):
        producer.wait_log("ready: listening on")
        return cls(re.search(r"ready: listening on (\S+?);", producer.text()).group(1), key)

    def with_key(self, key):
        return Api(f"{self.host}:{self.port}", key)

    def call(self, method, path, body=None, timeout=60, **headers):
        """body: what becomes JSON, or bytes as they are. Header names with _ for -."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.key:
            headers.setdefault("X-API-Key", self.key)
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path if path.startswith("/") and not path.startswith("//")
                               else "/" + path, body, headers)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, path, expect=200, **headers):
        return self._expect("GET", path, None, expect, headers)

    def post(self, path, body=None, expect=(200, 201), **headers):
        return self._expect("POST", path, body, expect, headers)

    def put(self, path, body, expect=200, **headers):
        return self._expect("PUT", path, body, expect, headers)

    def patch(self, path, body, expect=200, **headers):
        return self._expect("PATCH", path, body, expect, headers)

    def delete(self, path, expect=204, **headers):
        return self._expect("DELETE", path, None, expect, headers)

    def _expect(self, method, path, body, expect, headers):
        answer = self.call(method, "/api/v1" + path, body, **headers)
        wanted = expect if isinstance(expect, tuple) else (expect,)
        assert answer.status in wanted, f"{method} {path}: {answer}"
        return answer.json

    def listen(self, path, **headers):
        return Listener(self, path, headers)


class Listener:
    """Server-sent events of a path."""

    def __init__(self, api, path, headers):
        self.socket = socket.create_connection((api.host, api.port), timeout=30)
        lines = [f"GET /api/v1{path} HTTP/1.1", f"Host: {api.host}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if api.key:
            lines.append(f"X-API-Key: {api.key}")
        self.socket.sendall("\r\n".join(lines + ["", ""]).encode())
        self.response = http.client.HTTPResponse(self.socket, method="GET")
        self.response.begin()
        self.status = self.response.status
        self.ended = False
        self.last_id = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.response.close()
        self.socket.close()

    def again(self):
        """After a time-out: reading goes on."""
        self.response.fp.raw._timeout_occurred = False  # pylint: disable=protected-access

    def next(self, timeout=20):
        """The next event as (event, data, id), or None when the stream has ended."""
        self.socket.settimeout(timeout)
        event, data, ident = "message", [], None
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            line = self.response.readline()
            if not line:
                self.ended = True
                return None
            line = line.decode().rstrip("\n")
            if not line:
                if data:
                    self.last_id = ident or self.last_id
                    return event, json.loads("\n".join(data)), ident
                event, ident = "message", None
            elif line.startswith("event: "):
                event = line[7:]
            elif line.startswith("data: "):
                data.append(line[6:])
            elif line.startswith("id: "):
                ident = line[4:]
        raise TimeoutError("no event came")

    def until(self, event, timeout=30):
        """All events up to and with the first of that name."""
        found = []
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            one = self.next(max(0.1, deadline - time.monotonic()))
            assert one, f"the stream ended before {event}: {found}"
            found.append(one)
            if one[0] == event:
                return found
        raise TimeoutError(f"{event} did not come: {found}")
