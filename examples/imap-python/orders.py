import base64
import json


def handler(context, event):
    """Takes an order from a mail; one without a subject is none."""
    mail = event.body if isinstance(event.body, dict) else json.loads(event.body)
    if not mail.get("subject"):
        raise ValueError("no subject")
    sizes = {a.get("name", "unnamed"): len(base64.b64decode(a["data"])) for a in mail.get("attachments", [])}
    context.logger.info(f"{mail['from'][0]['address']} orders {mail['subject']}: {mail.get('text', '').strip()} {sizes}")
