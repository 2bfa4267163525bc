package run.myelin;

/** A value as it is stored, with its version, which a later write can be made to depend on. */
public record Stored(byte[] value, String version, String type) {}
