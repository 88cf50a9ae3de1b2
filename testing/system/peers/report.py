"""What the Python devices share: how they say what happens, and what they were told to do.

A device prints one line of JSON for each thing that happens: connected, subscribed, message,
acknowledged (or sent, for QoS 0), refused.
"""

import json
import ssl
import sys

# Seconds that a session is kept whose device asks for it.
KEPT_S = 3600


def options():
    return json.loads(sys.argv[1])


def say(event, **rest):
    # One write: some libraries call back on threads of their own.
    sys.stdout.write(json.dumps({"event": event, **rest}) + "\n")
    sys.stdout.flush()


def say_message(topic, payload, qos, retain, properties=None):
    """Prints a message; what a property has no value for is left out."""
    found = {name: value for name, value in (properties or {}).items() if value not in (None, [], {})}
    text = bytes(payload).decode()
    say("message", topic=topic, payload=text, qos=int(qos), retain=bool(retain), properties=found)


def answer(payload):
    """Returns what a device in the role of `answer` replies to a request."""
    return "answer to " + bytes(payload).decode()


def tls_context(told):
    """Returns the TLS side of a device, none without certificates."""
    if "tls" not in told:
        return None
    files = told["tls"]
    context = ssl.create_default_context(cafile=files["ca"])
    context.load_cert_chain(files["certificate"], files["key"])
    if "alpn" in told:
        context.set_alpn_protocols([told["alpn"]])
    return context
