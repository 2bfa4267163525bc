CREATE TABLE accounts (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, owner TEXT NOT NULL, balance NUMERIC NOT NULL);
-- Events then tell what a row was, and not only its key.
ALTER TABLE accounts REPLICA IDENTITY FULL;
