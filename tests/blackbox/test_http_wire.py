"""The API's server against what no well-behaved client sends: each byte sequence is answered, or the connection is
closed, and whoever comes next is served."""
import http.client
import re
import socket
import time

import pytest

from lib.api import Api
from lib.wait import wait_until

MAX_BODY = 4096


@pytest.fixture
def api(jm):
    return Api.of(jm.start_producer(**{"http.auth": "off", "http.max_body_bytes": str(MAX_BODY),
                                       "http.timeout_s": "2", "http.max_connections": "40"}))


def dial(api):
    return socket.create_connection((api.host, api.port), timeout=15)


def read_all(sock):
    data = b""
    try:
        while (more := sock.recv(65536)):
            data += more
    except ConnectionResetError:
        pass  # it was closed while more was on its way
    return data


def speak(api, text, close=False):
    """What is answered to these bytes until the other side closes."""
    with dial(api) as sock:
        try:
            sock.sendall(text)
            if close:
                sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it has been closed already
        return read_all(sock)


def statuses(answer):
    return [int(s) for s in re.findall(rb"(?:^|\n|\})HTTP/1\.1 (\d{3})", answer)]


def alive(api):
    assert api.get("/whoami")["scope"] == "admin"


def head(method="GET", path="/api/v1/whoami", *lines, keep=False):
    lines = lines if keep else (*lines, "Connection: close")
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *lines, "", ""]).encode()


