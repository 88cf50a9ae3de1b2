"""Stands where the tests of paho-mqtt expect a broker that they can start.

It starts nothing: it names the port of the hub that runs already, HUB_PORT.
"""

import os
from types import SimpleNamespace

ADDRESS = ("127.0.0.1", int(os.environ["HUB_PORT"]))


def run(config):
    """Is called to serve until the end; the hub does that."""


SERVER = SimpleNamespace(
    socket=SimpleNamespace(getsockname=lambda: ADDRESS),
    shutdown=lambda: None,
)
listeners = SimpleNamespace(TCPListeners=SimpleNamespace(server=SERVER))
