#!/usr/bin/python3
"""Use a calendar of a lab with python-caldav, from discovery to the outbox.

usage: usecaldav.py LAB.JSON ADDRESS [ATTENDEE ...]

It signs in as the owner of ADDRESS, makes a calendar, puts, finds, changes and
deletes events, follows changes, and asks for the free/busy of the attendees. stdout
is one JSON object: what each step saw. The first step that fails ends it.
"""

import argparse
import datetime
import importlib.metadata
import json
import re
import sys
import urllib.parse

import caldav
from caldav.elements import dav
from caldav.lib import error

from labhosts import Lab

C = "{urn:ietf:params:xml:ns:caldav}"
UTC = datetime.timezone.utc
DAY = datetime.datetime(2026, 11, 24, tzinfo=UTC)

EVENT = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//python-caldav//test//EN
BEGIN:VEVENT
UID:{uid}
DTSTAMP:20261101T000000Z
DTSTART:{start}
DTEND:{end}
SUMMARY:{summary}
{more}END:VEVENT
END:VCALENDAR
"""


def event(uid, start, end, summary, more=""):
    return EVENT.format(uid=uid, start=start, end=end, summary=summary, more=more)


def summaries(objects):
    return sorted(re.search(r"SUMMARY:(.*)", o.data).group(1).strip() for o in objects)


def starts(objects):
    return sorted(re.search(r"DTSTART[^:]*:(\S+)", e).group(1) for o in objects for e in o.data.split("BEGIN:VEVENT")[1:])


def refused(do):
    try:
        do()
    except error.DAVError as e:
        return type(e).__name__
    return "nothing"


def periods(text):
    return sorted(m.group(2) + " " + (m.group(1) or "BUSY") for m in re.finditer(r"FREEBUSY(?:;FBTYPE=([A-Z-]+))?:(\S+)", text.replace("\r\n ", "").replace("\n ", "")))


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("lab", metavar="LAB.JSON")
    p.add_argument("address")
    p.add_argument("attendees", nargs="*")
    opts = p.parse_args()
    lab = Lab(opts.lab)
    me = lab.mailbox(opts.address)
    client = caldav.DAVClient(
        url="https://" + lab.url(me) + "/.well-known/caldav", username=me["user"], password=me["password"], ssl_verify_cert=lab.ca)
    out = {"client": "python-caldav " + importlib.metadata.version("caldav")}

    principal = client.principal()
    out["principal"] = urllib.parse.urlsplit(str(principal.url)).path
    out["home"] = urllib.parse.urlsplit(str(principal.calendar_home_set.url)).path
    out["addresses"] = principal.calendar_user_address_set()
    out["calendars"] = sorted(str(c.get_property(dav.DisplayName())) for c in principal.calendars())

    cal = principal.make_calendar(name="Plans", cal_id="plans-1", supported_calendar_component_set=["VEVENT"])
    out["made"] = str(cal.get_property(dav.DisplayName()))
    cal.set_properties([dav.DisplayName("Plans of mine")])
    out["renamed"] = str(principal.calendar(cal_id="plans-1").get_property(dav.DisplayName()))
    out["made twice"] = refused(lambda: principal.make_calendar(name="Plans", cal_id="plans-1"))

    one = cal.save_event(event("one", "20261124T090000Z", "20261124T100000Z", "One"))
    cal.save_event(event("many", "20261123T120000Z", "20261123T123000Z", "Many", "RRULE:FREQ=DAILY;COUNT=5\n"))
    out["put"] = summaries(cal.events())
    out["no_overwrite"] = refused(lambda: cal.save_event(event("one", "20261124T090000Z", "20261124T100000Z", "One"), no_overwrite=True))
    out["broken"] = refused(lambda: client.put(str(cal.url) + "broken.ics", "BEGIN:VCALENDAR\nEND:VCALENDAR\n", {"Content-Type": "text/calendar"}))

    out["found"] = summaries(cal.search(start=DAY, end=DAY + datetime.timedelta(days=1), event=True))
    out["expanded"] = starts(cal.date_search(DAY, DAY + datetime.timedelta(days=2), expand=True))
    out["by uid"] = summaries([cal.event_by_uid("many")])
    out["by text"] = summaries(cal.search(event=True, summary="an"))
    out["todos"] = len(cal.todos())
    out["by url"] = summaries([cal.event_by_url(one.url)])

    followed = cal.objects_by_sync_token(load_objects=True)
    one.data = one.data.replace("SUMMARY:One", "SUMMARY:Other")
    one.save()
    cal.event_by_uid("many").delete()
    out["changed"] = summaries([cal.event_by_uid("one")])
    news = cal.objects_by_sync_token(sync_token=followed.sync_token, load_objects=False)
    out["news"] = sorted(urllib.parse.urlsplit(str(o.url)).path.rsplit("/", 1)[1] for o in news)
    before = len(list(followed))
    updated, deleted = followed.sync()
    out["sync"] = [before, len(list(updated)), len(list(deleted)), len(list(followed))]
    out["bad token"] = refused(lambda: cal.objects_by_sync_token(sync_token="http://example.com/none"))

    out["own busy"] = periods(cal.freebusy_request(DAY, DAY + datetime.timedelta(days=1)).data)
    out["busy"] = {}
    if opts.attendees:
        # Its own freebusy_request (0.11) reads the answer as if it were a multistatus.
        raw = client.post(principal.schedule_outbox().url, question(opts.address, opts.attendees), {"Content-Type": "text/calendar; charset=utf-8"})
        for r in raw.tree.iter(C + "response"):
            data = r.find(C + "calendar-data")
            out["busy"][r.find(C + "recipient/{DAV:}href").text] = [r.find(C + "request-status").text] + (periods(data.text) if data is not None else [])

    cal.delete()
    out["deleted"] = sorted(str(c.get_property(dav.DisplayName())) for c in principal.calendars())
    json.dump(out, sys.stdout, indent=1, ensure_ascii=False)
    print()


def question(organizer, attendees):
    return "\r\n".join([
        "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//test//EN", "METHOD:REQUEST", "BEGIN:VFREEBUSY", "UID:q", "DTSTAMP:20261101T000000Z",
        "DTSTART:" + DAY.strftime("%Y%m%dT%H%M%SZ"), "DTEND:" + (DAY + datetime.timedelta(days=1)).strftime("%Y%m%dT%H%M%SZ"),
        "ORGANIZER:mailto:" + organizer, *("ATTENDEE:mailto:" + a for a in attendees), "END:VFREEBUSY", "END:VCALENDAR", ""])


if __name__ == "__main__":
    main()
