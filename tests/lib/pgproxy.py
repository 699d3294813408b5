"""A TCP proxy in front of PostgreSQL that understands enough of its protocol to cut a connection at
one exact moment: after the server has committed and before the client hears of it."""
import asyncio
import struct
import threading
import urllib.parse

SSL_REQUEST, GSS_REQUEST, CANCEL_REQUEST = 80877103, 80877104, 80877102


class _Link:
    """One connection of a client, and the proxy's own to the server."""

    def __init__(self, proxy, reader, writer):
        self.proxy = proxy
        self.client = (reader, writer)
        self.server = None
        self.application = ""
        self.statements = set()  # bound since the last Sync
        self.cutting = False
        self.tasks = []

    def close(self):
        for _, writer in filter(None, (self.client, self.server)):
            if writer.transport:
                writer.transport.abort()
        self.proxy.links.discard(self)

    async def _start(self):
        """The start of a session: TLS is refused, the name of the application noted."""
        reader, writer = self.client
        while True:
            head = await reader.readexactly(8)
            size, code = struct.unpack(">II", head)
            if code in (SSL_REQUEST, GSS_REQUEST):
                writer.write(b"N")
                continue
            body = await reader.readexactly(size - 8)
            words = body.split(b"\0")
            if code != CANCEL_REQUEST:
                pairs = dict(zip(words[::2], words[1::2]))
                self.application = pairs.get(b"application_name", b"").decode()
            return head + body

    async def run(self):
        try:
            first = await self._start()
            await self.proxy.passing.wait()
            self.server = await asyncio.open_connection(*self.proxy.target, limit=1 << 20)
            self.server[1].write(first)
            self.tasks = [asyncio.ensure_future(self._forward()), asyncio.ensure_future(self._back())]
            await asyncio.wait(self.tasks, return_when=asyncio.FIRST_COMPLETED)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            for task in self.tasks:
                task.cancel()
            await asyncio.gather(*self.tasks, return_exceptions=True)
            self.close()

    async def _messages(self, reader):
        """Yields whole messages of either side, as they come."""
        while True:
            head = await reader.readexactly(5)
            body = await reader.readexactly(struct.unpack(">I", head[1:])[0] - 4)
            await self.proxy.passing.wait()
            yield head[:1], head + body

    async def _forward(self):
        async for kind, message in self._messages(self.client[0]):
            if kind == b"B":
                self.statements.add(message[5:].split(b"\0", 2)[1].decode())
            if kind == b"S":
                when = self.proxy.decide(self)
                self.statements = set()
                if when == "before":
                    return
                self.cutting = when == "after"
            self.server[1].write(message)
            await self.server[1].drain()

    async def _back(self):
        async for kind, message in self._messages(self.server[0]):
            if not self.cutting:
                self.client[1].write(message)
                await self.client[1].drain()
            elif kind == b"Z":  # ready for the next query: what was before Sync has been committed
                return


class PgProxy:
    """Made with the URL of a server; url(…) is that of a database through the proxy. A context."""

    def __init__(self, server_url):
        parts = urllib.parse.urlsplit(server_url)
        self.target = (parts.hostname, parts.port or 5432)
        self.links = set()
        self.cuts = 0
        self._wanted = None
        self._lock = threading.Lock()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._thread.start()
        if not self._started.wait(10):
            raise RuntimeError("the proxy does not start")

    def _main(self):
        self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self):
        self.passing = asyncio.Event()
        self.passing.set()
        self._end = asyncio.Event()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=1 << 20)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._end.wait()
        server.close()
        for link in list(self.links):
            link.close()
        others = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _accept(self, reader, writer):
        link = _Link(self, reader, writer)
        self.links.add(link)
        if self._refusing:
            link.close()
        else:
            await link.run()

    _refusing = False

    def _call(self, f):
        """Runs f in the proxy's thread and waits for its end."""
        done = threading.Event()

        def run():
            f()
            done.set()
        self._loop.call_soon_threadsafe(run)
        if not done.wait(10):
            raise RuntimeError("the proxy does not answer")

    def url(self, database_url):
        parts = urllib.parse.urlsplit(database_url)
        user = f"{parts.username}@" if parts.username else ""
        return urllib.parse.urlunsplit(parts._replace(netloc=f"{user}127.0.0.1:{self.port}"))

    def hang(self, on=True):
        """Nothing passes any more, in either direction, and no connection is closed."""
        self._call(self.passing.clear if on else self.passing.set)

    def away(self, on=True):
        """Every connection is closed, and further ones as they come."""
        def run():
            self._refusing = on
            for link in list(self.links) if on else ():
                link.close()
        self._call(run)

    def cut(self, *statements, share=1.0, rng=None, when=("after",)):
        """From now on transactions that bind one of these statements lose their connection: that
        share of them (rng: a random.Random), at one of the moments: "after" the commit, before its
        answer, or "before" the server got the end of the transaction. No statements: no more cuts."""
        with self._lock:
            self._wanted = (set(statements), share, rng, when) if statements else None

    def decide(self, link):
        with self._lock:
            if not self._wanted or not self._wanted[0] & link.statements:
                return None
            _, share, rng, when = self._wanted
            if share < 1 and rng.random() >= share:
                return None
            self.cuts += 1
            return rng.choice(when) if rng else when[0]

    def close(self):
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join(10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
