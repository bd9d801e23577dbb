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
