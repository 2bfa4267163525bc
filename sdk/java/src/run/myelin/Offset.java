package run.myelin;

/**
 * The place of an event in its queue or stream. It may be kept.
 *
 * @param trigger the name of its trigger; "": the function's only one that acknowledges explicitly
 */
public record Offset(String trigger, String topic, int shard, long offset) {
    /** Header of a response that says that its event is acknowledged later. */
    public static final String NO_ACK = "X-Nuclio-Stream-No-Ack";

    public static Offset of(Event e) {
        return new Offset(e.getTriggerName(), e.getTopic(), (int) Math.max(e.getShardID(), 0), e.getOffset());
    }
}
