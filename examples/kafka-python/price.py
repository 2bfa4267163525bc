import json


def handler(context, event):
    """Says what an order costs. An order without a price is given up."""
    order = json.loads(event.body)
    total = sum(item["count"] * item["price"] for item in order["items"])
    return json.dumps({"order": order["id"], "total": total})
