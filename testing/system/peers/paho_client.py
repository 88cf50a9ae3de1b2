"""A device that uses paho-mqtt. Its one argument is JSON; see `client.rs`, which starts it.

Prints one line of JSON for each thing that happens: connected, subscribed, message, acknowledged.
"""

import json
import os
import ssl
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties


def say(event, **rest):
    print(json.dumps({"event": event, **rest}), flush=True)


def payloads(options):
    """What to publish: the given texts, or numbers, each filled up to a length."""
    if "count" in options:
        return [str(number).ljust(options.get("bytes", 0), " ") for number in range(options["count"])]
    return options["payloads"]


def main(options):
    version = {4: mqtt.MQTTv311, 5: mqtt.MQTTv5}[options["version"]]
    keep = not options.get("clean", True)
    arguments = {} if version == mqtt.MQTTv5 else {"clean_session": not keep}
    if options["carrier"] == "websocket":
        arguments["transport"] = "websockets"
    client = mqtt.Client(
        mqtt.CallbackAPIVersion.VERSION2, client_id=options["client"], protocol=version, **arguments
    )
    if tls := options.get("tls"):
        client.tls_set(
            ca_certs=tls["ca"],
            certfile=tls["certificate"],
            keyfile=tls["key"],
            cert_reqs=ssl.CERT_REQUIRED,
        )

    def on_connect(client, userdata, flags, reason, properties):
        if reason.is_failure:
            say("refused", reason=str(reason))
            os._exit(1)
        say("connected", session=flags.session_present)
        if options["do"] == "subscribe":
            client.subscribe(options["filter"], options["qos"])
        elif options["do"] == "publish":
            for number, payload in enumerate(payloads(options)):
                info = client.publish(
                    options["topic"], payload, options["qos"], options.get("retain", False)
                )
                waiting[info.mid] = number
                if options["qos"] == 0:
                    say("sent", number=number)

    def on_subscribe(client, userdata, mid, reasons, properties):
        say("subscribed", codes=[reason.value for reason in reasons])

    def on_message(client, userdata, message):
        say(
            "message",
            topic=message.topic,
            payload=message.payload.decode(),
            qos=message.qos,
            retain=message.retain,
        )

    def on_publish(client, userdata, mid, reason, properties):
        if mid in waiting and options["qos"] > 0:
            say("acknowledged", number=waiting.pop(mid), code=reason.value)

    def on_disconnect(client, userdata, flags, reason, properties):
        # What was acknowledged has been said; a second life would blur what this one was promised.
        say("disconnected", reason=str(reason))
        os._exit(0)

    waiting = {}
    client.on_connect = on_connect
    client.on_subscribe = on_subscribe
    client.on_message = on_message
    client.on_publish = on_publish
    client.on_disconnect = on_disconnect
    properties = None
    if version == mqtt.MQTTv5 and keep:
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 3600
    start = {"clean_start": not keep} if version == mqtt.MQTTv5 else {}
    client.connect(options["host"], options["port"], properties=properties, **start)
    client.loop_forever(retry_first_connection=False)


main(json.loads(sys.argv[1]))
