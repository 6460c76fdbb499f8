"""What lies between a browser and the lab, and can be cut."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Wire:
    """Passes on what comes to a port of its own; `cut` ends connections, `mend` lets new ones in.

    Parameters
    ----------
    port : int
        Where the lab listens.
    """

    def __init__(self, port: int) -> None:
        self.port, self.whole = port, True
        self.ends: list[socket.socket] = []
        self.entry = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://localhost:{self.entry.getsockname()[1]}"

    def cut(self) -> None:
        """End what is connected, and let nobody in."""
        self.whole = False
        for end in self.ends:
            _end(end)
        self.ends.clear()

    def mend(self) -> None:
        self.whole = True

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near = self.entry.accept()[0]
                if not self.whole:
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", self.port))
                self.ends += near, far
                for pair in (near, far), (far, near):
                    threading.Thread(target=_pass_on, args=pair, daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with source, suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    _end(target)  # whose own thread closes it


def _end(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


@contextmanager
def wire(url: str) -> Iterator[Wire]:
    """One in front of a lab's address."""
    made = Wire(int(url.rpartition(":")[2]))
    try:
        yield made
    finally:
        made.cut()
        made.entry.close()
