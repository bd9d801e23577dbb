-- The account that a change is of, by its name: the account may be gone. NULL: of none, or noted before
-- this column was there.
ALTER TABLE audit ADD COLUMN account TEXT;
CREATE INDEX audit_of_account ON audit (account, id) WHERE account IS NOT NULL;
