"""Reads a report of delivery status as RFC 3464 and RFC 6522 have it, and prints what it says as JSON.

Argument: the file of the message.
"""

import email
import email.policy
import email.utils
import json
import sys

with open(sys.argv[1], "rb") as file:
    # As a Maildir keeps it, lines end in LF.
    report = email.message_from_binary_file(file, policy=email.policy.default)

for part in report.walk():
    assert not part.defects, (part.get_content_type(), part.defects)
assert report.get_content_type() == "multipart/report", report.get_content_type()
assert report.get_param("report-type") == "delivery-status"
assert report["Auto-Submitted"] == "auto-replied" and report["Return-Path"] == "<>"
for name in ["Date", "From", "To", "Subject", "Message-ID", "MIME-Version"]:
    assert len(report.get_all(name, [])) == 1 and not report[name].defects, name

reader, status, original = report.iter_parts()
assert reader.get_content_type() == "text/plain"
assert status.get_content_type() == "message/delivery-status"
message, *recipients = [dict(group.items()) for group in status.get_payload()]
for fields in recipients:
    for name in ["Last-Attempt-Date", "Will-Retry-Until"]:
        assert name not in fields or email.utils.parsedate_to_datetime(fields[name]).tzinfo, fields

if original.get_content_type() == "message/rfc822":
    inner = original.get_payload(0)
    returned = {"subject": inner["Subject"], "body": inner.get_content()}
else:
    assert original.get_content_type() == "text/rfc822-headers", original.get_content_type()
    inner = email.message_from_string(original.get_content(), policy=email.policy.default)
    returned = {"subject": inner["Subject"]}

print(
    json.dumps(
        {
            "subject": report["Subject"],
            "text": reader.get_content(),
            "message": message,
            "recipients": recipients,
            "original": returned,
        }
    )
)
