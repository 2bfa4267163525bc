package run.myelin;

import java.util.Map;

/** One message of several. Its key may be null; value and key are a String, byte[] or ByteBuffer, or become JSON. */
public record Message(String topic, Object value, Object key, Map<String, String> headers) {
    public Message(String topic, Object value) {
        this(topic, value, null, Map.of());
    }

    public Message(String topic, Object value, Object key) {
        this(topic, value, key, Map.of());
    }
}
