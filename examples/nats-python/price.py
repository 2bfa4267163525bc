PRICES = {"tea": 3, "milk": 1}


def handler(context, event):
    """Says what so many of a thing cost: the thing is in the subject, the number is the body."""
    thing = event.topic.rpartition(".")[2]
    if thing not in PRICES:
        raise KeyError("there is no %s" % thing)
    return "%d" % (PRICES[thing] * int(event.body))
