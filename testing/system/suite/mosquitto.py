#!/usr/bin/env python3
"""Stands where mosquitto's broker tests start mosquitto, and starts a hub instead.

Understands `-p PORT` and `-c FILE`, makes a project of a hub that is only a broker, and becomes
`tomte run` in it. Users of a password file become devices with their passwords; the certificates of
TLS are those of the hub in IDENTITY, which the caller has made. TOMTE_BIN names the binary, TMPDIR a
folder that the caller removes. A setting that a hub does not have is an error that names it: nothing is
left out in silence.
"""

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile

# What these settings say holds for every hub, or changes nothing that a client sees.
IMPLIED = {
    ("allow_zero_length_clientid", "true"),
    ("max_packet_size", "0"),
    ("per_listener_settings", "true"),
    ("per_listener_settings", "false"),
    # The hub's own files, in place of those that are named here.
    ("cafile", "../ssl/all-ca.crt"),
    ("certfile", "../ssl/server.crt"),
    ("keyfile", "../ssl/server.key"),
    # What `tomte device remove` has taken away is refused with or without this.
    ("crlfile", "../ssl/crl.pem"),
    # A certificate is the name of a device, whatever its client says.
    ("use_identity_as_username", "true"),
    ("use_subject_as_username", "true"),
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

# The passwords that the suite's hashed users have: the scripts send them, or name them in comments. A
# hash cannot be turned back, so that these are tried.
PASSWORDS = ("password",)
# Where the caller has put the identities of a hub, beside the certificates made of them.
IDENTITY = "../ssl/hub/.tomte/identity"

MANIFEST = """\
[hub]
name = "suite"

[listeners]
{listeners}

[limits]
{limits}

[devices]
{devices}

[[routes]]
from = {clients}
topic = "#"
to = "subscribers"

# As in mosquitto, clients may read what the broker says of itself, and bridges say that they are there.
[[routes]]
from = "device:broker"
topic = "$SYS/#"
to = "subscribers"

[[routes]]
from = {clients}
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


def listeners(found):
    """Returns the settings of each listener as a dictionary. A port opens one; what stands before the
    first is for all."""
    common, opened = {}, []
    for name, value in found:
        if name in ("port", "listener"):
            opened.append(common | {"port": value})
        else:
            (opened[-1] if opened else common)[name] = value
    return opened


def listener_lines(found):
    """Returns the hub's listeners: one without TLS and one with it, at most."""
    allowed = allows_anonymous(found)
    lines = {}
    for one in listeners(found):
        kind = "mqtts" if "certfile" in one else "mqtt"
        if kind in lines:
            sys.exit(f"a hub has one listener of each kind, not two of {kind}")
        # Who has no certificate and is not anonymous has to show a password, also where nobody has one.
        free = not must_show_certificate(one)
        anonymous = str(free and allowed).lower()
        password = str(free and ("password_file" in one or not allowed)).lower()
        bind = f"127.0.0.1:{one['port']}"
        lines[kind] = f'{{ bind = "{bind}", anonymous = {anonymous}, password = {password} }}'
    lines.setdefault("mqtts", "false")
    return "\n".join(f"{kind} = {line}" for kind, line in lines.items())


def allows_anonymous(found):
    """Returns whether clients without a name are let in; those of a file are not unless it says so."""
    said = {value for name, value in found if name == "allow_anonymous"}
    if len(said) > 1:
        sys.exit("the listeners of this test differ in allow_anonymous")
    return said == {"true"}


def must_show_certificate(listener):
    return listener.get("require_certificate") == "true"


def users(found):
    """Returns the users of the password files with their passwords.

    Where a certificate must be shown, the hub does not look at passwords, nor at these files.
    """
    files = {one["password_file"] for one in listeners(found)
             if "password_file" in one and not must_show_certificate(one)}
    known = {}
    for path in files:
        with open(path, encoding="utf-8") as file:
            for line in filter(None, map(str.strip, file)):
                name, hashed = line.split(":", 1)
                known[name] = password_of(name, hashed)
    return known


def password_of(name, hashed):
    """Returns the one of PASSWORDS whose hash this is: `$6$SALT$SHA512`, both in base64."""
    _, kind, salt, digest = hashed.split("$")
    for password in PASSWORDS:
        salted = password.encode() + base64.b64decode(salt)
        if kind == "6" and hashlib.sha512(salted).digest() == base64.b64decode(digest):
            return password
    sys.exit(f"none of the known passwords is the one of user {name}")


def limit_lines(found):
    """Returns the hub's limits. A setting that is nothing in a hub ends the test."""
    limits = dict(DEFAULTS)
    elsewhere = ("port", "listener", "allow_anonymous", "password_file", "require_certificate")
    for name, value in found:
        if name in LIMITS:
            limit, form = LIMITS[name]
            limits[limit] = form.format(value)
        elif (name, value) in SWITCHES:
            limit, written = SWITCHES[name, value]
            limits[limit] = written
        elif name not in elsewhere and (name, value) not in IMPLIED:
            sys.exit(f"no such setting in a hub: {name} {value}")
    return "\n".join(f"{limit} = {value}" for limit, value in limits.items())


def manifest(found, devices):
    """Returns the manifest of a hub with these settings and devices."""
    clients = ", ".join(f'"{name}"' for name in ["anonymous"] + [f"device:{one}" for one in devices])
    return MANIFEST.format(
        limits=limit_lines(found),
        listeners=listener_lines(found),
        devices="\n".join(f"{one} = {{}}" for one in ["broker", *devices]),
        clients=f"[{clients}]",
    )


def add_users(binary, known):
    """Gives each user a password, in the project that is the current folder."""
    for name, password in known.items():
        command = [binary, "device", "add", name, "--password", "--stdin"]
        subprocess.run(command, input=password, text=True, stdout=subprocess.DEVNULL, check=True)


def main():
    found = settings(sys.argv[1:])
    known = users(found)
    has_tls = any("certfile" in one for one in listeners(found))
    devices = list(known) + (["client"] if has_tls else [])
    text = manifest(found, devices)
    project = tempfile.mkdtemp(prefix="hub-")
    with open(os.path.join(project, "tomte.toml"), "w", encoding="utf-8") as file:
        file.write(text)
    if has_tls:
        shutil.copytree(IDENTITY, os.path.join(project, ".tomte/identity"))
    os.chdir(project)
    os.environ.pop("TOMTE_STATE", None)
    binary = os.environ["TOMTE_BIN"]
    add_users(binary, known)
    # Only errors: the tests do not read what is written until the hub has ended.
    os.execv(binary, [binary, "run", "--with-parent", "--log", "error"])


main()
