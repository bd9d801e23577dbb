-- As whom the programs of an account may write on this machine: 0 own, 1 keep, 2 reply-to.
ALTER TABLE plans ADD COLUMN script_author INTEGER NOT NULL DEFAULT 0;
ALTER TABLE overrides ADD COLUMN script_author INTEGER;

-- Whose the programs are that run under a user id of this machine.
CREATE TABLE local_users (
    uid     INTEGER PRIMARY KEY,
    account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE
) STRICT;

CREATE INDEX local_users_of_account ON local_users (account);
