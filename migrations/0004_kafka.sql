-- Where in a Kafka topic a head of the log was reached: so that nobody has to read the topic from its first record. A place is only a hint:
-- the record before it is read again and must have led there.
CREATE TABLE log_place (
    home        text    NOT NULL,                      -- of the log, as in ledger.bound: another topic has other offsets
    size        bigint  NOT NULL CHECK (size > 0),
    root        text    NOT NULL,
    sealed      boolean NOT NULL,
    next_offset bigint  NOT NULL CHECK (next_offset > 0),
    PRIMARY KEY (home, size)
);
