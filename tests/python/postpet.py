"""As PostPet does it: checks the mail, then sends on a connection of its own, with HELO, without Date and Message-ID.

Arguments: the POP3 and the SMTP port, the account and its password, from whom and to whom. Prints 250, or the
refusal.
"""

import poplib
import smtplib
import sys

pop3_port, smtp_port, account, password, sender, recipient = sys.argv[1:]

pop3 = poplib.POP3("127.0.0.1", int(pop3_port), timeout=30)
pop3.user(account)
pop3.pass_(password)
pop3.stat()
pop3.quit()

message = f"From: {sender}\r\nTo: {recipient}\r\nSubject: from my pet\r\nX-Mailer: PostPet\r\n\r\nhello\r\n"
smtp = smtplib.SMTP("127.0.0.1", int(smtp_port), timeout=30)
smtp.helo("pet")
for code, text in [smtp.mail(sender), smtp.rcpt(recipient)]:
    if code != 250:
        print(code, text.decode())
        sys.exit()
code, text = smtp.data(message)
smtp.quit()
print(code if code == 250 else f"{code} {text.decode()}")
