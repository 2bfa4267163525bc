package run.myelin.worker;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Date;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Function;

/**
 * One event. Its attributes are made when they are asked for, out of the mapping; when it is answered it gets a copy of
 * its own of what nobody has asked for yet, and so may be kept.
 */
final class Request implements run.myelin.Event, io.nuclio.TriggerInfo {
    private static final int FIXED = 88, STRINGS = 10, LENGTHS = 48;
    private static final int METHOD = 0, PATH = 1, URL = 2, CONTENT_TYPE = 3, ID = 4, KEY = 5, TOPIC = 6, KIND = 7, NAME = 8, CLASS = 9;
    static final int IN_FILE = 1, LOGS = 4, SHARDS = 8;
    private static final int SMALL = 4096; // bodies up to this are copied rather than looked at in place

    /** Where the event lies: never changed, but replaced as a whole when it is answered. */
    private record Place(ByteBuffer meta, int at, int length, ByteBuffer body, int bodyAt) {}

    final int slot, generation, flags, size;
    final long begun = System.nanoTime();
    private final Channel channel; // null if nothing of it lies in the mapping
    private volatile Place place;
    private volatile byte[] body;
    private volatile Map<String, Object> headers, fields;
    private final List<byte[]> records;
    List<Request> batch; // all events of the one call that this is part of; null if it is alone
    View view;          // guarded by the channel's lock
    boolean answered;   // the same
    int sent, freed;    // parts of a stream, and those of them that were consumed; the same

    Request(Channel channel, int slot, int generation, int flags, ByteBuffer meta, int at, int length, ByteBuffer body, int bodyAt, int size) {
        this.channel = channel;
        this.slot = slot;
        this.generation = generation;
        this.flags = flags;
        this.size = size;
        place = new Place(meta, at, length, body, bodyAt);
        records = (flags & LOGS) == 0 ? null : Collections.synchronizedList(new ArrayList<>(4));
    }

    /** Reads, again if the event moved meanwhile: then what was read may be another's. */
    private <T> T read(Function<Place, T> what) {
        for (;;) {
            Place p = place;
            T v;
            try {
                v = what.apply(p);
            } catch (RuntimeException e) {
                if (place == p) throw e;
                continue;
            }
            VarHandle.acquireFence();
            if (place == p) return v;
        }
    }

    private static byte[] bytes(ByteBuffer from, int at, int n) {
        byte[] out = new byte[n];
        from.get(at, out, 0, n);
        return out;
    }

    private byte[] part(int index) {
        return read(p -> {
            int at = p.at + FIXED;
            for (int i = 0; i < index; i++) at += p.meta.getInt(p.at + LENGTHS + 4 * i);
            return bytes(p.meta, at, p.meta.getInt(p.at + LENGTHS + 4 * index));
        });
    }

    private String string(int index) {
        return Bytes.text(part(index));
    }

    private int word(int offset) {
        return read(p -> p.meta.getInt(p.at + offset));
    }

    private long number(int offset) {
        return read(p -> p.meta.getLong(p.at + offset));
    }

    /** Headers or fields; of a key that comes twice, the first. */
    private Map<String, Object> pairs(boolean ofFields) {
        return read(p -> {
            Map<String, Object> pairs = ofFields ? new TreeMap<>() : new TreeMap<>(String.CASE_INSENSITIVE_ORDER);
            int at = p.at + FIXED;
            for (int i = 0; i < STRINGS; i++) at += p.meta.getInt(p.at + LENGTHS + 4 * i);
            int n = p.meta.getInt(p.at + 28);
            if (ofFields) {
                at += p.meta.getInt(p.at + 32);
                n = p.meta.getInt(p.at + 36);
            }
            for (; n > 0; n--) {
                int k = p.meta.getInt(at), v = p.meta.getInt(at + 4);
                pairs.putIfAbsent(Bytes.text(bytes(p.meta, at + 8, k)), Bytes.text(bytes(p.meta, at + 8 + k, v)));
                at += 8 + k + v;
            }
            return Collections.unmodifiableMap(pairs);
        });
    }

    /** Copies what is left of the event out of the mapping; the channel's lock is held. */
    void keep() {
        answered = true;
        if (channel == null) return;
        Place p = place;
        boolean known = body != null || view != null;
        ByteBuffer own = ByteBuffer.allocate(p.length + (known ? 0 : size)).order(ByteOrder.LITTLE_ENDIAN);
        p.meta.get(p.at, own.array(), 0, p.length);
        if (!known) p.body.get(p.bodyAt, own.array(), p.length, size);
        if (view != null) place = new Place(own, 0, p.length, view.memory, 0);
        else place = new Place(own, 0, p.length, own, p.length);
    }

