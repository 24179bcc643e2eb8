-- The log: one row is one block. The foreign key is the accept rule: a block is taken only if it builds on the block before it, so
-- neither a rival, nor a zombie, nor a writer that outlived a restored backup can fork the log or leave a gap in it.
CREATE TABLE block (
    size      bigint PRIMARY KEY,                      -- the head before it
    root      text,
    next_size bigint NOT NULL CHECK (next_size > size), -- the head after it
    next_root text   NOT NULL CHECK (next_root ~ '^[0-9a-f]{64}$'),
    record    bytea  NOT NULL CHECK (octet_length(record) <= 900000),
    UNIQUE (next_size, next_root),
    FOREIGN KEY (size, root) REFERENCES block (next_size, next_root),
    CHECK (root IS NOT NULL OR size = -1)
);
-- Records are read far more often than they are squeezed.
ALTER TABLE block ALTER record SET STORAGE EXTERNAL;

-- What the first block builds on: size 0 and the root of the empty tree. It is no record and is never read.
INSERT INTO block VALUES (-1, NULL, 0, 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', '');

CREATE FUNCTION block_is_for_ever() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a block is written once and never changed';
END $$;

CREATE TRIGGER block_is_for_ever BEFORE UPDATE OR DELETE OR TRUNCATE ON block
    FOR EACH STATEMENT EXECUTE FUNCTION block_is_for_ever();
