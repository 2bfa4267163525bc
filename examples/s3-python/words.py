def handler(context, event):
    """Logs how many words the object has that the event's body is."""
    context.logger.info("%s: %d words" % (event.headers["object-key"], len(event.body.split())))
