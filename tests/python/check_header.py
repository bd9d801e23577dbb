"""Reads every message of a Maildir as RFC 5322 has it, and says how many are without fault.

Argument: the Maildir.
"""

import email
import email.policy
import email.utils
import mailbox
import sys

good = 0
for message in mailbox.Maildir(sys.argv[1], factory=None):
    for name in ["Date", "Message-ID", "From"]:
        assert len(message.get_all(name, [])) == 1, (name, message.as_bytes())
    # RFC 5322 sections 3.3 and 3.6.4.
    parsed = email.message_from_bytes(message.as_bytes(), policy=email.policy.default)
    assert not parsed.defects, parsed.defects
    assert parsed["Date"].datetime.tzinfo is not None and not parsed["Date"].defects, parsed["Date"]
    assert not parsed["Message-ID"].defects, parsed["Message-ID"].defects
    assert [address.domain for address in parsed["From"].addresses] == ["pobox.example"], parsed["From"]
    good += 1
print(good, "good")
