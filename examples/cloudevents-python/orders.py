import json


def handler(context, event):
    """Adds up an order, whatever form its CloudEvent came in."""
    order = json.loads(event.body) if isinstance(event.body, bytes) else event.body
    if event.type != "shop.order":
        return context.Response(status_code=422, body=f"no use for {event.type}")
    total = sum(item["count"] * item["price"] for item in order["items"])
    return context.Response(
        headers={"ce-specversion": "1.0", "ce-id": event.id, "ce-source": "/cloudevents-python", "ce-type": "shop.total"},
        content_type="application/json",
        body=json.dumps({"total": total, "shop": event.headers["ce-source"]}),
    )
