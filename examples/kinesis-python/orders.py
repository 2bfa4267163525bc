import json


def handler(context, event):
    """Logs each step of an order. Those of one order come in order: they have one key."""
    step = json.loads(event.body)
    context.logger.info("order %s is %s" % (bytes(event.key).decode(), step["state"]))
