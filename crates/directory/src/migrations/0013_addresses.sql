-- What the owners of destinations outside said, who were asked by mail whether they want what is forwarded to them.
CREATE TABLE consents (
    id          INTEGER PRIMARY KEY,
    account     INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    destination TEXT    NOT NULL,  -- folded
    state       TEXT    NOT NULL,  -- asked, agreed, declined
    link        BLOB    NOT NULL,  -- SHA-256 of what opens the link of the last mail
    asked       INTEGER NOT NULL,  -- when that was, in seconds since 1970
    UNIQUE (account, destination)
) STRICT;

CREATE UNIQUE INDEX consents_by_link ON consents (link);

-- In which addresses it is wanted: there it is switched on when he agrees.
CREATE TABLE consent_addresses (
    consent INTEGER NOT NULL REFERENCES consents (id) ON DELETE CASCADE,
    name    TEXT    NOT NULL,  -- as in instructions
    interim INTEGER NOT NULL,  -- whether the mailbox has a copy only until he agrees
    PRIMARY KEY (consent, name)
) STRICT, WITHOUT ROWID;

-- When an account had somebody asked, in the last day.
CREATE TABLE consent_mails (
    account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    at      INTEGER NOT NULL  -- seconds since 1970
) STRICT;

CREATE INDEX consent_mails_of_account ON consent_mails (account, at);
