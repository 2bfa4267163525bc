"""The place of an event in its queue or stream. Unlike the event's own memory it may be kept, and sent elsewhere."""


class QualifiedOffset:
    """trigger is the name of the event's trigger; None: the function's only one that acknowledges explicitly."""

    def __init__(self, topic, partition, offset, trigger=None):
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.trigger = trigger

    @staticmethod
    def from_event(event):
        info = event.trigger
        return QualifiedOffset(event.topic, event.shard_id, event.offset, info.name if info is not None and info.name else None)

    @staticmethod
    def from_message(message):
        """From what compile_explicit_ack_message made."""
        at = message["attributes"]
        return QualifiedOffset(at.get("topic"), at.get("partition"), at["offset"], at.get("trigger"))

    def compile_explicit_ack_message(self):
        attributes = {"topic": self.topic, "partition": self.partition, "offset": self.offset}
        if self.trigger is not None:
            attributes["trigger"] = self.trigger
        return {"kind": "streamMessageAck", "attributes": attributes}

    def __repr__(self):
        return "QualifiedOffset(%r, %r, %r, %r)" % (self.topic, self.partition, self.offset, self.trigger)
