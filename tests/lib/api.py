"""The HTTP API of a producer, as a client of somebody else's would speak to it."""
import http.client
import json
import re
import socket
import time

from lib import openapi


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
        """body: what becomes JSON, or bytes as they are. Header names with _ for -. The answer is as the API's description
        says."""
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
            answer = Answer(connection.getresponse())
        finally:
            connection.close()
        wrong = openapi.document().check(method, path, answer)
        assert not wrong, f"{method} {path}: {wrong}\n{answer}"
        return answer

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
    """Server-sent events of a path. Reads the socket itself, so that a time-out loses nothing."""

    def __init__(self, api, path, headers):
        self.socket = socket.create_connection((api.host, api.port), timeout=30)
        lines = [f"GET /api/v1{path} HTTP/1.1", f"Host: {api.host}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if api.key:
            lines.append(f"X-API-Key: {api.key}")
        self.socket.sendall("\r\n".join(lines + ["", ""]).encode())
        self.raw, self.text, self.ended, self.last_id = b"", b"", False, None
        while b"\r\n\r\n" not in self.raw:
            more = self.socket.recv(65536)
            assert more, f"closed before an answer: {self.raw!r}"
            self.raw += more
        head, self.raw = self.raw.split(b"\r\n\r\n", 1)
        self.status = int(head.split()[1])
        self._decode()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def _decode(self):
        """What chunks are whole become text."""
        while b"\r\n" in self.raw:
            size, rest = self.raw.split(b"\r\n", 1)
            n = int(size.split(b";")[0], 16)
            if len(rest) < n + 2:
                return
            self.text += rest[:n]
            self.raw = rest[n + 2:]
            self.ended |= n == 0

    def next(self, timeout=20):
        """The next event as (event, data, id), or None when the stream has ended; TimeoutError when none comes."""
        deadline = time.monotonic() + timeout
        while True:
            while b"\n\n" in self.text:
                block, self.text = self.text.split(b"\n\n", 1)
                fields = dict(line.split(": ", 1) for line in block.decode().split("\n") if not line.startswith(":"))
                if "data" in fields:
                    self.last_id = fields.get("id", self.last_id)
                    return fields.get("event", "message"), json.loads(fields["data"]), fields.get("id")
            if self.ended:
                return None
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("no event came")
            self.socket.settimeout(left)
            try:
                more = self.socket.recv(65536)
            except socket.timeout:
                continue
            self.ended |= not more
            self.raw += more
            self._decode()

    def until(self, event, timeout=30):
        """All events up to and with the first of that name."""
        found = []
        deadline = time.monotonic() + timeout
        while True:
            one = self.next(max(0.1, deadline - time.monotonic()))
            assert one, f"the stream ended before {event}: {found}"
            found.append(one)
            if one[0] == event:
                return found
