"""smtplib over `sendmail -bs`: the process's standard input and output are the connection.

Arguments: the sender, the recipient. Prints what EHLO offered, and how the message was answered.
"""

import os
import smtplib
import socket
import subprocess
import sys

sender, to = sys.argv[1:]


class Pipe(smtplib.SMTP):
    """SMTP with a program at the other end."""

    def _get_socket(self, host, port, timeout):
        ours, theirs = socket.socketpair()
        self.program = subprocess.Popen([os.environ["SENDMAIL"], "-bs"], stdin=theirs, stdout=theirs)
        theirs.close()
        ours.settimeout(timeout)
        return ours


with Pipe("localhost", timeout=30) as smtp:
    smtp.ehlo("client.example")
    print(" ".join(sorted(smtp.esmtp_features)))
    try:
        smtp.sendmail(sender, [to], f"From: {sender}\r\nTo: {to}\r\nSubject: over -bs\r\n\r\n.\r\nLine two.\r\n")
        print("accepted")
    except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as refused:
        print(refused.smtp_code, refused.smtp_error.decode())
    except smtplib.SMTPRecipientsRefused as refused:
        print(*next(iter(refused.recipients.values())))
sys.exit(smtp.program.wait(30))
