-- Views: one row is one generation of a projection, whose tables are in a schema of their own (adapters/views). Readers read the live
-- one; a rebuild makes another beside it. The head is where it stands in the log, moved in the transaction that writes its rows.
CREATE TABLE projection (
    generation bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text    NOT NULL,
    version    integer NOT NULL,                       -- of the fold
    tables     text    NOT NULL,                       -- a digest of their definitions
    live       boolean NOT NULL DEFAULT false,
    size       bigint  NOT NULL DEFAULT 0,             -- how many events are in it
    head       bytea                                   -- log, size and frontier; none: nothing is in it yet
);
CREATE UNIQUE INDEX projection_live ON projection (name, version) WHERE live;

-- Ids sort by their numbers, never by their text: job-9 < job-10 < job-10/2 < job-10/11.
CREATE FUNCTION id_order(id text) RETURNS bigint[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN string_to_array(substring(id FROM '-(.*)$'), '/')::bigint[];
