"""A device that uses aiomqtt. Its one argument is JSON; see `client.rs`, which starts it."""

import asyncio

import aiomqtt

import paho_properties
from report import answer, options, say, say_message, tls_context


def client(told):
    is_5 = told["version"] == 5
    keep = not told.get("clean", True)
    will = told.get("will")
    return aiomqtt.Client(
        told["host"],
        told["port"],
        identifier=told["client"],
        username=told.get("user"),
        password=told.get("password"),
        protocol=aiomqtt.ProtocolVersion.V5 if is_5 else aiomqtt.ProtocolVersion.V311,
        tls_context=tls_context(told),
        properties=paho_properties.of_connect(told) if is_5 else None,
        will=will
        and aiomqtt.Will(
            will["topic"],
            will["payload"],
            will["qos"],
            will.get("retain", False),
            paho_properties.of_will(will) if is_5 else None,
        ),
        **({"clean_start": not keep} if is_5 else {"clean_session": not keep}),
    )


async def publish(device, told):
    properties = paho_properties.of_publish(told) if told["version"] == 5 else None
    for number, payload in enumerate(told["payloads"]):
        await device.publish(
            told["topic"], payload, told["qos"], told.get("retain", False), properties
        )
        say("sent" if told["qos"] == 0 else "acknowledged", number=number, code=0)


async def receive(device, told):
    async for message in device.messages:
        found = paho_properties.found(message.properties)
        if told["do"] == "answer":
            properties = {"properties": {"correlation": found["correlation"]}}
            await device.publish(
                found["response_topic"],
                answer(message.payload),
                1,
                properties=paho_properties.of_publish(properties),
            )
        else:
            say_message(str(message.topic), message.payload, message.qos, message.retain, found)


async def main(told):
    try:
        async with client(told) as device:
            say("connected")
            if told["do"] in ("subscribe", "answer"):
                properties = paho_properties.of_subscribe(told) if told["version"] == 5 else None
                codes = await device.subscribe(told["filter"], told["qos"], properties=properties)
                say("subscribed", codes=[int(getattr(code, "value", code)) for code in codes])
            elif told["do"] == "publish":
                await publish(device, told)
            await receive(device, told)
    except aiomqtt.MqttError as error:
        say("refused", reason=str(error))


asyncio.run(main(options()))
