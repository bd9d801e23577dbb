-- What an account answers while its owner is away (RFC 3834).
CREATE TABLE absences (
    account INTEGER PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    number  INTEGER NOT NULL,  -- rises with each new absence, in which everybody may be answered once more
    active  INTEGER NOT NULL,
    begins  INTEGER,           -- this and the next: seconds since 1970; NULL: it began at once, it has no end
    ends    INTEGER,
    subject TEXT NOT NULL,     -- '': ours
    text    TEXT NOT NULL
) STRICT;
