import json


def handler(context, event):
    """Takes an order such as {"item": "tea", "number": 2}."""
    order = json.loads(event.body)
    context.logger.info_with("ordered", item=order["item"], number=int(order["number"]))
