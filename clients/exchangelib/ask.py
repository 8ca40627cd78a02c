#!/usr/bin/python3
"""Ask both organizations of a lab for free/busy with exchangelib.

usage: ask.py LAB.JSON [--urls KEY,...] [--start T] [--end T] [--interval MIN]
              [--zone ZONE] [ADDRESS ...]

For each URL (by default ews_onprem and ews_cloud of lab.json) it signs in as a
user of that organization and asks for all addresses in one request; without
addresses, for one mailbox of each organization. stdout is one JSON object.
The exit status is 0 when every request was answered, also when the answer for
a mailbox is an error.
"""

import argparse
import datetime
import json
import pathlib
import sys
import urllib.parse

import exchangelib
import urllib3.util.connection
from exchangelib.errors import ResponseMessageError
from exchangelib.protocol import BaseProtocol
from exchangelib.services import GetUserAvailability


def connect_to(lab):
    """Makes connections to the lab's host names end at its loopback addresses.

    Host names in URLs, in the Host header and in the check of the certificate
    stay what they are.
    """
    hosts, port = lab["hosts"], lab["port"]
    create_connection = urllib3.util.connection.create_connection

    def to_lab(address, *args, **kwargs):
        host, _ = address
        if host not in hosts:
            raise OSError(f"{host} is not a host of the lab")
        return create_connection((hosts[host], port), *args, **kwargs)

    urllib3.util.connection.create_connection = to_lab


def trust(ca_file):
    """Certificates are verified against the lab's own authority."""

    class LabAuthority(BaseProtocol.HTTP_ADAPTER_CLS):
        def cert_verify(self, conn, url, verify, cert):
            super().cert_verify(conn=conn, url=url, verify=ca_file, cert=cert)

    BaseProtocol.HTTP_ADAPTER_CLS = LabAuthority


def user_of(lab, url):
    """A mailbox of the organization behind url, of that very node if there is one."""
    host = urllib.parse.urlsplit(url).hostname
    own = [m for m in lab["mailboxes"] if m.get("node") == host]
    if own:
        return own[0]
    key = next(k for k, v in lab["urls"].items() if v == url)
    org = "cloud" if key == "ews_cloud" else "onprem"
    return next(m for m in lab["mailboxes"] if m["org"] == org)


def utc(when, zone):
    """Times in an answer are wall time of the zone that was asked in (EWS reference 2.3)."""
    if when.tzinfo is None:
        when = when.replace(tzinfo=zone)
    return when.astimezone(exchangelib.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def answer(address, view, zone):
    out = {"address": address, "view": None, "merged": None, "events": [], "working_hours": 0, "error": None, "text": None}
    if isinstance(view, Exception):
        out["error"], out["text"] = type(view).__name__, str(view)
        return out
    out["view"], out["merged"] = view.view_type, view.merged
    out["working_hours"] = len(view.working_hours or [])
    for e in view.calendar_events or []:
        d = e.details
        out["events"].append({
            "start": utc(e.start, zone), "end": utc(e.end, zone), "status": e.busy_type,
            "subject": d.subject if d else None, "location": d.location if d else None,
            "private": bool(d.is_private) if d else None, "recurring": bool(d.is_recurring) if d else None,
        })
    return out


def ask(lab, key, addresses, opts):
    url = lab["urls"][key]
    me = user_of(lab, url)
    zone = exchangelib.EWSTimeZone(opts.zone)
    config = exchangelib.Configuration(
        service_endpoint=url,
        credentials=exchangelib.Credentials(username=me["user"], password=me["password"]),
    )
    account = exchangelib.Account(
        primary_smtp_address=me["address"], config=config, autodiscover=False,
        access_type=exchangelib.DELEGATE, default_timezone=zone,
    )
    window = [exchangelib.EWSDateTime.from_datetime(t.astimezone(datetime.timezone.utc)).astimezone(zone) for t in (opts.start, opts.end)]
    views = account.protocol.get_free_busy_info(
        accounts=[(a, "Required", False) for a in addresses],
        start=window[0], end=window[1], merged_free_busy_interval=opts.interval, requested_view="DetailedMerged",
    )
    return {
        "url": url, "org": me["org"], "as": me["address"],
        "version": str(account.version.build), "auth": account.protocol.auth_type,
        "mailboxes": [answer(a, v, zone) for a, v in zip(addresses, views, strict=True)],
    }


def instant(s):
    t = datetime.datetime.fromisoformat(s.replace("Z", "+00:00"))
    return t if t.tzinfo else t.replace(tzinfo=datetime.timezone.utc)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("lab")
    p.add_argument("addresses", nargs="*", metavar="ADDRESS")
    p.add_argument("--urls", default="ews_onprem,ews_cloud")
    p.add_argument("--start", type=instant)
    p.add_argument("--end", type=instant)
    p.add_argument("--interval", type=int, default=30)
    p.add_argument("--zone", default="UTC")
    opts = p.parse_args()
    opts.start = opts.start or datetime.datetime.now(datetime.timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    opts.end = opts.end or opts.start + datetime.timedelta(days=1)

    path = pathlib.Path(opts.lab)
    lab = json.loads(path.read_text(encoding="utf-8"))
    connect_to(lab)
    trust(str(path.parent / lab["ca_file"]))
    # Its own list holds one error; the others would raise for the whole question.
    GetUserAvailability.ERRORS_TO_CATCH_IN_RESPONSE = ResponseMessageError

    addresses = opts.addresses or [next(m["address"] for m in lab["mailboxes"] if m["org"] == org) for org in ("onprem", "cloud")]
    json.dump({
        "client": f"exchangelib {exchangelib.__version__}",
        "organizations": [ask(lab, key, addresses, opts) for key in opts.urls.split(",")],
    }, sys.stdout, indent=1, ensure_ascii=False)
    print()


if __name__ == "__main__":
    main()
