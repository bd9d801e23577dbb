-- Raised whenever what the account was granted before is to end: its password is changed, it is
-- suspended. A grant that remembers another number is void.
ALTER TABLE accounts ADD COLUMN grant_epoch INTEGER NOT NULL DEFAULT 0;
