"""Links as a test's own: each forwards its bytes, until it is cut."""

import asyncio
from contextlib import suppress
from fnmatch import fnmatchcase


class Forwarding:
    """One forwarded port a link; ``cut`` ends what goes by the links of a pattern, and lets nothing new through."""

    def __init__(self):
        self.used = set()
        self._ports = {}
        self._servers = []
        self._open = {}
        self._cut = ()

    async def port(self, user, target, port):
        link = f"{user}>{target}"
        if (link, port) not in self._ports:

            async def forward(reader, writer):
                if self.is_cut(link):
                    writer.close()
                    return
                self.used.add(link)
                with suppress(OSError):
                    there, to_there = await asyncio.open_connection("127.0.0.1", port)
                    both = asyncio.gather(_pump(reader, to_there), _pump(there, writer))
                    self._open.setdefault(link, set()).update((writer, to_there))
                    await both
                writer.close()

            server = await asyncio.start_server(forward, "127.0.0.1", 0)
            self._servers.append(server)
            self._ports[link, port] = server.sockets[0].getsockname()[1]
        return self._ports[link, port]

    def is_cut(self, link):
        return any(fnmatchcase(link, pattern) for pattern in self._cut)

    def cut(self, *patterns):
        self._cut = patterns
        for link in filter(self.is_cut, self._open):
            for writer in self._open[link]:
                writer.transport.abort()
            self._open[link].clear()

    def heal(self):
        self._cut = ()

    def close(self):
        self.cut("*")
        for server in self._servers:
            server.close()


async def _pump(reader, writer):
    with suppress(OSError):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
    writer.close()
