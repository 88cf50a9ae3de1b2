"""A device that uses gmqtt. Its one argument is JSON; see `client.rs`, which starts it.

gmqtt tells when all that was sent is acknowledged, not when one is: its acknowledgements come together.
"""

import asyncio

import gmqtt
from gmqtt.mqtt.constants import MQTTv50, MQTTv311

from report import KEPT_S, answer, options, say, say_message, tls_context


def properties_of(told):
    wanted = told.get("properties", {})
    found = {
        "content_type": wanted.get("content_type"),
        "response_topic": wanted.get("response_topic"),
        "correlation_data": wanted.get("correlation", "").encode(),
        "message_expiry_interval": wanted.get("expiry_s"),
        "user_property": [tuple(pair) for pair in wanted.get("user", [])],
        "will_delay_interval": told.get("delay_s"),
    }
    return {name: value for name, value in found.items() if value}


def found(properties):
    first = lambda name: (properties.get(name) or [None])[0]
    correlation = first("correlation_data")
    return {
        "content_type": first("content_type"),
        "response_topic": first("response_topic"),
        "correlation": correlation and bytes(correlation).decode(),
        "expiry_s": first("message_expiry_interval"),
        "user": [list(pair) for pair in properties.get("user_property", [])],
        "subscription_ids": properties.get("subscription_identifier"),
    }


def client(told):
    keep = not told.get("clean", True)
    will = told.get("will")
    message = will and gmqtt.Message(
        will["topic"], will["payload"], will["qos"], will.get("retain", False), **properties_of(will)
    )
    kept = {"session_expiry_interval": KEPT_S} if keep and told["version"] == 5 else {}
    device = gmqtt.Client(told["client"], clean_session=not keep, will_message=message, **kept)
    if "user" in told:
        device.set_auth_credentials(told["user"], told["password"])
    return device


async def main(told):
    device = client(told)
    subscribed = asyncio.Event()

    def on_connect(client, flags, code, properties):
        say("connected", session=bool(flags & 1))

    def on_subscribe(client, mid, codes, properties):
        say("subscribed", codes=list(codes))
        subscribed.set()

    async def on_message(client, topic, payload, qos, properties):
        got = found(properties)
        if told["do"] == "answer":
            properties = properties_of({"properties": {"correlation": got["correlation"]}})
            client.publish(got["response_topic"], answer(payload), 1, **properties)
        else:
            say_message(topic, payload, qos, properties["retain"], got)
        return 0

    device.on_connect = on_connect
    device.on_subscribe = on_subscribe
    device.on_message = on_message
    device.set_config({"reconnect_retries": 0})
    version = MQTTv50 if told["version"] == 5 else MQTTv311
    try:
        await device.connect(
            told["host"], told["port"], ssl=tls_context(told) or False, version=version
        )
    except gmqtt.mqtt.handler.MQTTConnectError as error:
        say("refused", reason=str(error))
        return
    if told["do"] in ("subscribe", "answer"):
        number = told.get("subscription_id")
        device.subscribe(
            gmqtt.Subscription(told["filter"], told["qos"], subscription_identifier=number)
        )
    elif told["do"] == "publish":
        for payload in told["payloads"]:
            device.publish(
                told["topic"], payload, told["qos"], told.get("retain", False), **properties_of(told)
            )
        await device._persistent_storage.wait_empty()
        for number, _ in enumerate(told["payloads"]):
            say("sent" if told["qos"] == 0 else "acknowledged", number=number, code=0)
    await asyncio.Event().wait()


asyncio.run(main(options()))
