"""Writes each event as a line of the ledger, and answers with it."""
import os

ledger = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def handler(context, event):
    os.write(ledger, event.body + b"\n")
    return event.body
