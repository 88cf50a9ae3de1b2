"""A device that uses the AWS IoT Device SDK v2. Its one argument is JSON; see `client.rs`, which
starts it.

MQTT 5 through `awsiot.mqtt5_client_builder`, MQTT 3.1.1 through `awsiot.mqtt_connection_builder`. The
SDK has no QoS 2.
"""

import os
import threading

from awscrt import io, mqtt, mqtt5
from awsiot import mqtt5_client_builder, mqtt_connection_builder

from report import KEPT_S, answer, options, say, say_message

TIMEOUT_S = 20


def publish_packet(told, payload):
    wanted = told.get("properties", {})
    return mqtt5.PublishPacket(
        topic=told["topic"],
        payload=payload,
        qos=mqtt5.QoS(told["qos"]),
        retain=told.get("retain", False),
        content_type=wanted.get("content_type"),
        response_topic=wanted.get("response_topic"),
        correlation_data_bytes=wanted.get("correlation"),
        message_expiry_interval_sec=wanted.get("expiry_s"),
        user_properties=[mqtt5.UserProperty(*pair) for pair in wanted.get("user", [])] or None,
    )


def found(packet):
    correlation = packet.correlation_data_bytes
    return {
        "content_type": packet.content_type,
        "response_topic": packet.response_topic,
        "correlation": bytes(correlation).decode() if correlation else None,
        "expiry_s": packet.message_expiry_interval_sec,
        "user": [[pair.name, pair.value] for pair in packet.user_properties or []],
        "subscription_ids": list(packet.subscription_identifiers or []),
    }


def files(told):
    tls = told["tls"]
    return {
        "endpoint": told["host"],
        "port": told["port"],
        "client_id": told["client"],
        "cert_filepath": tls["certificate"],
        "pri_key_filepath": tls["key"],
        "ca_filepath": tls["ca"],
    }


def tls_context(told):
    """As the builders make it, with the protocol that they offer on port 443 only."""
    tls = told["tls"]
    context = io.TlsContextOptions.create_client_with_mtls_from_path(tls["certificate"], tls["key"])
    context.override_default_trust_store_from_path(ca_filepath=tls["ca"])
    context.alpn_list = [told["alpn"]]
    return io.ClientTlsContext(context)


class Version5:
    """A client of MQTT 5."""

    def __init__(self, told):
        self.told = told
        keep = not told.get("clean", True)
        will = told.get("will")
        sessions = mqtt5.ClientSessionBehaviorType
        options = {
            "on_publish_received": self.on_publish,
            "on_lifecycle_connection_success": self.on_success,
            "on_lifecycle_connection_failure": self.on_failure,
            "session_behavior": sessions.REJOIN_ALWAYS if keep else sessions.CLEAN,
            "session_expiry_interval_sec": KEPT_S if keep else None,
            "will": will and publish_packet(will, will["payload"]),
            "will_delay_interval_sec": will and will.get("delay_s"),
        }
        self.client = self.make(options)
        self.client.start()

    def make(self, options):
        if "alpn" not in self.told:
            return mqtt5_client_builder.mtls_from_path(**files(self.told), **options)
        packet = mqtt5.ConnectPacket(client_id=self.told["client"])
        return mqtt5.Client(
            mqtt5.ClientOptions(
                host_name=self.told["host"],
                port=self.told["port"],
                tls_ctx=tls_context(self.told),
                connect_options=packet,
                on_publish_callback_fn=self.on_publish,
                on_lifecycle_event_connection_success_fn=self.on_success,
                on_lifecycle_event_connection_failure_fn=self.on_failure,
            )
        )

    def on_success(self, data):
        say("connected", session=data.connack_packet.session_present)
        threading.Thread(target=self.work, daemon=True).start()

    def on_failure(self, data):
        say("refused", reason=str(data.exception), connack=str(data.connack_packet))
        os._exit(1)

    def work(self):
        told = self.told
        if told["do"] in ("subscribe", "answer"):
            subscription = mqtt5.Subscription(told["filter"], mqtt5.QoS(told["qos"]))
            packet = mqtt5.SubscribePacket([subscription], told.get("subscription_id"))
            suback = self.client.subscribe(packet).result(TIMEOUT_S)
            say("subscribed", codes=[int(code) for code in suback.reason_codes])
        elif told["do"] == "publish":
            for number, payload in enumerate(told["payloads"]):
                done = self.client.publish(publish_packet(told, payload)).result(TIMEOUT_S)
                code = int(done.puback.reason_code or 0)
                say("sent" if told["qos"] == 0 else "acknowledged", number=number, code=code)

    def on_publish(self, data):
        packet = data.publish_packet
        if self.told["do"] == "answer":
            reply = {"topic": packet.response_topic, "qos": 1}
            reply["properties"] = {"correlation": packet.correlation_data_bytes}
            self.client.publish(publish_packet(reply, answer(packet.payload)))
        else:
            say_message(packet.topic, packet.payload, packet.qos, packet.retain, found(packet))


def version_311(told):
    """A client of MQTT 3.1.1."""
    will = told.get("will")
    connection = mqtt_connection_builder.mtls_from_path(
        **files(told),
        clean_session=told.get("clean", True),
        will=will
        and mqtt.Will(
            will["topic"], mqtt.QoS(will["qos"]), will["payload"].encode(), will.get("retain", False)
        ),
    )
    connection.on_message(
        lambda topic, payload, dup, qos, retain, **rest: say_message(topic, payload, qos, retain)
    )
    try:
        connected = connection.connect().result(TIMEOUT_S)
    except Exception as error:
        say("refused", reason=str(error))
        os._exit(1)
    say("connected", session=connected["session_present"])
    if told["do"] == "subscribe":
        done, _ = connection.subscribe(told["filter"], mqtt.QoS(told["qos"]))
        say("subscribed", codes=[int(done.result(TIMEOUT_S)["qos"])])
    elif told["do"] == "publish":
        for number, payload in enumerate(told["payloads"]):
            retain = told.get("retain", False)
            done, _ = connection.publish(told["topic"], payload, mqtt.QoS(told["qos"]), retain)
            done.result(TIMEOUT_S)
            say("sent" if told["qos"] == 0 else "acknowledged", number=number, code=0)
    return connection


told = options()
device = Version5(told) if told["version"] == 5 else version_311(told)
threading.Event().wait()
