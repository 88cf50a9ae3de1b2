"""Sets the fan: faster when it is hot, and at least at half speed when it is damp."""


def handler(event, context):
    topic = context.client_context.custom["subject"]
    if topic.endswith("/temperature"):
        speed = max(0, min(100, round((event["celsius"] - 28) * 20)))
    else:
        speed = max(50, min(100, round((event["percent"] - 80) * 5)))
    if speed == 100:
        print(f"{topic}: fan at full speed")
    return {"fan": "on" if speed else "off", "speed": speed, "reading": event.get("reading")}