REFUSED = {
    "length and chunked": (head("POST", "/api/v1/whoami", "Content-Length: 5", "Transfer-Encoding: chunked")
                           + b"0\r\n\r\n", 400),
    "a coding that is not chunked": (head("POST", "/api/v1/whoami", "Transfer-Encoding: gzip"), 400),
    "two codings": (head("POST", "/api/v1/whoami", "Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n", 400),
    "no number as length": (head("POST", "/api/v1/whoami", "Content-Length: abc"), 400),
    "negative length": (head("POST", "/api/v1/whoami", "Content-Length: -1"), 400),
    "huge length": (head("POST", "/api/v1/whoami", "Content-Length: 99999999999999999999999"), 413),
    "long length": (head("POST", "/api/v1/whoami", f"Content-Length: {MAX_BODY + 1}") + b"x" * (MAX_BODY + 1), 413),
    "long length that waits": (head("POST", "/api/v1/whoami", f"Content-Length: {MAX_BODY + 1}", "Expect: 100-continue"), 413),
    "two lengths": (head("POST", "/api/v1/whoami", "Content-Length: 2", "Content-Length: 3") + b"{} ", 400),
    "two equal lengths": (head("POST", "/api/v1/whoami", "Content-Length: 2", "content-length: 2") + b"{}", 400),
    "two hosts": (head("GET", "/api/v1/whoami", "Host: y"), 400),
    "two equal codings": (head("POST", "/api/v1/whoami", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked")
                           + b"0\r\n\r\n", 400),
    "no host": (b"GET /api/v1/whoami HTTP/1.1\r\nConnection: close\r\n\r\n", 400),
    "long header": (head("GET", "/api/v1/whoami", "X-Much: " + "x" * 70000), 431),
    "long uri": (head("GET", "/api/v1/whoami?a=" + "x" * 70000), 414),
    "unknown method": (head("BREW"), 405),
    "connect": (head("CONNECT"), 405),
    "trace": (head("TRACE"), 405),
    "dots": (head("GET", "/api/v1/../v1/whoami"), 404),
    "encoded dots": (head("GET", "/api/v1/%2e%2e/whoami"), 404),
    "encoded slash": (head("GET", "/api/v1%2fwhoami"), 404),
    "encoded nul": (head("GET", "/api/v1/jobs/%00/events"), 404),
    "broken escape": (head("GET", "/api/v1/jobs/%zz/events"), 404),
    "cut escape": (head("GET", "/api/v1/jobs/%2/events"), 404),
    "broken UTF-8": (head("GET", "/api/v1/jobs/%ff/events"), 404),
    "empty segment": (head("GET", "/api/v1//whoami"), 404),
    "slash behind": (head("GET", "/api/v1/whoami/"), 404),
    "other case": (head("GET", "/API/v1/whoami"), 404),
    "deep path": (head("GET", "/api/v1" + "/x" * 2000), 404),
    "no such parameter": (head("GET", "/api/v1/whoami?actor=x"), 400),
    "nul in a parameter": (head("GET", "/api/v1/events?type=a%00b"), 400),
    "broken UTF-8 in a parameter": (head("GET", "/api/v1/events?type=%c3%28"), 400),
    "parameter twice": (head("GET", "/api/v1/events?type=a&type=b"), 400),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(api, name):
    text, status = REFUSED[name]
    answer = speak(api, text)
    assert statuses(answer)[:1] == [status], answer[:500]
    alive(api)


def test_bodies(api):
    """Whole, in pieces, too long, cut off."""
    post = "/api/v1/whoami"
    whole = head("POST", post, "Content-Length: 2") + b"{}"
    assert statuses(speak(api, whole)) == [405]
    chunked = head("POST", post, "Transfer-Encoding: chunked") + b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"
    assert statuses(speak(api, chunked)) == [405]
    long = head("POST", post, "Transfer-Encoding: chunked")
    long += b"".join(b"400\r\n" + b"x" * 1024 + b"\r\n" for _ in range(6)) + b"0\r\n\r\n"
    assert statuses(speak(api, long)) == [413]
    endless = head("POST", post, "Transfer-Encoding: chunked") + b"".join(
        b"400\r\n" + b"x" * 1024 + b"\r\n" for _ in range(64))
    assert statuses(speak(api, endless)) in ([], [413])
    for cut in (head("POST", post, "Content-Length: 100") + b"{", head("POST", post, "Transfer-Encoding: chunked")
                + b"5\r\nab", head("POST", post, "Transfer-Encoding: chunked") + b"zz\r\nab"):
        assert statuses(speak(api, cut, close=True)) in ([], [400], [408])
    alive(api)


def test_a_client_that_sends_all_before_it_reads(api):
    """It finds 413 there, not a broken connection."""
    for times in (1, 3):
        connection = http.client.HTTPConnection(api.host, api.port, timeout=30)
        connection.request("POST", "/api/v1/whoami", b"x" * (MAX_BODY * times + 1), {"X-API-Key": api.key or ""})
        assert connection.getresponse().status == 413
        connection.close()


def test_one_behind_the_other(api):
    """Requests that are sent without waiting are answered in their order."""
    text = head(keep=True) + head("GET", "/api/v1/nothing", keep=True) + head("GET", "/healthz", keep=True) + head()
    assert statuses(speak(api, text)) == [200, 404, 200, 200]


def trickle(sock, byte, limit):
    """Sends a byte every half second until the other side closes: how many seconds that took."""
    began = time.monotonic()
    sock.settimeout(0.5)
    while True:
        assert time.monotonic() - began < limit, f"still read after {limit} s"
        try:
            sock.sendall(byte)
            assert sock.recv(100) == b""
            break
        except TimeoutError:
            pass  # it is still listened to
        except OSError:
            break  # reset
    return time.monotonic() - began


def test_a_body_of_a_byte_now_and_then_has_an_end(jm, api):
    """Each byte comes in time, and all of them would take minutes."""
    with dial(api) as sock:
        sock.sendall(head("POST", "/api/v1/jobs", "Content-Type: application/json", "Content-Length: 300", keep=True))
        assert trickle(sock, b" ", 30) > 3  # who is a little slow is served
    alive(api)
    assert jm.db.value("SELECT count(*) FROM jobs") == 0


@pytest.mark.parametrize("keep", [False, True], ids=["the first", "a later one"])
def test_headers_of_a_byte_now_and_then_have_an_end(api, keep):
    """Each byte comes in time, and there is always one more; who sends its requests slowly one after the other stays."""
    with dial(api) as sock:
        began = time.monotonic()
        while keep and time.monotonic() - began < 6:
            sock.sendall(head(keep=True)[:-2])
            sock.settimeout(1)
            with pytest.raises(TimeoutError):
                sock.recv(100)
            sock.sendall(b"\r\n")
            assert statuses(sock.recv(65536)) == [200]
        sock.sendall(b"GET /api/v1/whoami HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        assert trickle(sock, b"a", 20) > 3
    alive(api)


def test_slow_ones_are_closed_and_hold_up_nobody(api):
    """Half a request, and nothing more: each is closed after the time-out, and others are served meanwhile."""
    slow = [dial(api) for _ in range(30)]
    for i, sock in enumerate(slow):
        sock.sendall(head("POST", "/api/v1/whoami", "Content-Length: 50")[:20 + i * 2])
    began = time.monotonic()
    alive(api)
    assert time.monotonic() - began < 2, "others waited"
    for sock in slow:
        read_all(sock)
        sock.close()
    alive(api)


def test_more_connections_than_there_may_be(api):
    """Beyond the limit they wait or are closed; once some have gone there is room again."""
    many = []
    for _ in range(60):
        try:
            many.append(dial(api))
        except OSError:
            break
    for sock in many:
        sock.close()
    wait_until(lambda: api.call("GET", "/api/v1/whoami").status == 200, 20, what="there is room again")


def test_names_of_requests(api):
    """An id that can stand in a log is kept; any other is replaced."""
    assert api.call("GET", "/api/v1/whoami", X_Request_Id="deploy-42.a_b").headers["X-Request-Id"] == "deploy-42.a_b"
    for odd in ("", "a b", "ü".encode().decode("latin-1"), "x" * 65, 'a"b', "a;b"):
        given = api.call("GET", "/api/v1/whoami", X_Request_Id=odd).headers["X-Request-Id"]
        assert given != odd and re.fullmatch(r"[0-9a-f-]{36}", given)
