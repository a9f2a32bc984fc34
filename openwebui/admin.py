"""Keeps the admin an admin when the way in which people sign in changes, and when the disk comes to another stack.

    python3 -I admin.py DATA_DIR

Run before Open WebUI, as its user. People sign in with a password, or by their login on the tailnet. With the way changes the address by
which the admin is known. So at that start the account of the
admin gets the address of the setting, and keeps its chats; back at passwords it gets the generated one, for an account that the tailnet
has made has a password that nobody knows. DATA_DIR/signed-in-by-tailnet has the admin's address as long as people are signed in by the
tailnet.

A stack that is made anew has another generated password than the one whose backup it starts with, which may be known to nobody any more:
then, too, the admin gets the generated one. DATA_DIR/generated-password has the SHA-256 of the one of before. Other starts change nothing.

Prints one sentence about what it did, or nothing. Ends with 1, and one sentence on why, where the admin would be locked out.

Environment, as Open WebUI takes it:
    WEBUI_AUTH_TRUSTED_EMAIL_HEADER    set: by the tailnet; otherwise with a password
    WEBUI_ADMIN_EMAIL, WEBUI_ADMIN_PASSWORD
"""

import contextlib
import hashlib
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import bcrypt


class Refused(Exception):
    pass


def carry_over(rows, former, email):
    """Makes the account of this address an admin: the one that has it, or that of the former or the first admin. Says what changed."""
    account = rows.execute('SELECT id, role FROM "user" WHERE email = ?', [email]).fetchone()
    if account:
        if account[1] == "admin":
            return ""
        rows.execute("UPDATE \"user\" SET role = 'admin' WHERE id = ?", [account[0]])
        return f"The account {email} is an admin from now on, as webuiAdminEmail says."
    admin = rows.execute(
        "SELECT id, email FROM \"user\" WHERE role = 'admin' ORDER BY email = ? DESC, created_at LIMIT 1", [former]
    ).fetchone()
    if not admin:
        raise Refused("No account on this disk is an admin: restore a snapshot of the disk, see docs/recover.md.")
    for table in ("user", "auth"):
        rows.execute(f'UPDATE "{table}" SET email = ? WHERE id = ?', [email, admin[0]])
    return f"The admin's account {admin[1]} is {email} from now on, with its chats, as webuiAdminEmail says."


def settle(database, former, email, password, by_tailnet):
    """Does it in webui.db; `former` is the address of the admin whom the tailnet has signed in so far, or None."""
    with closing(sqlite3.connect(database, timeout=60)) as rows, rows:
        if not rows.execute("SELECT 1 FROM sqlite_master WHERE name = 'user'").fetchone():
            return ""
        if not rows.execute('SELECT 1 FROM "user"').fetchone():
            return ""  # Open WebUI makes the first one
        if by_tailnet and former:
            known = rows.execute("SELECT 1 FROM \"user\" WHERE email = ? AND role = 'admin'", [email]).fetchone()
            if former != email and not known:
                raise Refused(
                    f"webuiAdminEmail is {email} now, and the admin of this disk is {former}: set it back to {former}, or sign in as {former}, "
                    f"make {email} an admin on the page, and start again."
                )
            return ""
        said = carry_over(rows, former, email)
        if not by_tailnet:
            hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt()).decode()
            rows.execute('UPDATE "auth" SET password = ? WHERE email = ?', [hashed, email])
            said = f"{said} {email} signs in with the generated password.".strip()
        return said


def main(folder):
    database, mark = folder / "webui.db", folder / "signed-in-by-tailnet"
    email = os.environ["WEBUI_ADMIN_EMAIL"].lower()
    by_tailnet = bool(os.environ.get("WEBUI_AUTH_TRUSTED_EMAIL_HEADER"))
    former = mark.read_text().strip() if mark.exists() else None
    password, generated = os.environ["WEBUI_ADMIN_PASSWORD"], folder / "generated-password"
    digest = hashlib.sha256(password.encode()).hexdigest()
    known = generated.read_text().strip() if generated.exists() else ""
    of_another_stack = known not in ("", digest)
    if database.exists() and (by_tailnet or former or of_another_stack):
        try:
            print(settle(database, former, email, password, by_tailnet), end="")
        except Refused as refusal:
            print(refusal, end="")
            sys.exit(1)
    if by_tailnet:
        mark.write_text(email)
    else:
        mark.unlink(missing_ok=True)
    if known != digest:
        # A full disk ends no start; the next one writes it.
        with contextlib.suppress(OSError):
            generated.write_text(digest)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