    boolean wantsLogs(int level) {
        return records != null && !answered && level >= word(24);
    }

    void addRecord(byte[] record) {
        records.add(record);
    }

    /** The log records that go with the answer; null if nobody wants any. */
    List<byte[]> records() {
        return records;
    }

    /** The events that a record of this one belongs to. */
    List<Request> together() {
        return batch == null ? List.of(this) : batch;
    }

    @Override
    public ByteBuffer bodyBuffer() {
        if (channel == null || size <= SMALL || body != null) return ByteBuffer.wrap(getBody()).asReadOnlyBuffer();
        ByteBuffer seen = channel.view(this);
        return (seen == null ? ByteBuffer.wrap(getBody()) : seen).asReadOnlyBuffer();
    }

    /** Where the body begins in the mapping. */
    int bodyOffset() {
        return place.bodyAt;
    }

    @Override
    public byte[] getBody() {
        byte[] b = body;
        if (b == null) body = b = read(p -> bytes(p.body, p.bodyAt, size));
        return b;
    }

    @Override
    public String text() {
        return new String(getBody(), UTF_8);
    }

    @Override
    public int size() {
        return size;
    }

    @Override
    public String getID() {
        return string(ID);
    }

    @Override
    public io.nuclio.TriggerInfo getTriggerInfo() {
        return this;
    }

    @Override
    public String getClassName() {
        return string(CLASS);
    }

    @Override
    public String getKindName() {
        return string(KIND);
    }

    @Override
    public String getTriggerName() {
        return string(NAME);
    }

    @Override
    public String getContentType() {
        return string(CONTENT_TYPE);
    }

    @Override
    public String getMethod() {
        return string(METHOD);
    }

    @Override
    public String getPath() {
        return string(PATH);
    }

    @Override
    public String getURL() {
        return string(URL);
    }

    @Override
    public String getTopic() {
        return string(TOPIC);
    }

    @Override
    public byte[] getKey() {
        return part(KEY);
    }

    @Override
    public long getOffset() {
        return number(8);
    }

    @Override
    public long getShardID() {
        return (flags & SHARDS) == 0 ? -1 : word(16);
    }

    @Override
    public long getTotalNumShards() {
        return (flags & SHARDS) == 0 ? 0 : word(20);
    }

    @Override
    public Date getTimestamp() {
        return new Date(Math.floorDiv(number(0), 1_000_000L));
    }

    @Override
    public Map<String, Object> getHeaders() {
        Map<String, Object> h = headers;
        if (h == null) headers = h = pairs(false);
        return h;
    }

    @Override
    public Map<String, Object> getFields() {
        Map<String, Object> f = fields;
        if (f == null) fields = f = pairs(true);
        return f;
    }

    @Override
    public String header(String name) {
        return (String) getHeaders().get(name);
    }

    @Override
    public Object getHeader(String key) {
        return header(key);
    }

    @Override
    public String getHeaderString(String key) {
        return header(key);
    }

    @Override
    public byte[] getHeaderBytes(String key) {
        return encoded(header(key));
    }

    @Override
    public long getHeaderLong(String key) {
        return numeral(header(key));
    }

    @Override
    public Object getField(String key) {
        return getFields().get(key);
    }

    @Override
    public String getFieldString(String key) {
        return (String) getFields().get(key);
    }

    @Override
    public byte[] getFieldBytes(String key) {
        return encoded(getFieldString(key));
    }

    @Override
    public long getFieldLong(String key) {
        return numeral(getFieldString(key));
    }

    private static byte[] encoded(String v) {
        return v == null ? null : v.getBytes(UTF_8);
    }

    private static long numeral(String v) {
        return v == null ? 0 : Long.parseLong(v.trim());
    }

    /** What the event says of itself as a CloudEvent: the first of these headers, "" if it has none. */
    private String cloud(String... names) {
        for (String name : names) {
            if (header(name) != null) return header(name);
        }
        return "";
    }

    @Override
    public String getType() {
        return cloud("ce-type", "ce-eventtype");
    }

    @Override
    public String getTypeVersion() {
        return cloud("ce-eventtypeversion");
    }

    @Override
    public String getVersion() {
        return cloud("ce-specversion", "ce-cloudeventsversion");
    }

    @Override
    public boolean isLastInBatch() {
        return false;
    }
}
