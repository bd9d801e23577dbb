CREATE TABLE IF NOT EXISTS windows (
    account INTEGER NOT NULL,  -- accounts.id of the directory
    client  TEXT    NOT NULL,
    epoch   INTEGER NOT NULL,  -- accounts.grant_epoch when it was opened
    opened  INTEGER NOT NULL,  -- this and the next two: seconds since 1970
    renewed INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    PRIMARY KEY (account, client)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS uses (
    app_password INTEGER PRIMARY KEY,  -- app_passwords.id of the directory
    last         INTEGER NOT NULL      -- seconds since 1970
) STRICT;

-- What an account sent in the hour and in the day that began with the first message counted.
CREATE TABLE IF NOT EXISTS sent (
    account         INTEGER PRIMARY KEY,  -- accounts.id of the directory
    hour_begun      INTEGER NOT NULL,     -- seconds since 1970
    hour_messages   INTEGER NOT NULL,
    hour_recipients INTEGER NOT NULL,
    day_begun       INTEGER NOT NULL,
    day_messages    INTEGER NOT NULL,
    day_recipients  INTEGER NOT NULL,
    day_new         INTEGER NOT NULL,
    hour_told       INTEGER NOT NULL,     -- which limits the owner was told of, a bit each
    day_told        INTEGER NOT NULL
) STRICT;

-- To whom an account has written, as the first 8 octets of a SHA-256 of the address.
CREATE TABLE IF NOT EXISTS correspondents (
    account INTEGER NOT NULL,
    address INTEGER NOT NULL,
    day     INTEGER NOT NULL,  -- the last one, in days since 1970
    PRIMARY KEY (account, address)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS token_uses (
    token INTEGER PRIMARY KEY,  -- api_tokens.id of the directory
    last  INTEGER NOT NULL      -- seconds since 1970
) STRICT;

CREATE TABLE IF NOT EXISTS session_uses (
    session INTEGER PRIMARY KEY,  -- sessions.id of the directory
    at      INTEGER NOT NULL,     -- seconds since 1970
    client  TEXT    NOT NULL,
    agent   TEXT    NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS logins (
    account      INTEGER NOT NULL,  -- accounts.id of the directory
    service      TEXT    NOT NULL,
    client       TEXT    NOT NULL,
    app_password TEXT    NOT NULL,  -- its label; empty: the account's own password
    at           INTEGER NOT NULL,  -- seconds since 1970
    PRIMARY KEY (account, service, client, app_password)
) STRICT, WITHOUT ROWID;
-- Whom an account has answered while its owner was away.
CREATE TABLE IF NOT EXISTS answered (
    account INTEGER NOT NULL,  -- accounts.id of the directory
    absence INTEGER NOT NULL,  -- absences.number of the directory
    address INTEGER NOT NULL,  -- as in correspondents
    at      INTEGER NOT NULL,  -- seconds since 1970
    PRIMARY KEY (account, absence, address)
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS answered_at ON answered (at);
