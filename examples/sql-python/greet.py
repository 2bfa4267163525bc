def handler(context, event):
    """Logs a greeting for the row, which the event's body is as JSON."""
    context.logger.info("Hello, %s" % event.body["name"])
