"""Reads a Maildir with Python's mailbox module and prints the subjects, sorted. Argument: the Maildir."""

import mailbox
import sys

for subject in sorted(message["Subject"] for message in mailbox.Maildir(sys.argv[1], create=False)):
    print(subject)
