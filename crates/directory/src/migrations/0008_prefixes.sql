-- What stands before the local-part in the extension of a virtual domain's address.
ALTER TABLE domains ADD COLUMN prefix TEXT;
