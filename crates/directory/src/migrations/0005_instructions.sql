-- Delivery instructions, in the language of .qmail.
CREATE TABLE instructions (
    account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    name    TEXT    NOT NULL,  -- as qmail names the file, after `.qmail`: '' is the standard address, '-foo:bar' foo.bar
    text    TEXT    NOT NULL,
    active  INTEGER NOT NULL,
    label   TEXT,
    updated INTEGER NOT NULL,  -- seconds since 1970
    PRIMARY KEY (account, name)
) STRICT, WITHOUT ROWID;
