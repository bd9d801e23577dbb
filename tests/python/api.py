"""Uses the whole API as its description says, and holds every answer against the description.

    api.py URL MEMBER READER OPERATOR

URL ends in a slash; the others are tokens: of xyz that may write and that may read only, and of an operator. xyz has
had a message, and one of an operator's waits for u@peer.example. Prints `good` and how many answers it has seen.
"""

import json
import sys
import urllib.error
import urllib.request

from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

base, member, reader, operator = sys.argv[1:]


def send(method, path, token=None, body=None, **headers):
    """An answer: status, header, JSON (or None)."""
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    data = None
    if body is not None:
        data = json.dumps(body).encode()
        headers.setdefault("Content-Type", "application/json")
    if token is not None:
        headers["Authorization"] = "Bearer " + token
    request = urllib.request.Request(base.rstrip("/") + path, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            status, header, octets = answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        status, header, octets = error.code, error.headers, error.read()
    return status, header, json.loads(octets) if octets else None


status, _, document = send("GET", "/api/v1/openapi.json")
assert status == 200
OpenAPIV31SpecValidator(document).validate()
registry = Registry().with_resource("urn:api", Resource(contents=document, specification=DRAFT202012))


def resolved(thing):
    while "$ref" in thing:
        part = document
        for step in thing["$ref"].removeprefix("#/").split("/"):
            part = part[step]
        thing = part
    return thing


def rooted(schema):
    """The schema, with its references into the document."""
    if isinstance(schema, dict):
        return {
            name: "urn:api" + value if name == "$ref" else rooted(value) for name, value in schema.items()
        }
    return [rooted(value) for value in schema] if isinstance(schema, list) else schema


def check(schema, value, what):
    validator = Draft202012Validator(rooted(schema), registry=registry, format_checker=FormatChecker())
    errors = [error.message + " at " + error.json_path for error in validator.iter_errors(value)]
    assert not errors, (what, errors, value)


def template(path):
    """The path of the description that this path is one of, and the operations there."""
    steps = path.split("?")[0].split("/")
    for known in document["paths"]:
        wanted = known.split("/")
        if len(wanted) == len(steps) and all(a == b or a[:1] == "{" for a, b in zip(wanted, steps)):
            if known.count("{") == 0 or known not in document["paths"] or path.split("?")[0] not in document["paths"]:
                return known
    raise AssertionError(path)


done, seen = set(), 0


def call(method, path, token, expected, body=None, **headers):
    """Calls an operation that has to answer so; holds what is sent and answered against the description."""
    global seen
    known = template(path)
    operation = document["paths"][known][method.lower()]
    status, header, answer = send(method, path, token, body, **headers)
    what = (method, path, status, answer)
    assert status == expected, what
    assert str(status) in operation["responses"], ("not described", what)
    response = resolved(operation["responses"][str(status)])
    content = response.get("content", {})
    if content:
        kind = header["Content-Type"]
        assert kind in content, (kind, what)
        check(content[kind]["schema"], answer, what)
    else:
        assert answer is None, what
    for name in response.get("headers", {}):
        assert header[name], (name, what)
    assert header["Cache-Control"] == "no-store" or method == "GET" and known.endswith("openapi.json"), what
    if 200 <= status < 300:
        done.add((method, known))
        if body is not None:
            check(operation["requestBody"]["content"]["application/json"]["schema"], body, ("sent", what))
    else:
        assert answer["status"] == status and answer["detail"], what
    seen += 1
    return header, answer


def get(path, token=member, expected=200):
    return call("GET", path, token, expected)[1]


call("GET", "/api/v1/openapi.json", None, 200)

# The member's own.
account = get("/api/v1/account")
assert account["name"] == "xyz" and account["address"] == "xyz@pobox.example", account
assert account["domains"] == ["shop.example"] and account["allowances"]["forward_limit"] == 10, account
call("PUT", "/api/v1/language", member, 204, {"language": "en"})
assert get("/api/v1/account")["language"] == "en"
get("/api/v1/logins")
call("DELETE", "/api/v1/windows", member, 204)
assert [one["label"] for one in get("/api/v1/app-passwords")["app_passwords"]] == ["phone"]
call("DELETE", "/api/v1/app-passwords/phone", member, 204)
call("DELETE", "/api/v1/app-passwords/phone", member, 404)
assert get("/api/v1/trail?limit=5")["changes"][0]["who"], "somebody did it"

# Addresses: made, changed, lost and won by If-Match.
shop = "/api/v1/addresses/foo@xyz.pobox.example"
sheet = get(shop)
assert not sheet["exists"] and sheet["updated"] is None, sheet
order = {"keep": True, "destinations": [{"address": "abc@pobox.example"}], "label": "newsletters"}
call("PUT", shop, member, 428, order)
call("PUT", shop, member, 412, order, If_Match='"ffffffffffffffff"')
call("PUT", shop, member, 412, order, If_Match="*")
first, saved = call("PUT", shop, member, 201, order, If_None_Match="*")
assert saved["address"]["destinations"] == [{"address": "abc@pobox.example", "state": "on"}], saved
call("PUT", shop, member, 412, order, If_None_Match="*")
second, saved = call("PATCH", shop, member, 200, {"active": False}, If_Match=first["ETag"])
assert not saved["address"]["active"] and saved["address"]["label"] == "newsletters", saved
_, lost = call("PATCH", shop, member, 412, {"keep": False}, If_Match=first["ETag"])
assert lost["name"] in ("changed", "condition-fails"), lost
third, saved = call("PATCH", shop, member, 200, {"label": None, "active": True}, If_Match=second["ETag"])
assert saved["address"]["label"] is None and saved["address"]["active"], saved
outside = {"keep": True, "destinations": [{"address": "u@peer.example"}, {"address": "abc@pobox.example"}]}
fourth, saved = call("PUT", shop, member, 200, outside, If_Match="*")
assert saved["asked"] == [{"destination": "u@peer.example", "sent": True}], saved
assert {"address": "u@peer.example", "state": "asked"} in saved["address"]["destinations"], saved
# Whoever was asked just now is not asked again at once.
call("POST", shop + "/consent", member, 422, {"destination": "u@peer.example"})
call("PUT", shop, member, 422, {"keep": False, "destinations": []}, If_Match="*")
many = [{"address": f"u{number}@peer.example", "on": False} for number in range(11)]
_, refused = call("PUT", shop, member, 422, {"keep": True, "destinations": many}, If_Match="*")
assert refused["name"] == "too-many-destinations" and refused["field"] == "destinations", refused
_, wrong = call("PUT", shop, member, 400, {"keep": "yes", "destinations": []}, If_Match="*")
assert wrong["field"] == "keep", wrong
call("PUT", shop, member, 400, {"keep": True, "destinations": [], "kepe": 1}, If_Match="*")
call("PUT", shop, member, 415, order, If_Match="*", Content_Type="text/plain")
call("PUT", shop, member, 406, order, If_Match="*", Accept="text/html")
call("PUT", shop, reader, 403, order, If_Match="*")
call("PUT", shop, "x" * 43, 401, order, If_Match="*")
get("/api/v1/addresses/nobody@abc.pobox.example", expected=404)
listed = get("/api/v1/addresses?limit=1")
assert len(listed["addresses"]) == 1, listed
assert get("/api/v1/addresses?search=peer.example")["addresses"][0]["address"] == "foo@xyz.pobox.example"
get("/api/v1/addresses?limit=0", expected=422)
get("/api/v1/addresses?limti=1", expected=400)
get(shop + "/results")
call("DELETE", shop, member, 428)
call("DELETE", shop, member, 204, If_Match=fourth["ETag"])
call("DELETE", shop, member, 412, If_Match="*")

# Mail.
mail = get("/api/v1/mail?way=in&days=3")["messages"]
assert len(mail) == 1 and mail[0]["way"] == "in" and mail[0]["counts"]["delivered"] == 1, mail
life = get("/api/v1/mail/" + mail[0]["id"])["events"]
assert [step["kind"] for step in life] == ["accepted", "delivered"], life
get("/api/v1/mail/0000000000000", expected=404)
get("/api/v1/mail?with=@", expected=400)

# Away.
assert not get("/api/v1/absence")["active"]
away = {"active": True, "until": "2027-01-04T09:00:00+09:00", "subject": "", "text": "冬休みです。"}
_, absence = call("PUT", "/api/v1/absence", member, 200, away)
assert absence["until"] == "2027-01-04T00:00:00Z" and absence["text"] == "冬休みです。", absence
assert get("/api/v1/absence") == absence
call("PUT", "/api/v1/absence", member, 400, {**away, "until": "tomorrow"})

# Operators.
house = "/api/v1/operator/"


def ask(path, expected=200):
    return get(house + path, operator, expected)


get(house + "counts", expected=403)
counts = ask("counts")
assert counts["domains"] == 2 and counts["accounts"] == len(ask("accounts")["accounts"]), (counts, ask("accounts"))
assert len(ask("traffic?hours=3")["hours"]) == 3
ask("traffic?hours=1000", 422)
ask("windows")
assert {"kind": "account", "account": "xyz"} in ask("search?q=xyz")["found"]
assert mail[0]["id"] in [one["id"] for one in ask("mail?party=xyz")["messages"]]
ask("mail/" + mail[0]["id"])
ask("mail/0000000000000", 404)
assert ask("audit?account=xyz")["changes"]
ask("audit?account=@", 400)

_, made = call("POST", house + "accounts", operator, 201, {"name": "new", "password": "a long password"})
assert made["name"] == "new" and made["language"] == "ja", made
call("POST", house + "accounts", operator, 422, {"name": "new"})
call("POST", house + "accounts", operator, 400, {"name": "not a name"})
# "anonymous" is the server's own, for programs of users who are nobody's.
first = ask("accounts?limit=3")
assert [one["name"] for one in first["accounts"]] == ["abc", "anonymous", "new"] and first["next"] == "new", first
assert [one["name"] for one in ask("accounts?after=new")["accounts"]] == ["xyz"]
call("PATCH", house + "accounts/new", operator, 204, {"language": "en", "allowances": {"forward_limit": 3}})
facts = ask("accounts/new")
assert facts["own_allowances"] == {"forward_limit": 3} and facts["language"] == "en", facts
call("PATCH", house + "accounts/new", operator, 204, {"allowances": {"forward_limit": None}})
assert ask("accounts/new")["own_allowances"] == {}
call("PATCH", house + "accounts/new", operator, 422, {"allowances": {"forwards": 3}})
call("PUT", house + "accounts/new/state", operator, 204, {"state": "suspended"})
assert ask("accounts/new")["state"] == "suspended"
call("PUT", house + "accounts/new/state", operator, 400, {"state": "gone"})
call("PUT", house + "accounts/new/password", operator, 204, {"password": "another password"})
call("PUT", house + "accounts/new/password", operator, 422, {"password": ""})
ask("accounts/xyz/addresses")
call("DELETE", house + "accounts/new/windows", operator, 204)
call("DELETE", house + "accounts/new", operator, 204)
call("DELETE", house + "accounts/new", operator, 404)
ask("accounts/new", 404)

relay = {"name": "other.example", "kind": "relay"}
call("POST", house + "domains", operator, 201, relay)
call("POST", house + "domains", operator, 422, relay)
call("POST", house + "domains", operator, 400, {"name": "third.example", "kind": "virtual"})
assert relay in ask("domains")["domains"]
assert ask("domains/shop.example")["domain"]["owner"] == "xyz"
call("DELETE", house + "domains/other.example", operator, 204)
call("DELETE", house + "domains/other.example", operator, 404)
call("PUT", house + "domains/pobox.example/catch-all", operator, 204, {"account": "xyz"})
assert ask("domains/pobox.example")["catch_all"] == "xyz"
call("DELETE", house + "domains/pobox.example/catch-all", operator, 204)
assert ask("domains/pobox.example")["catch_all"] is None
records = ask("domains/pobox.example/dns")["records"]
assert any(record["type"] == "MX" and record["state"] == "unknown" for record in records), records
ask("dns")
ask("domains/nowhere.example/dns", 404)

_, plan = call("PUT", house + "plans/small", operator, 200, {"allowances": {"forward_limit": 1, "quota_bytes": 1000}})
assert plan["allowances"]["quota_bytes"] == 1000 and plan["allowances"]["messages_per_day"] == 2000, plan
call("PUT", house + "plans/small", operator, 422, {"allowances": {"forward_limit": "many"}})
assert [plan["name"] for plan in ask("plans")["plans"]] == ["default", "small"]
call("DELETE", house + "plans/small", operator, 204)
call("DELETE", house + "plans/small", operator, 404)

# The queue: the consent mail waits there too.
waiting = ask("queue")["messages"]
assert waiting == 2, waiting
listed = ask("queue/messages?account=abc&recipient=u@peer.example")["messages"]
assert len(listed) == 1, listed
one = ask("queue/messages?limit=1")
assert len(one["messages"]) == 1 and one["next"], one
rest = ask("queue/messages?after=" + one["next"])
assert len(rest["messages"]) == 1 and rest["next"] is None, rest
ask("queue/messages?after=x", 400)
ask("queue/messages?sender=@", 400)
shown = ask("queue/messages/" + listed[0]["id"])
assert shown["recipients"][0]["address"] == "u@peer.example", shown
ask("queue/messages/0000000000000", 404)
groups = ask("queue/counts?by=domain")
assert groups == {"groups": [{"name": "peer.example", "messages": 2, "recipients": 2}], "partial": False}, groups
ask("queue/counts", 400)
act = {"act": "hold", "ids": [listed[0]["id"]]}
_, result = call("POST", house + "queue/acts", operator, 200, act)
assert result["touched"] == 1, result
assert ask("queue/messages?held=true")["messages"][0]["id"] == listed[0]["id"]
call("POST", house + "queue/acts", operator, 400, {"act": "remove"})
_, result = call("POST", house + "queue/acts", operator, 200, {"act": "remove", "all": True})
assert result["touched"] == 2 and ask("queue")["messages"] == 0, result
ask("queue/destinations")
call("POST", house + "queue/destinations/nowhere.example/resume", operator, 204)

untried = {
    (method.upper(), path)
    for path, operations in document["paths"].items()
    for method in operations
} - done
# Nobody is asked again within an hour.
assert untried == {("POST", "/api/v1/addresses/{address}/consent")}, untried
print("good", seen)
