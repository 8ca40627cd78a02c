#!/usr/bin/python3
"""Synchronize a calendar of a lab with a folder, by vdirsyncer, in both directions.

usage: usevdirsyncer.py LAB.JSON ADDRESS FOLDER

It discovers the calendars of ADDRESS and makes their copies in FOLDER; then what was
put into a copy goes to the server, and what was changed or deleted on one side is on
the other. stdout is one JSON object: the files after each step, and what the
server has.
"""

import argparse
import base64
import http.client
import importlib.metadata
import io
import json
import pathlib
import ssl
import sys
from contextlib import redirect_stdout
from unittest import mock

from labhosts import Lab
from vdirsyncer.cli import app

EVENT = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//vdirsyncer//test//EN\r\nBEGIN:VEVENT\r\nUID:{uid}\r\nDTSTAMP:20261101T000000Z\r\nDTSTART:20261124T090000Z\r\nDTEND:20261124T100000Z\r\nSUMMARY:{summary}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"

CONFIG = """[general]
status_path = "{folder}/status/"

[pair calendar]
a = "here"
b = "there"
collections = ["from b"]
conflict_resolution = "b wins"

[storage here]
type = "filesystem"
path = "{folder}/copies/"
fileext = ".ics"

[storage there]
type = "caldav"
url = "https://{host}/"
username = "{user}"
password = "{password}"
verify = "{ca}"
"""


def run(config, *args, stdin=""):
    """Runs a command of vdirsyncer in this process, where names lead to the lab."""
    stdout = io.StringIO()
    with mock.patch.object(sys, "argv", ["vdirsyncer", "-c", str(config), *args]), mock.patch.object(sys, "stdin", io.StringIO(stdin)), redirect_stdout(stdout):
        try:
            app.main(args=["-c", str(config), *args], standalone_mode=False)
        except SystemExit as e:
            if e.code:
                raise RuntimeError(f"vdirsyncer {args} ends with {e.code}: {stdout.getvalue()}") from e


def server(lab, me, method, path, body=None, headers=None):
    """A request of somebody else's program."""
    host = lab.url(me)
    c = http.client.HTTPSConnection(host, context=ssl.create_default_context(cafile=lab.ca))
    auth = base64.b64encode(f"{me['user']}:{me['password']}".encode()).decode()
    c.request(method, path, body, {"Authorization": "Basic " + auth, **(headers or {})})
    r = c.getresponse()
    r.read()
    return r.status


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("lab", metavar="LAB.JSON")
    p.add_argument("address")
    p.add_argument("folder", type=pathlib.Path)
    opts = p.parse_args()
    lab = Lab(opts.lab)
    me = lab.mailbox(opts.address)
    folder = opts.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config"
    config.write_text(CONFIG.format(folder=folder, host=lab.url(me), user=me["user"], password=me["password"], ca=lab.ca), encoding="utf-8")
    copy = folder / "copies" / "Calendar"

    def files():
        return sorted(f.name for f in copy.glob("*.ics"))

    def summary(name):
        return next(line.split(":", 1)[1].strip() for line in (copy / name).read_text(encoding="utf-8").splitlines() if line.startswith("SUMMARY"))

    out = {"client": "vdirsyncer " + importlib.metadata.version("vdirsyncer")}
    run(config, "discover", stdin="y\n" * 8)
    out["calendars"] = sorted(d.name for d in (folder / "copies").iterdir())
    run(config, "sync")
    first = files()
    out["copied"] = len(first)

    base = f"/caldav/calendars/{opts.address}/Calendar/"
    (copy / "mine.ics").write_text(EVENT.format(uid="mine", summary="Mine"), encoding="utf-8", newline="")
    run(config, "sync")
    out["sent"] = server(lab, me, "GET", base + "mine.ics")
    (copy / "mine.ics").write_text(EVENT.format(uid="mine", summary="Changed here"), encoding="utf-8", newline="")
    out["put there"] = server(lab, me, "PUT", base + "theirs.ics", EVENT.format(uid="theirs", summary="Theirs"), {"Content-Type": "text/calendar"})
    run(config, "sync")
    out["both"] = [n for n in files() if n not in first]
    out["changed there"] = server(lab, me, "PUT", base + "theirs.ics", EVENT.format(uid="theirs", summary="Changed there"), {"Content-Type": "text/calendar"})
    run(config, "sync")
    out["now"] = [summary("mine.ics"), summary("theirs.ics")]
    (copy / "mine.ics").unlink()
    out["deleted there"] = server(lab, me, "DELETE", base + "theirs.ics")
    run(config, "sync")
    out["gone here"] = [n for n in files() if n not in first]
    out["gone there"] = server(lab, me, "GET", base + "mine.ics")
    run(config, "sync")
    out["as before"] = files() == first
    json.dump(out, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
