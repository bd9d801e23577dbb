CREATE TABLE accounts (
    -- Never used again after a removal: the place of the mail is made from it.
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    name     TEXT    NOT NULL UNIQUE,
    password TEXT,              -- PHC string; NULL: nobody can log in
    state    TEXT    NOT NULL,
    language TEXT    NOT NULL,
    operator INTEGER NOT NULL,
    maildir  TEXT    NOT NULL,  -- under the root of the configuration
    created  INTEGER NOT NULL   -- seconds since 1970
) STRICT;

-- Who receives the postmaster's mail, the oldest first.
CREATE INDEX operators ON accounts (id) WHERE operator;

CREATE TABLE domains (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    name  TEXT    NOT NULL UNIQUE,
    kind  TEXT    NOT NULL,
    owner INTEGER REFERENCES accounts (id),
    CHECK ((kind = 'virtual') = (owner IS NOT NULL))
) STRICT;

CREATE INDEX domains_of_owner ON domains (owner) WHERE owner IS NOT NULL;
CREATE INDEX provider_domains ON domains (id) WHERE kind = 'provider';

CREATE TABLE audit (
    id   INTEGER PRIMARY KEY AUTOINCREMENT,
    at   INTEGER NOT NULL,  -- seconds since 1970
    who  TEXT    NOT NULL,
    what TEXT    NOT NULL
) STRICT;
