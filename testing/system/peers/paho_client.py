"""A device that uses paho-mqtt. Its one argument is JSON; see `client.rs`, which starts it."""

import os

import paho.mqtt.client as mqtt

import paho_properties
from report import answer, options, say, say_message, tls_context


def payloads(told):
    """What to publish: the given texts, or numbers, each filled up to a length."""
    if "count" in told:
        return [str(number).ljust(told.get("bytes", 0), " ") for number in range(told["count"])]
    return told["payloads"]


def main(told):
    version = {4: mqtt.MQTTv311, 5: mqtt.MQTTv5}[told["version"]]
    is_5 = version == mqtt.MQTTv5
    keep = not told.get("clean", True)
    arguments = {} if is_5 else {"clean_session": not keep}
    if told["carrier"] == "websocket":
        arguments["transport"] = "websockets"
    client = mqtt.Client(
        mqtt.CallbackAPIVersion.VERSION2, client_id=told["client"], protocol=version, **arguments
    )
    if "tls" in told:
        client.tls_set_context(tls_context(told))
    if "user" in told:
        client.username_pw_set(told["user"], told["password"])
    if will := told.get("will"):
        properties = paho_properties.of_will(will) if is_5 else None
        client.will_set(
            will["topic"], will["payload"], will["qos"], will.get("retain", False), properties
        )

    def on_connect(client, userdata, flags, reason, properties):
        if reason.is_failure:
            say("refused", reason=str(reason), code=reason.value)
            os._exit(1)
        say("connected", session=flags.session_present)
        if told["do"] in ("subscribe", "answer"):
            properties = paho_properties.of_subscribe(told) if is_5 else None
            client.subscribe(told["filter"], told["qos"], properties=properties)
        elif told["do"] == "publish":
            properties = paho_properties.of_publish(told) if is_5 else None
            for number, payload in enumerate(payloads(told)):
                retain = told.get("retain", False)
                info = client.publish(told["topic"], payload, told["qos"], retain, properties)
                waiting[info.mid] = number
                if told["qos"] == 0:
                    say("sent", number=number)

    def on_subscribe(client, userdata, mid, reasons, properties):
        say("subscribed", codes=[reason.value for reason in reasons])

    def on_message(client, userdata, message):
        found = paho_properties.found(getattr(message, "properties", None))
        if told["do"] == "answer":
            reply = {"properties": {"correlation": found["correlation"]}}
            properties = paho_properties.of_publish(reply)
            client.publish(
                found["response_topic"], answer(message.payload), 1, properties=properties
            )
        else:
            say_message(message.topic, message.payload, message.qos, message.retain, found)

    def on_publish(client, userdata, mid, reason, properties):
        if mid in waiting and told["qos"] > 0:
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
    start = {"clean_start": not keep} if is_5 else {}
    properties = paho_properties.of_connect(told) if is_5 else None
    client.connect(told["host"], told["port"], properties=properties, **start)
    client.loop_forever(retry_first_connection=False)


main(options())
