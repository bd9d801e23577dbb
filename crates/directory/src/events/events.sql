CREATE TABLE IF NOT EXISTS events (
    message INTEGER NOT NULL,  -- the queue id; of what has none, its time in the form of one
    event   BLOB    NOT NULL,  -- by postcard, see file.rs
    PRIMARY KEY (message, event)
) STRICT, WITHOUT ROWID;

-- Whom a message concerns. A run is so many mentions that came one after the other.
CREATE TABLE IF NOT EXISTS mentions (
    run     INTEGER NOT NULL,
    whom    INTEGER NOT NULL,  -- see whom.rs
    message INTEGER NOT NULL,
    PRIMARY KEY (run, whom, message)
) STRICT, WITHOUT ROWID;
