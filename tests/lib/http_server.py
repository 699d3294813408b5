"""An HTTP/1.1 server for tests, on a thread of its own: what a path answers is up to the test, every
request is kept, thousands may be open at once."""
import asyncio
import json
import struct
import socket
import threading


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
