"""Sends mail with smtplib: in the clear, under STARTTLS, to several, with SMTPUTF8, and refused.

Arguments: the SMTP port, and the file of the server's certificate.
"""

import email.message
import smtplib
import ssl
import sys

port, certificate = int(sys.argv[1]), sys.argv[2]
tls = ssl.create_default_context(cafile=certificate)
# The certificate is for the server's name, and we connect by its address.
tls.check_hostname = False


def message(subject, to="abc@pobox.example"):
    made = email.message.EmailMessage()
    made["From"] = "smtplib <sender@elsewhere.example>"
    made["To"] = to
    made["Subject"] = subject
    made.set_content("A line.\n.A line that begins with a dot.\nこんにちは\n")
    return made


with smtplib.SMTP("127.0.0.1", port, timeout=30) as smtp:
    smtp.ehlo("client.example")
    for extension in ["pipelining", "size", "8bitmime", "smtputf8", "enhancedstatuscodes", "chunking", "dsn", "starttls"]:
        assert smtp.has_extn(extension), extension
    assert smtp.esmtp_features["size"] == "52428800", smtp.esmtp_features
    assert smtp.esmtp_features["limits"] == "RCPTMAX=1000", smtp.esmtp_features
    assert smtp.send_message(message("smtplib in the clear")) == {}
    # The same connection, several recipients, one of them refused.
    refused = smtp.send_message(
        message("smtplib to three"),
        to_addrs=["abc@pobox.example", "list@abc.pobox.example", "victim@elsewhere.example"],
    )
    assert list(refused) == ["victim@elsewhere.example"], refused
    assert refused["victim@elsewhere.example"] == (
        553,
        b"sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)",
    ), refused
    assert smtp.verify("abc")[0] == 252
    assert smtp.noop()[0] == 250

with smtplib.SMTP("127.0.0.1", port, timeout=30) as smtp:
    smtp.starttls(context=tls)
    assert not smtp.has_extn("starttls") or smtp.ehlo() and not smtp.has_extn("starttls")
    smtp.send_message(message("smtplib under TLS"))

with smtplib.SMTP("127.0.0.1", port, timeout=30) as smtp:
    international = message("飛脚", to="花子@shop.example")
    smtp.send_message(international, from_addr="太郎@elsewhere.example", to_addrs=["花子@shop.example"])

with smtplib.SMTP("127.0.0.1", port, timeout=30) as smtp:
    try:
        smtp.send_message(message("nobody"), to_addrs=["nobody@pobox.example"])
    except smtplib.SMTPRecipientsRefused as refused:
        answer = refused.recipients["nobody@pobox.example"]
        assert answer == (550, b"sorry, no mailbox here by that name (#5.1.1)"), answer
    else:
        raise AssertionError("mail to nobody was taken")

print("good")
