"""Reads a mailbox with poplib, in the clear, under STLS and under TLS from the start.

Arguments: the POP3 port, the POP3S port, the file of the server's certificate. The mailbox of abc
has two messages; the second has lines that begin with dots. The first one is removed.
"""

import poplib
import ssl
import sys

port, port_tls, certificate = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
tls = ssl.create_default_context(cafile=certificate)
tls.check_hostname = False


def login(pop):
    assert pop.getwelcome().startswith(b"+OK")
    pop.user("abc")
    pop.pass_("abc-try")


pop = poplib.POP3("127.0.0.1", port, timeout=30)
capabilities = pop.capa()
for capability in ["TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "STLS", "USER", "SASL", "UTF8", "LANG"]:
    assert capability in capabilities, (capability, capabilities)
login(pop)
count, octets = pop.stat()
assert count == 2, count
sizes = [int(line.split()[1]) for line in pop.list()[1]]
assert sum(sizes) == octets, (sizes, octets)
uids = [line.split()[1] for line in pop.uidl()[1]]
assert len(set(uids)) == 2 and all(1 <= len(uid) <= 70 for uid in uids), uids
for number in (1, 2):
    _, lines, _ = pop.retr(number)
    # RFC 1939 §11: the size counts CR LF line ends, and dots once.
    assert sum(len(line) + 2 for line in lines) == sizes[number - 1], (number, lines, sizes)
assert b".A line with a dot." in lines, lines
header = pop.top(2, 0)[1]
assert header[-1] == b"" and header == lines[: len(header)], header
assert pop.top(2, 1)[1] == lines[: len(header) + 1]
assert pop.dele(1).startswith(b"+OK")
assert pop.rset().startswith(b"+OK")
assert pop.noop().startswith(b"+OK")
pop.quit()

pop = poplib.POP3("127.0.0.1", port, timeout=30)
pop.stls(context=tls)
login(pop)
assert [line.split()[1] for line in pop.uidl()[1]] == uids, "UIDs are stable"
pop.dele(1)
assert pop.stat()[0] == 1
pop.quit()

pop = poplib.POP3_SSL("127.0.0.1", port_tls, context=tls, timeout=30)
login(pop)
assert [line.split()[1] for line in pop.uidl()[1]] == uids[1:]
try:
    pop.retr(2)
except poplib.error_proto as error:
    assert error.args[0] == b"-ERR not that many messages", error
else:
    raise AssertionError("there is no message 2")
pop.quit()

print("good")
