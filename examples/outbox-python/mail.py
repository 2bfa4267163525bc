def handler(context, event):
    """Logs the mail that an order asks for."""
    context.logger.info("Dear %s, your %d books are on their way" % (event.body["who"], event.body["books"]))
