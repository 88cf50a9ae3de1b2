"""Sets the fan for a temperature: the hotter, the faster."""


def handler(event, context):
    celsius = event["celsius"]
    speed = max(0, min(100, round((celsius - 28) * 20)))
    print(f"{celsius} degrees: fan at {speed} %")
    return {"fan": "on" if speed else "off", "speed": speed, "celsius": celsius}
