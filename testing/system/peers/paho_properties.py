"""The properties of MQTT 5 as paho-mqtt has them, for paho-mqtt itself and for aiomqtt."""

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from report import KEPT_S


def of_connect(told):
    properties = Properties(PacketTypes.CONNECT)
    if not told.get("clean", True):
        properties.SessionExpiryInterval = KEPT_S
    return properties


def of_will(will):
    properties = of_publish(will)
    properties.packetType = PacketTypes.WILLMESSAGE
    if "delay_s" in will:
        properties.WillDelayInterval = will["delay_s"]
    return properties


def of_subscribe(told):
    properties = Properties(PacketTypes.SUBSCRIBE)
    if "subscription_id" in told:
        properties.SubscriptionIdentifier = told["subscription_id"]
    return properties


def of_publish(told):
    properties, wanted = Properties(PacketTypes.PUBLISH), told.get("properties", {})
    if "content_type" in wanted:
        properties.ContentType = wanted["content_type"]
    if "response_topic" in wanted:
        properties.ResponseTopic = wanted["response_topic"]
    if "correlation" in wanted:
        properties.CorrelationData = wanted["correlation"].encode()
    if "expiry_s" in wanted:
        properties.MessageExpiryInterval = wanted["expiry_s"]
    if "user" in wanted:
        properties.UserProperty = [tuple(pair) for pair in wanted["user"]]
    return properties


def found(properties):
    """Returns what a message brought."""
    if properties is None:
        return {}
    correlation = getattr(properties, "CorrelationData", None)
    return {
        "content_type": getattr(properties, "ContentType", None),
        "response_topic": getattr(properties, "ResponseTopic", None),
        "correlation": correlation and correlation.decode(),
        "expiry_s": getattr(properties, "MessageExpiryInterval", None),
        "user": [list(pair) for pair in getattr(properties, "UserProperty", [])],
        "subscription_ids": getattr(properties, "SubscriptionIdentifier", None),
    }
