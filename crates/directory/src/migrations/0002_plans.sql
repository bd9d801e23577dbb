-- The allowances of a plan, by their names in the crate envelope. -1: unlimited.
CREATE TABLE plans (
    id                     INTEGER PRIMARY KEY,
    name                   TEXT    NOT NULL UNIQUE,
    sub_domain_addresses   INTEGER NOT NULL,
    forward_limit          INTEGER NOT NULL,
    messages_per_hour      INTEGER NOT NULL,
    messages_per_day       INTEGER NOT NULL,
    recipients_per_hour    INTEGER NOT NULL,
    recipients_per_day     INTEGER NOT NULL,
    new_recipients_per_day INTEGER NOT NULL,
    message_size_max       INTEGER NOT NULL,
    quota_bytes            INTEGER NOT NULL,
    pop_before_smtp        INTEGER NOT NULL,
    programs               INTEGER NOT NULL
) STRICT;

-- The plan of every account that has no other. It is changed, never removed.
INSERT INTO plans VALUES (1, 'default', 1, 10, 500, 2000, 2000, 10000, 2000, -1, -1, 1, 0);

ALTER TABLE accounts ADD COLUMN plan INTEGER REFERENCES plans (id);  -- NULL: plan 1

CREATE INDEX accounts_of_plan ON accounts (plan) WHERE plan IS NOT NULL;

-- What an account has otherwise than its plan says. NULL: as the plan says.
CREATE TABLE overrides (
    account                INTEGER PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    sub_domain_addresses   INTEGER,
    forward_limit          INTEGER,
    messages_per_hour      INTEGER,
    messages_per_day       INTEGER,
    recipients_per_hour    INTEGER,
    recipients_per_day     INTEGER,
    new_recipients_per_day INTEGER,
    message_size_max       INTEGER,
    quota_bytes            INTEGER,
    pop_before_smtp        INTEGER,
    programs               INTEGER
) STRICT;
