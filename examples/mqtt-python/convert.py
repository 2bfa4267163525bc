def handler(context, event):
    """Answers a temperature in Celsius with the one in Fahrenheit."""
    return "%.1f" % (float(event.body) * 9 / 5 + 32)
