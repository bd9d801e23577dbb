-- All that RCPT asks of an account, in one place: among 100,000 accounts the row itself is far away.
CREATE INDEX accounts_for_mail ON accounts (name, maildir, plan);
