import json

sums = {}


def handler(context, event):
    """A record is a reading of the sensor that its key names. Who asks by HTTP gets the sums."""
    if event.trigger.kind == "http":
        return json.dumps(sums, sort_keys=True)
    reading = json.loads(event.body)
    sums[reading["sensor"]] = sums.get(reading["sensor"], 0) + reading["value"]
