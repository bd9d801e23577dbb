-- SCRAM-SHA-256 (RFC 5802 section 5, RFC 7677), of the same password as accounts.password. None where
-- the password was taken over as a hash, until its next good login.
CREATE TABLE scram_keys (
    account    INTEGER PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    salt       BLOB    NOT NULL,
    iterations INTEGER NOT NULL,
    stored_key BLOB    NOT NULL,
    server_key BLOB    NOT NULL
) STRICT;

-- Passwords of single programs. They are random, so a plain digest keeps them.
CREATE TABLE app_passwords (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    label   TEXT    NOT NULL,
    digest  BLOB    NOT NULL,  -- SHA-256
    created INTEGER NOT NULL,  -- seconds since 1970
    UNIQUE (account, digest),
    UNIQUE (account, label)
) STRICT;

CREATE TABLE secrets (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- From this the SCRAM salts of names that nobody has are made. It must not change, else they would.
INSERT INTO secrets VALUES ('unknown names', randomblob(32));
