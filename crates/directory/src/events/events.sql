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

-- How much there was, by the hour of the day (0 to 23, UTC). Each event is counted in the transaction that records
-- it, so what is given twice counts once. These three are of schema 2.
CREATE TABLE IF NOT EXISTS traffic (
    hour  INTEGER NOT NULL,
    kind  INTEGER NOT NULL,  -- see traffic.rs
    count INTEGER NOT NULL,
    PRIMARY KEY (hour, kind)
) STRICT, WITHOUT ROWID;

-- Which customers sent how much: a row for each batch, which are put together when the hour is over.
CREATE TABLE IF NOT EXISTS senders (
    part   INTEGER PRIMARY KEY,
    hour   INTEGER NOT NULL,
    counts BLOB    NOT NULL  -- accounts, messages and recipients by postcard, see senders.rs
) STRICT;

-- With what words SMTP refused; '' are all that came when there were enough of them.
CREATE TABLE IF NOT EXISTS refusals (
    hour  INTEGER NOT NULL,
    reply TEXT    NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (hour, reply)
) STRICT, WITHOUT ROWID;
