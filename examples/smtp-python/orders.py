import base64
import json

orders = []


def handler(context, event):
    """Keeps the orders that come by mail; a request is answered with them."""
    if event.trigger.kind != "smtp":
        return orders
    mail = event.body if isinstance(event.body, dict) else json.loads(event.body)
    files = {a.get("name", "unnamed"): len(base64.b64decode(a["data"])) for a in mail.get("attachments", [])}
    orders.append({"from": mail["envelope"]["from"], "subject": mail.get("subject"), "text": mail.get("text", "").strip(), "files": files})
