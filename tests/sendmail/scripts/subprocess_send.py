"""Python's way: a message of the email package, through subprocess.

Arguments: the recipient, and whether by -t (`header`) or with the recipients as arguments (`arguments`).
"""

import os
import subprocess
import sys
from email.message import EmailMessage
from email.policy import SMTP

to, way = sys.argv[1:]
message = EmailMessage()
message["From"] = "太郎 <abc@pobox.example>"
message["To"] = to
message["Subject"] = "日本語の件名"
message.set_content("こんにちは\n.\n終わり\n", cte="8bit")
if way == "header":
    message["Bcc"] = "hidden@abc.pobox.example"
    arguments, octets = ["-t", "-oi"], message.as_bytes()
else:
    arguments, octets = ["-f", "foo@abc.pobox.example", "--", to], message.as_bytes(policy=SMTP)
ran = subprocess.run([os.environ["SENDMAIL"], *arguments], input=octets, check=False)
sys.exit(ran.returncode)
