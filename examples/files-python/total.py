import csv
import io


def handler(context, event):
    """Logs the sum of the column amount of a file."""
    rows = csv.DictReader(io.StringIO(event.body.decode()))
    total = sum(float(row["amount"]) for row in rows)
    context.logger.info("%s: %.2f" % (event.headers["file-name"], total))
