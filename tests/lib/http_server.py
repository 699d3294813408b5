"""An HTTP/1.1 server for tests, on a thread of its own: what a path answers is up to the test, every
request is kept, thousands may be open at once."""
import asyncio
import json
import resource
import socket
import struct
import subprocess
import sys
import threading
import urllib.request


class Request:
    def __init__(self, method, path, headers, body):
        self.method = method
        self.path = path
        self.headers = headers  # names in lower case
        self.body = body

    def json(self):
        return json.loads(self.body)


class HttpServer:
    """routes: {path without query: function(request, exchange) or a coroutine function, which
    answers by exchange.answer(status, body, headers) or worse}. A path that is not there answers
    200 with what it was asked, as JSON."""

    def __init__(self, host="127.0.0.1", ssl=None):
        self.routes = {}
        self.requests = []
        self.connections = 0
        self.open = 0
        self.most_open = 0  # requests under way at once
        self._host = host
        self._ssl = ssl
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(20), "the HTTP server does not start"

    def url(self, path="/", host=None):
        return f"{'https' if self._ssl else 'http'}://{host or self._host}:{self.port}{path}"

    def seen(self, path):
        return [r for r in self.requests if r.path.split("?")[0] == path]

    def close(self):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)

    def _run(self):
        asyncio.run(self._serve())

    async def _serve(self):
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._connection, self._host, 0, ssl=self._ssl,
                                            backlog=4096)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        tasks = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connection(self, reader, writer):
        self.connections += 1
        try:
            while await self._request(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _request(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip("\r\n").split("\r\n")
        method, path, _ = first.split(" ")
        headers = {}
        for line in lines:
            name, value = line.split(":", 1)
            headers[name.lower()] = value.strip()
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        request = Request(method, path, headers, body)
        self.requests.append(request)
        exchange = Exchange(request, reader, writer)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            route = self.routes.get(path.split("?")[0], echo)
            done = route(request, exchange)
            if asyncio.iscoroutine(done):
                await done
            await writer.drain()
        finally:
            self.open -= 1
        return not exchange.closed


class Exchange:
    """How a route answers."""

    def __init__(self, request, reader, writer):
        self.request = request
        self.reader = reader
        self.writer = writer
        self.closed = False

    def head(self, status, headers):
        lines = [f"HTTP/1.1 {status} X", *(f"{k}: {v}" for k, v in headers.items())]
        self.writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())

    def answer(self, status=200, body=b"", headers=None):
        if not isinstance(body, (bytes, str)):
            body = json.dumps(body)
            headers = {"Content-Type": "application/json", **(headers or {})}
        body = body.encode() if isinstance(body, str) else body
        self.head(status, {"Content-Length": len(body), **(headers or {})})
        if self.request.method != "HEAD":
            self.writer.write(body)

    def is_gone(self):
        """Whether the client has closed the connection."""
        return self.reader.at_eof() or self.writer.transport.is_closing()

    def reset(self):
        """Ends the connection with a RST."""
        self.closed = True
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def end(self):
        self.closed = True


def echo(request, exchange):
    exchange.answer(200, {"method": request.method, "path": request.path,
                          "headers": request.headers, "body": request.body.decode("latin-1")})


def hold(count):
    """The server of many_at_once, in a process of its own: it has thousands of descriptors."""
    server = HttpServer()

    async def wait(request, exchange):
        while len(server.requests) < count:
            await asyncio.sleep(0.05)
        exchange.answer(200, "{}", {"Content-Type": "application/json"})
    server.routes["/wait"] = wait
    server.routes["/stats"] = lambda r, x: x.answer(200, {
        "requests": len(server.seen("/wait")), "most_open": server.most_open,
        "connections": server.connections})
    print(server.port, flush=True)
    sys.stdin.read()
    server.close()


def many_at_once(jm, count):
    """count requests that are all open at the same time, on a server that answers none before it has
    them all; afterwards as many again over the same connections."""
    server = subprocess.Popen([sys.executable, __file__, str(count)], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)
    try:
        url = f"http://127.0.0.1:{int(server.stdout.readline())}"
        jm.job_type("wait", {"name": "run", "http": {"url": url + "/wait", "timeout_s": 300}}, max_attempts=1)
        jm.start_worker(http_allow_private="true", concurrency_async=count)
        jm.send(*[{"type": "wait"}] * count)
        jm.wait_ended(count, 240)
        jm.send(*[{"type": "wait"}] * count)
        jm.wait_ended(2 * count, 240)
        assert jm.db.statuses() == {"completed": 2 * count}
        with urllib.request.urlopen(url + "/stats", timeout=30) as answer:
            stats = json.load(answer)
        assert stats["requests"] == 2 * count
        assert stats["most_open"] >= count * 0.99
        assert stats["connections"] <= count * 1.1 + 1, stats
    finally:
        server.stdin.close()
        server.wait(30)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    hold(int(sys.argv[1]))
