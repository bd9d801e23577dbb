-- Whether instructions may name Maildirs and mbox files besides the mailbox.
ALTER TABLE plans ADD COLUMN files INTEGER NOT NULL DEFAULT 0;
ALTER TABLE overrides ADD COLUMN files INTEGER;
