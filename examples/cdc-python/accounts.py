from decimal import Decimal


def handler(context, event):
    """Logs what a change did. Decimals are text, and so nothing is rounded."""
    change = event.body
    new, old = change.get("new"), change.get("old")
    if change["operation"] == "insert":
        context.logger.info("%s opened with %s" % (new["owner"], new["balance"]))
    elif change["operation"] == "update":
        by = Decimal(new["balance"]) - Decimal(old["balance"])
        context.logger.info("%s has %s (%+f)" % (new["owner"], new["balance"], by))
    elif change["operation"] == "delete":
        context.logger.info("%s left" % old["owner"])
    else:
        context.logger.info("all left")
