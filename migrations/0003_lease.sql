-- Whose turn it is to lead the log: one row, which the leader renews. It spares rivals each other's company and says where the leader is;
-- what keeps the log whole is the accept rule (0001_log.sql), whoever has the lease.
CREATE TABLE lease (
    one     boolean     PRIMARY KEY DEFAULT true CHECK (one),
    name    text        NOT NULL,     -- of the process, as in ledger.leader_elected
    place   text        NOT NULL,     -- which only one process has at a time: whoever has it now follows the holder at once
    address text        NOT NULL,     -- where its API is reached by the other servers
    until   timestamptz NOT NULL      -- by this database's clock
);

CREATE FUNCTION lease_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('lease', '');
    RETURN NULL;
END $$;

CREATE TRIGGER lease_taken AFTER INSERT OR DELETE ON lease FOR EACH ROW EXECUTE FUNCTION lease_changed();
CREATE TRIGGER lease_passed AFTER UPDATE ON lease FOR EACH ROW WHEN (old.name <> new.name) EXECUTE FUNCTION lease_changed();
