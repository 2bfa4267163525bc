import json


def handler(context, event):
    """Logs what was ordered; an order of nothing fails, and ends in the queue of failures."""
    order = json.loads(event.body)
    if order["count"] < 1:
        raise ValueError("an order of nothing")
    context.logger.info("%d of %s for %s" % (order["count"], order["item"], event.headers.get("customer", "nobody")))
