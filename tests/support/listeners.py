"""How a server of a test stops listening while one of its threads waits for connections."""

from __future__ import annotations

import socket
from contextlib import suppress


def stop_listening(listener: socket.socket) -> None:
    """Close ``listener``, and end every ``accept`` on it.

    Closing alone leaves a thread in accept(2). The kernel may restart that call, with a descriptor
    number that by then belongs to another server: the thread takes the other one's connections.
    """
    with suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
    listener.close()
