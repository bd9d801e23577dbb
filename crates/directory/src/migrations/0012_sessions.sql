-- Who has signed in to the page. When a session was last used stands in the file of uses.
CREATE TABLE sessions (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    digest        BLOB    NOT NULL UNIQUE,  -- SHA-256 of its token
    account       INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    began         INTEGER NOT NULL,         -- seconds since 1970
    client        TEXT    NOT NULL,         -- from where it began
    agent         TEXT    NOT NULL,         -- the browser, in its own words
    second_factor INTEGER NOT NULL,         -- whether it was shown
    must_enrol    INTEGER NOT NULL,         -- whether a second factor must be set up before all else
    fresh_until   INTEGER NOT NULL,         -- until then its owner has proved who he is
    enrolling     BLOB                      -- the secret of a second factor that is being set up
) STRICT;

CREATE INDEX sessions_of_account ON sessions (account);
CREATE INDEX sessions_by_age ON sessions (began);

-- Who has shown the password, and not yet the second factor.
CREATE TABLE half_sessions (
    digest  BLOB    PRIMARY KEY,  -- SHA-256 of its token
    account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    began   INTEGER NOT NULL,     -- seconds since 1970
    wrong   INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE INDEX half_sessions_of_account ON half_sessions (account);

-- RFC 6238. The secret must be known to compute codes, so it is kept as it is.
CREATE TABLE second_factors (
    account   INTEGER PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    secret    BLOB    NOT NULL,
    last_step INTEGER NOT NULL,            -- of the last code that was taken: it and those before it are taken no more
    guesses   INTEGER NOT NULL DEFAULT 0,  -- wrong codes in the hour that began with the first of them
    guessed   INTEGER NOT NULL DEFAULT 0   -- when it began, in seconds since 1970
) STRICT;

-- Each is deleted when it is used. They are random, so a plain digest keeps them.
CREATE TABLE recovery_codes (
    account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    digest  BLOB    NOT NULL,  -- SHA-256
    PRIMARY KEY (account, digest)
) STRICT, WITHOUT ROWID;

-- One-time links to set a password by: the last one of an account.
CREATE TABLE invitations (
    account INTEGER PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    digest  BLOB    NOT NULL UNIQUE,  -- SHA-256 of its token
    expires INTEGER NOT NULL          -- seconds since 1970
) STRICT;

CREATE TABLE api_tokens (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    label   TEXT    NOT NULL,
    digest  BLOB    NOT NULL UNIQUE,  -- SHA-256 of the token
    scope   TEXT    NOT NULL,
    made    INTEGER NOT NULL,         -- this and the next: seconds since 1970
    expires INTEGER NOT NULL,
    UNIQUE (account, label)
) STRICT;
