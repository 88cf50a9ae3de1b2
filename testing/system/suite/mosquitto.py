#!/usr/bin/env python3
"""Stands where mosquitto's broker tests start mosquitto, and starts a hub instead.

Understands `-p PORT` and `-c FILE`, makes a project of a hub that is only a broker, and becomes
`tomte run` in it. TOMTE_BIN names the binary, TMPDIR a folder that the caller removes. A setting that
a hub does not have is an error that names it: nothing is left out in silence.
"""

import os
import sys
import tempfile

# What these settings say holds for every hub, or changes nothing that a client sees.
IMPLIED = {
    ("allow_anonymous", "true"),
    ("allow_zero_length_clientid", "true"),
    ("max_packet_size", "0"),
    ("per_listener_settings", "true"),
    ("per_listener_settings", "false"),
}
# mosquitto's setting, the hub's limit, how its value is written there.
LIMITS = {
    "max_connections": ("max_connections", "{}"),
    "max_inflight_bytes": ("session_bytes", '"{}B"'),
    "max_inflight_messages": ("receive_maximum", "{}"),
    "maximum_qos": ("maximum_qos", "{}"),
    "max_keepalive": ("keep_alive_max", '"{}s"'),
    "max_packet_size": ("max_packet", '"{}B"'),
    "max_queued_bytes": ("session_bytes", '"{}B"'),
    "max_queued_messages": ("session_messages", "{}"),
}
# Settings that are a limit of a hub for one value only.
SWITCHES = {("retain_available", "false"): ("retained_messages", "0")}
# The settings of a mosquitto that nobody configured, which its tests take for granted. The largest
# packet that MQTT can describe is no limit to tell a client of.
DEFAULTS = {
    "max_packet": '"268435460B"',
    "receive_maximum": "20",
    "topic_alias_maximum": "10",
    "session_expiry_max": '"4294967295s"',
}

MANIFEST = """\
[hub]
name = "suite"

[listeners]
mqtts = false
mqtt = {{ bind = "127.0.0.1:{port}", anonymous = true }}

[limits]
{limits}

[devices.broker]

[[routes]]
from = "anonymous"
topic = "#"
to = "subscribers"

# As in mosquitto, clients may read what the broker says of itself, and bridges say that they are there.
[[routes]]
from = "device:broker"
topic = "$SYS/#"
to = "subscribers"

[[routes]]
from = "anonymous"
topic = "$SYS/broker/connection/+/state"
to = "subscribers"
"""


def settings(arguments):
    """Returns what the command line and its file say, as pairs of setting and value."""
    found = []
    words = iter(arguments)
    for word in words:
        if word == "-p":
            found += [("port", next(words)), ("allow_anonymous", "true")]
        elif word == "-c":
            with open(next(words), encoding="utf-8") as file:
                found += [tuple(line.split(None, 1)) for line in map(str.strip, file) if line]
        elif word != "-v":
            sys.exit(f"no such option in a hub: {word}")
    return found


def manifest(found):
    """Returns the manifest of a hub with these settings."""
    ports, limits = [], dict(DEFAULTS)
    for name, value in found:
        if name in ("port", "listener"):
            ports.append(value)
        elif name in LIMITS:
            limit, form = LIMITS[name]
            limits[limit] = form.format(value)
        elif (name, value) in SWITCHES:
            limit, written = SWITCHES[name, value]
            limits[limit] = written
        elif (name, value) not in IMPLIED:
            sys.exit(f"no such setting in a hub: {name} {value}")
    if ("allow_anonymous", "true") not in found:
        sys.exit("no such setting in a hub: allow_anonymous false (the default of a file)")
    if len(ports) != 1:
        sys.exit(f"a hub has one plain listener, not {len(ports)}")
    lines = "\n".join(f"{limit} = {value}" for limit, value in limits.items())
    return MANIFEST.format(port=ports[0], limits=lines)


def main():
    text = manifest(settings(sys.argv[1:]))
    project = tempfile.mkdtemp(prefix="hub-")
    with open(os.path.join(project, "tomte.toml"), "w", encoding="utf-8") as file:
        file.write(text)
    os.chdir(project)
    os.environ.pop("TOMTE_STATE", None)
    binary = os.environ["TOMTE_BIN"]
    # Only errors: the tests do not read what is written until the hub has ended.
    os.execv(binary, [binary, "run", "--with-parent", "--log", "error"])


main()
