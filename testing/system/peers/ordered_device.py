"""A device that runs functions on order, with paho-mqtt. Its one argument is JSON.

It subscribes to run/+, runs the function that the topic names, and publishes what that returns on
done/NAME. Prints one line of JSON for each thing that happens: subscribed, ran.
"""

import json
import ssl
import sys

import paho.mqtt.client as mqtt


def say(event, **rest):
    print(json.dumps({"event": event, **rest}), flush=True)


def main(options):
    def flush(order):
        return {"device": options["client"], "flushed_for": order["seconds"]}

    functions = {"flush": flush}
    client = mqtt.Client(
        mqtt.CallbackAPIVersion.VERSION2, client_id=options["client"], protocol=mqtt.MQTTv5
    )
    tls = options["tls"]
    client.tls_set(
        ca_certs=tls["ca"],
        certfile=tls["certificate"],
        keyfile=tls["key"],
        cert_reqs=ssl.CERT_REQUIRED,
    )

    def on_connect(client, userdata, flags, reason, properties):
        client.subscribe("run/+", 1)

    def on_subscribe(client, userdata, mid, reasons, properties):
        say("subscribed", codes=[reason.value for reason in reasons])

    def on_message(client, userdata, message):
        name = message.topic.split("/")[1]
        result = functions[name](json.loads(message.payload))
        say("ran", function=name, result=result)
        client.publish(f"done/{name}", json.dumps(result), 1)

    client.on_connect = on_connect
    client.on_subscribe = on_subscribe
    client.on_message = on_message
    client.connect(options["host"], options["port"])
    client.loop_forever()


main(json.loads(sys.argv[1]))
