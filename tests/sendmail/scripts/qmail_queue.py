"""Hands a message in as programs do that know qmail: message on descriptor 0, envelope on descriptor 1.

Arguments: the program, and the envelope, in which `\\0` is a NUL. Standard input: the message. Exits as the program.
"""

import os
import subprocess
import sys

program, envelope = sys.argv[1:]
message = sys.stdin.buffer.read()
reading, writing = os.pipe()
# Small enough for the pipe: it is all there before anybody reads.
os.write(writing, envelope.replace("\\0", "\0").encode("latin-1"))
os.close(writing)
ran = subprocess.run([program], input=message, stdout=reading, check=False)
sys.exit(ran.returncode)
