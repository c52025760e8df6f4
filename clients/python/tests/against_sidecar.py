"""What the client sees of a sidecar that runs: the variable KEYSTEAD_FILES_DIR is its folder, and the argument the
value that hubspot/api_key has. Prints `ready`, and then what a watch tells until access is taken away."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from keystead import AccessDenied, Error, NotFound, Scope, Secrets, Unavailable  # noqa: E402


def raises(kind, act):
    try:
        act()
    except kind as error:
        return str(error)
    raise AssertionError(f"no {kind.__name__}")


folder, value = os.environ["KEYSTEAD_FILES_DIR"], sys.argv[1]
secrets = Secrets()
found = secrets.get("hubspot", "api_key")
assert found.value == value and found.scope == Scope("Company", "acme"), found
assert found.version == 1 and value not in repr(found), found
listed = [(entry["service"], entry["key"]) for entry in secrets.list()]
assert ("hubspot", "api_key") in listed, listed
assert secrets.read("hubspot/api_key") == value
message = raises(NotFound, lambda: secrets.get("hubspot", "other"))
assert message == "no value for hubspot/other in company acme, global", message
raises(NotFound, lambda: secrets.read("none"))
raises(NotFound, lambda: secrets.read("../token/vault"))
raises(Unavailable, lambda: Secrets(folder + "/nowhere").get("hubspot", "api_key"))
print("ready", flush=True)

for now in secrets.watch("hubspot", "api_key", every=0.05):
    if isinstance(now, Error):
        print(type(now).__name__, flush=True)
        if isinstance(now, AccessDenied):
            break
    else:
        print(now.value, flush=True)
