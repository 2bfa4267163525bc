"""Greets, counts what it greeted, and writes the count down before its processor ends."""

GREETING = "Welcome"

counted = [0]


def init_context(context):
    def good_bye():
        context.logger.info_with("good-bye", greeted=counted[0])

    context.on_drain(good_bye)


def handler(context, event):
    counted[0] += 1
    name = event.body.decode() or "stranger"
    return "%s, %s" % (GREETING, name)
