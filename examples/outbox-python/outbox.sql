CREATE TABLE outbox (
    id BIGSERIAL PRIMARY KEY,
    payload JSONB NOT NULL,
    visible_at TIMESTAMPTZ,
    attempts INTEGER,
    done_at TIMESTAMPTZ,
    failed TEXT
);
CREATE INDEX ON outbox (visible_at, id) WHERE done_at IS NULL AND failed IS NULL;
