"""Runs openwebui/admin.py, in Open WebUI's container and as its user, on copies of its database, through one start after another.

Standard input, as JSON: a list of starts, [address of the setting, whether the tailnet signs people in, statements of SQL before it, generated
password]. Prints as JSON a list: {"code", "said", "accounts": {address: [id, role]}, "opens": the addresses that this password opens}.
"""

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing

import bcrypt

folder = tempfile.mkdtemp()
with closing(sqlite3.connect("/app/backend/data/webui.db")) as own, closing(sqlite3.connect(f"{folder}/webui.db")) as copy:
    own.backup(copy)
found = []
for email, by_tailnet, statements, password in json.load(sys.stdin):
    with closing(sqlite3.connect(f"{folder}/webui.db")) as rows, rows:
        for statement in statements:
            rows.execute(statement)
    header = {"WEBUI_AUTH_TRUSTED_EMAIL_HEADER": "Tailscale-User-Login"} if by_tailnet else {}
    environment = {"PATH": os.environ["PATH"], "WEBUI_ADMIN_EMAIL": email, "WEBUI_ADMIN_PASSWORD": password, **header}
    ended = subprocess.run([sys.executable, "-I", "/usr/local/lib/admin.py", folder], env=environment, capture_output=True, text=True)
    with closing(sqlite3.connect(f"{folder}/webui.db")) as rows:
        accounts = {address: [id, role] for address, id, role in rows.execute('SELECT email, id, role FROM "user"')}
        hashes = dict(rows.execute("SELECT email, password FROM auth"))
    opens = [address for address, hash in hashes.items() if bcrypt.checkpw(password.encode(), hash.encode())]
    found.append({"code": ended.returncode, "said": ended.stdout + ended.stderr, "accounts": accounts, "opens": opens})
print(json.dumps(found))
