"""Reads an automatic reply as RFC 5322 and MIME have it, and prints what it says as JSON.

Argument: the file of the message.
"""

import email
import email.policy
import email.utils
import json
import sys

with open(sys.argv[1], "rb") as file:
    # As a Maildir keeps it, lines end in LF.
    reply = email.message_from_binary_file(file, policy=email.policy.default)

assert not reply.defects, reply.defects
assert not reply.is_multipart() and reply.get_content_type() == "text/plain"
for name in ["Date", "From", "To", "Subject", "Message-ID", "Auto-Submitted", "MIME-Version"]:
    assert len(reply.get_all(name, [])) == 1 and not reply[name].defects, name
assert email.utils.parsedate_to_datetime(reply["Date"]).tzinfo

fields = ["From", "To", "Subject", "Auto-Submitted", "In-Reply-To", "References", "Return-Path"]
said = {name.lower(): None if reply[name] is None else str(reply[name]) for name in fields}
print(json.dumps(said | {"text": reply.get_content()}))
