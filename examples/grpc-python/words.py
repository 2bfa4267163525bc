def handler(context, event):
    """Counts the words of the event's body."""
    if not event.body:
        return context.Response(body="nothing to count", status_code=400)
    return str(len(event.body.split()))
