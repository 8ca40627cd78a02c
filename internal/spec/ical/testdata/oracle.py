#!/usr/bin/env python3
"""Draws recurrence sets with exceptions and expands them with python-dateutil.

usage: oracle.py SEED COUNT [FIRST]

Each line of the output is a JSON object: the number of the case, a calendar
(ics), the zone of floating times, a window and the instances that overlap it
(want). Case n of a seed is the same whatever COUNT is.

dateutil expands the rules, zoneinfo turns readings of clocks into instants, and
plain Python does the rest: COUNT, UNTIL, RDATE, EXDATE, EXRULE and overrides.

Where RFC 5545 leaves a rule open dateutil is told the reading:
  weeks     BYSETPOS of a WEEKLY rule counts in whole weeks, not from DTSTART on
  week-no   BYWEEKNO counts in years of weeks, for INTERVAL and BYSETPOS too;
            without a day it means the weekday of DTSTART. Here the number of a
            week is counted: dateutil errs about week 53 in January
  month     BYMONTHDAY of a YEARLY rule without a month means that of DTSTART
  mixed     plain days beside numbered ones in BYDAY count as well
  start     DTSTART is an instance though the rule does not match it
"""
import datetime as dt
import functools
import json
import random
import sys
import types
from zoneinfo import ZoneInfo

import dateutil.rrule as engine

# A rule that never matches ends here, not with the year 9999.
LAST_YEAR = 2045
engine.datetime = types.SimpleNamespace(**{k: getattr(dt, k) for k in dir(dt) if k[0] != '_'})
engine.datetime.MAXYEAR = LAST_YEAR

SECOND, MINUTE, HOUR, DAY = (dt.timedelta(**{u: 1}) for u in ('seconds', 'minutes', 'hours', 'days'))
NAMES = ('MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU')

# The zones, with the name Windows has for some.
ZONES = {
    'Europe/Berlin': 'W. Europe Standard Time',
    'Europe/Dublin': '',                               # its winter is the exception
    'America/New_York': 'Eastern Standard Time',       # other rules since 2007
    'America/St_Johns': 'Newfoundland Standard Time',  # changed at 00:01
    'America/Santiago': 'Pacific SA Standard Time',    # changes at midnight
    'America/Sao_Paulo': 'E. South America Standard Time',
    'Africa/Casablanca': 'Morocco Standard Time',      # four changes a year
    'Africa/Cairo': 'Egypt Standard Time',
    'Asia/Tehran': 'Iran Standard Time',
    'Asia/Kathmandu': 'Nepal Standard Time',           # 15 minutes, once
    'Asia/Gaza': '',                                   # rules of each year
    'Australia/Lord_Howe': 'Lord Howe Standard Time',  # half an hour
    'Pacific/Apia': 'Samoa Standard Time',             # no 30 December 2011
    'Pacific/Kwajalein': '',                           # no 21 August 1993
    'Antarctica/Troll': '',                            # two hours
}


class Zone:
    """Turns readings of clocks into instants and back; both are naive datetimes."""

    def __init__(self, name):
        self.name, self.info = name, ZoneInfo(name)

    def utc(self, wall):
        # PEP 495, fold 0: before a change for a reading that it skips, the first of two.
        return wall.replace(tzinfo=self.info, fold=0).astimezone(dt.timezone.utc).replace(tzinfo=None)

    def wall(self, utc):
        return utc.replace(tzinfo=dt.timezone.utc).astimezone(self.info).replace(tzinfo=None)

    @functools.cached_property
    def changes(self):
        """The changes of the clocks: (instant, offset before, offset after, is it summer)."""
        found, step = [], 8 * DAY
        t, end = dt.datetime(1970, 1, 1), dt.datetime(LAST_YEAR, 1, 1)
        offset = self.wall(t) - t
        while t < end:
            after = self.wall(t + step) - (t + step)
            if after != offset:
                lo, hi = t, t + step
                while hi - lo > SECOND:
                    mid = (lo + (hi - lo) / 2).replace(microsecond=0)
                    lo, hi = (mid, hi) if self.wall(mid) - mid == offset else (lo, mid)
                after = self.wall(hi) - hi
                summer = bool(hi.replace(tzinfo=dt.timezone.utc).astimezone(self.info).dst())
                found.append((hi, offset, after, summer))
                offset, t = after, hi
            else:
                t += step
        return found

    def vtimezone(self, tzid):
        """The zone as a component that lists its changes one by one."""
        out = ['BEGIN:VTIMEZONE', 'TZID:' + tzid]
        groups = {('STANDARD', self.changes[0][1], self.changes[0][1]): ['19700101T000000']} if self.changes else {
            ('STANDARD', dt.timedelta(0), dt.timedelta(0)): ['19700101T000000']}
        for at, before, after, summer in self.changes:
            groups.setdefault(('DAYLIGHT' if summer else 'STANDARD', before, after), []).append(stamp(at + before))
        for (name, before, after), onsets in groups.items():
            out += ['BEGIN:' + name, 'TZOFFSETFROM:' + offset_text(before), 'TZOFFSETTO:' + offset_text(after), 'DTSTART:' + onsets[0]]
            if onsets[1:]:
                out.append('RDATE:' + ','.join(onsets[1:]))
            out.append('END:' + name)
        return out + ['END:VTIMEZONE']


zone = functools.cache(Zone)


def offset_text(d):
    s = int(d.total_seconds())
    sign, s = '+-'[s < 0], abs(s)
    return f'{sign}{s // 3600:02}{s // 60 % 60:02}' + (f'{s % 60:02}' if s % 60 else '')


def stamp(t):
    return t.strftime('%Y%m%dT%H%M%S')


def day(t):
    return t.replace(hour=0, minute=0, second=0)


# Rules. A rule is a dict of the parts of RFC 5545 in lower case; byday is a list
# of (number, weekday), 0 for no number.

def rule_text(rule):
    parts = []
    for key, v in rule.items():
        if key == 'byday':
            v = ','.join((str(n) if n else '') + NAMES[d] for n, d in v)
        elif key == 'wkst':
            v = NAMES[v]
        elif isinstance(v, list):
            v = ','.join(map(str, v))
        parts.append(f'{key.upper()}={v}')
    return ';'.join(parts)


def week(t, wkst):
    """The year to which the week of t belongs, and its number there: the year has the fourth day of the week."""
    middle = t - dt.timedelta((t.weekday() - wkst) % 7) + 3 * DAY
    return middle.year, (middle.timetuple().tm_yday - 1) // 7 + 1


def readings(rule, start, end):
    """The readings that a rule gives from start to end, without COUNT and UNTIL."""
    freq, wkst, interval = rule['freq'], rule.get('wkst', 0), rule.get('interval', 1)
    lists = {k: rule[k] for k in ('bymonth', 'bymonthday', 'byyearday', 'byhour', 'byminute', 'bysecond') if k in rule}
    days, weeks, positions = rule.get('byday'), 'byweekno' in rule, rule.get('bysetpos')
    begin = start
    if freq == 'YEARLY' and not days and 'byyearday' not in rule:
        if weeks and 'bymonthday' not in rule:
            days = [(0, start.weekday())]
        elif not weeks and 'bymonthday' in rule:
            lists.setdefault('bymonth', [start.month])
    elif freq == 'YEARLY' and 'bymonthday' in rule and 'byyearday' not in rule and not weeks:
        lists.setdefault('bymonth', [start.month])
    if freq == 'WEEKLY':
        days = days or [(0, start.weekday())]
        begin -= dt.timedelta((start.weekday() - wkst) % 7)
    if weeks:
        freq, begin, interval, positions = 'DAILY', begin.replace(year=start.year - 1, month=1, day=1), 1, None
    if days and any(n for n, _ in days):
        most = 53 if freq == 'YEARLY' and 'bymonth' not in lists else 5
        days = [(m, d) for n, d in days for m in ([n] if n else range(1, most + 1))]
    if days:
        lists['byweekday'] = [engine.weekday(d, n) if n else engine.weekday(d) for n, d in days]
    if positions:
        lists['bysetpos'] = positions
    until = end + 400 * DAY if weeks else end  # BYSETPOS wants whole years
    try:
        found = list(engine.rrule(getattr(engine, freq), dtstart=begin, until=until, interval=interval, wkst=wkst, **lists))
    except ValueError:  # it sees that nothing can match
        return []
    if weeks:
        years, found_in = {}, {}
        for t in found:
            y, n = week(t, wkst)
            if n in rule['byweekno'] or n - 1 - week(dt.datetime(y, 12, 28), wkst)[1] in rule['byweekno']:
                years.setdefault(y, []).append(t)
                found_in[day(t)] = y
        first = found_in.get(day(start), start.year)
        found = []
        for y, times in years.items():
            if (y - first) % rule.get('interval', 1):
                continue
            if 'bysetpos' in rule:
                times = [times[i] for i in sorted({p - 1 if p > 0 else p + len(times) for p in rule['bysetpos']}) if 0 <= i < len(times)]
            found += times
    return [t for t in found if start <= t <= end]


# Cases.

class Case:
    """One event and its exceptions: what it says as iCalendar, and what it means."""

    def __init__(self, r, number):
        self.r, self.number = r, number
        self.home = zone(r.choice(sorted(ZONES)))  # of floating times
        self.kind = r.choices(('name', 'own', 'lies', 'windows', 'utc', 'floating', 'date'), (34, 18, 8, 8, 4, 10, 18))[0]
        self.date = self.kind == 'date'
        self.zone = zone('UTC') if self.kind == 'utc' else self.home
        self.floating = self.home if self.kind in ('floating', 'date') else zone(r.choice(sorted(ZONES)))
        self.tzid = {
            'name': self.home.name, 'own': 'Private', 'windows': ZONES[self.home.name] or self.home.name,
            'lies': r.choice([n for n in sorted(ZONES) if n != self.home.name]),
        }.get(self.kind, '')
        self.vtimezone = self.zone.vtimezone(self.tzid) if self.kind in ('own', 'lies') else []

    # How a time is written.

    def local(self, name, wall, more=''):
        """A property with a reading of the event's clock."""
        if self.date:
            return f'{name};VALUE=DATE{more}:{wall:%Y%m%d}'
        z = 'Z' if self.kind == 'utc' else ''
        return f'{name}{";TZID=" + self.tzid if self.tzid else ""}{more}:{stamp(wall)}{z}'

    def instant(self, name, utc, wall, more=''):
        """A property that names an instant in one of the ways there are."""
        r = self.r
        if self.date or self.zone.utc(wall) == utc and r.random() < 0.6:
            return self.local(name, wall, more)
        if r.random() < 0.7:
            return f'{name}{more}:{stamp(utc)}Z'
        other = zone(r.choice([n for n in sorted(ZONES) if n != self.tzid and n != self.home.name]))
        if other.utc(other.wall(utc)) != utc:  # the second of two
            return f'{name}{more}:{stamp(utc)}Z'
        return f'{name};TZID={other.name}{more}:{stamp(other.wall(utc))}'

    # Lengths are (days of the calendar, seconds).

    def draw_length(self):
        r = self.r
        if self.date:
            return (r.choices((1, 2, 3, 7), (70, 15, 10, 5))[0], dt.timedelta(0))
        if r.random() < 0.12:
            return (r.choice((1, 1, 2, 7)), r.choice((0, 0, 2)) * HOUR)
        return (0, r.choices((15, 30, 60, 90, 180, 24 * 60, 26 * 60, 0), (15, 30, 30, 10, 5, 5, 4, 1))[0] * MINUTE)

    def length_text(self, length, wall, z, write):
        """DTEND or DURATION, and the length that it means: an end is exact."""
        days, rest = length
        if self.r.random() < 0.5 or days == 0 and not rest:
            text = 'P' + (f'{days}D' if days else '')
            if rest or not days:
                text += f'T{int(rest.total_seconds()) // 60}M'
            return 'DURATION:' + text, length
        if self.date:
            return write('DTEND', wall + days * DAY), length
        end = self.end(False, z.utc(wall), wall, z, length)
        if z.utc(z.wall(end)) != end:
            return f'DTEND:{stamp(end)}Z', (0, end - z.utc(wall))
        return write('DTEND', z.wall(end)), (0, end - z.utc(wall))

    @staticmethod
    def end(date, utc, wall, z, length):
        days, rest = length
        if days:
            utc = z.utc((wall if date else z.wall(utc)) + days * DAY)
        return utc + rest

    def draw_state(self):
        """The line that says how busy an instance is, if there is one."""
        return self.r.choices(((), ('TRANSP:TRANSPARENT',), ('STATUS:CANCELLED',), ('STATUS:TENTATIVE',), ('X-MICROSOFT-CDO-BUSYSTATUS:OOF',)),
                              (80, 5, 6, 5, 4))[0]

    # The event.

    def draw_start(self):
        """A window about a change of the clocks, and a start before it."""
        r = self.r
        changes = [c for c in self.home.changes if 1985 <= c[0].year <= 2030]
        change = r.choice(changes)
        if self.home.name in ('Pacific/Apia', 'Pacific/Kwajalein') and r.random() < 0.5:
            change = max(changes, key=lambda c: abs(c[2] - c[1]))
        freq = r.choices(('YEARLY', 'MONTHLY', 'WEEKLY', 'DAILY', 'HOURLY', 'MINUTELY'), (20, 27, 28, 20, *((0, 0) if self.date else (3, 2))))[0]
        length = r.choice((1, 3, 7, 7, 14, 42, 62) if freq not in ('HOURLY', 'MINUTELY') else (1, 2, 3))
        self.frm = day(change[0]) - r.randrange(0, length * 24) * HOUR
        self.to = self.frm + length * DAY
        back = {'YEARLY': 8 * 366, 'MONTHLY': 30 * 30, 'WEEKLY': 250, 'DAILY': 90, 'HOURLY': 5, 'MINUTELY': 1}[freq]
        at = change[0] + change[1]  # the reading at which the clocks change
        if r.random() < 0.55:
            wall = at + r.choice((0, 0, 15, 30, 30, 45, 59, 60, 90, -1, -30, -60)) * MINUTE
        else:
            wall = day(at) + r.choice((9 * 60, 9 * 60, 14 * 60 + 30, 0, r.randrange(24 * 60), r.randrange(24 * 60))) * MINUTE
        if freq == 'WEEKLY' and r.random() < 0.6:
            wall -= 7 * DAY * r.randrange(0, back // 7)
        elif freq == 'YEARLY' and r.random() < 0.3:
            wall = wall.replace(year=wall.year - r.randrange(0, 8), day=min(wall.day, 28))
        else:
            wall -= r.randrange(0, back) * DAY
        if r.random() < 0.05:
            wall = wall.replace(year=wall.year // 4 * 4, month=2, day=29)
        if r.random() < 0.03:
            wall = self.zone.wall(self.frm) + r.randrange(0, length * 24) * HOUR  # begins in the window
        self.start = day(wall) if self.date else wall.replace(second=r.choice((0, 0, 0, 0, 17)))
        return freq

    def move_window(self, instants):
        """Moves the window back to one of the instants, one near a change of the clocks."""
        if not instants:
            return
        r, changes = self.r, [c[0] for c in self.home.changes]
        few = r.sample(instants, min(len(instants), 8))
        u = min(few, key=lambda u: min(abs(u - c) for c in changes))
        length = self.to - self.frm
        self.frm = day(u) - r.randrange(0, length // HOUR) * HOUR
        self.to = min(self.frm + length, self.to)

    def draw_rule(self, freq):
        r, s = self.r, self.start

        def some(values, most=3):
            return sorted(r.sample(list(values), r.randint(1, min(most, len(values)))))

        def signed(values, most=3):
            return sorted({v if r.random() < 0.6 else -v for v in some(values, most)})

        def weekdays(numbers=(0,)):
            list_ = {(r.choice(numbers), d) for d in some(range(7), 4)}
            if r.random() < 0.7:
                list_.add((r.choice(numbers), s.weekday()))
            return sorted(list_)

        rule = {'freq': freq}
        interval = {'YEARLY': 4, 'MONTHLY': 7, 'WEEKLY': 4, 'DAILY': 10, 'HOURLY': 13, 'MINUTELY': 90}[freq]
        if r.random() < 0.45:
            rule['interval'] = r.randint(2, interval)
        if freq == 'MINUTELY':
            rule['interval'] = r.choice((10, 15, 20, 30, 45, 60, 90, 720))
        if r.random() < (0.5 if freq == 'YEARLY' else 0.08):
            rule['bymonth'] = sorted({*some(range(1, 13)), *([s.month] if r.random() < 0.6 else [])})
        if freq == 'YEARLY':
            shape = r.random()
            if shape < 0.2:
                rule['byweekno'] = sorted({v for v in signed((1, 2, 9, 10, 12, 13, 14, 26, 39, 40, 43, 44, 45, 51), 4)} | ({r.choice((52, 53))} if r.random() < 0.3 else set()))
                if r.random() < 0.85:
                    rule['byday'] = weekdays()
            elif shape < 0.35:
                rule['byyearday'] = signed((1, 31, 59, 60, 61, 84, 90, 100, 245, 250, 300, 307, 330, 365, 366))
            elif shape < 0.65:
                rule['byday'] = weekdays((1, 2, -1, -2, 5, 0) if 'bymonth' in rule else (1, 10, 13, -1, -9, 44, 53, 0))
            elif shape < 0.85:
                rule['bymonthday'] = signed((*range(1, 32), 1, 29, 30, 31))
                if r.random() < 0.2:
                    rule['byday'] = weekdays()
        elif freq == 'MONTHLY':
            shape = r.random()
            if shape < 0.45:
                rule['byday'] = weekdays(r.choice(((1, 2, 3, 4, -1, -2, 5), (0,), (1, -1, 0))))
            if shape > 0.4 and shape < 0.8:
                rule['bymonthday'] = signed((*range(1, 32), 13, 29, 30, 31))
        elif freq == 'WEEKLY':
            if r.random() < 0.7:
                rule['byday'] = weekdays()
        else:
            if r.random() < 0.25:
                rule['byday'] = weekdays()
            if r.random() < 0.1:
                rule['bymonthday'] = signed(range(1, 32), 6)
        if not self.date:
            if r.random() < 0.1:
                rule['byhour'] = sorted({*some((0, 1, 2, 3, 9, 17, 23)), *([s.hour] if r.random() < 0.7 else [])})
            if r.random() < 0.07 and freq != 'MINUTELY':
                rule['byminute'] = some((0, 15, 30, 45, s.minute))
            if r.random() < 0.02 and freq != 'MINUTELY':
                rule['bysecond'] = some((0, 30, s.second))
        if len(rule) > 2 and r.random() < 0.2:
            rule['bysetpos'] = sorted(set(r.sample((1, 2, 3, -1, -2, -1, 1), r.randint(1, 2))))
        if r.random() < (0.5 if freq == 'WEEKLY' or 'byweekno' in rule else 0.05):
            rule['wkst'] = r.randrange(7)
        return rule

    def bounded(self, rule):
        """The readings of a rule, with an end of its own now and then."""
        r = self.r
        list_ = readings(rule, self.start, self.limit)
        ends = r.random()
        if ends < 0.35:
            n = r.choice((1, 2, 3, 5, 10, 30, max(1, len(list_) - r.randrange(6))))
            rule['count'] = n
            return list_[:n]
        if ends < 0.75 or not list_:
            return list_
        last = r.choice(list_[-12:])
        form = r.choice(('date', 'utc', 'utc', 'local')) if not self.date else 'date'
        if form == 'date':
            rule['until'] = f'{last:%Y%m%d}'
            return [t for t in list_ if t < day(last) + DAY]
        move = r.choice((0, 0, 0, 0, 1, -1, 1800, -1800, 3600, -3600, 7200)) * SECOND
        if form == 'local' and self.kind != 'utc':
            rule['until'] = stamp(last + move)
            return [t for t in list_ if t <= last + move]
        until = self.zone.utc(last) + move
        rule['until'] = stamp(until) + 'Z'
        return [t for t in list_ if self.zone.utc(t) <= until]

    # The set: self.set has instant -> (reading, length), of two readings of one
    # instant the earlier. Whole days are told apart by their dates.

    def key(self, wall):
        return wall if self.date else self.zone.utc(wall)

    def occur(self, wall, utc=None):
        utc = self.key(wall) if utc is None else utc
        if utc not in self.set or wall < self.set[utc][0]:
            self.set[utc] = (wall, self.length)

    def draw_set(self):
        """The master with its rules, about which a window is found."""
        r = self.r
        freq = self.draw_start()
        self.limit = self.zone.wall(self.to) + 12 * DAY
        self.head = ['BEGIN:VEVENT', f'UID:{self.number}@contoso.com', 'DTSTAMP:20260101T000000Z']
        text, self.length = self.length_text(self.draw_length(), self.start, self.zone, self.local)
        if self.date and self.length[0] == 1 and r.random() < 0.5:
            text = 'X-NOTE:a date lasts its day'
        self.state = self.draw_state()
        self.master = [*self.head, self.local('DTSTART', self.start), text, *self.state]
        self.set = {}
        self.occur(self.start)
        for _ in range(r.choices((0, 1, 2), (3, 94, 3))[0]):
            rule = self.draw_rule(freq)
            for t in self.bounded(rule):
                self.occur(t)
            self.master.append('RRULE:' + rule_text(rule))
        if not any(self.frm <= u < self.to for u in self.set) and r.random() < 0.9:
            self.move_window([u for u in self.set if u < self.to])
        return freq

    def near(self):
        """The instances about the window, else all."""
        return sorted(u for u in self.set if self.frm - 9 * DAY <= u <= self.to + 9 * DAY) or sorted(self.set)

    def draw_rdates(self):
        r, periods = self.r, {}
        for _ in range(r.randint(1, 3)):
            utc = self.frm + r.randrange(-3 * 24 * 60, (self.to - self.frm) // MINUTE) * MINUTE
            if r.random() < 0.2:
                utc = r.choice(self.near())
            wall, form = self.zone.wall(utc), r.random()
            if self.date:
                self.occur(day(wall))
                self.master.append(self.local('RDATE', day(wall)))
            elif form < 0.6:
                self.occur(wall, utc)
                self.master.append(self.instant('RDATE', utc, wall))
            elif utc not in periods:
                minutes = r.choice((20, 45, 200, 1500))
                periods[utc] = (wall, (0, minutes * MINUTE))
                end = f'PT{minutes}M' if form < 0.8 else stamp(utc + minutes * MINUTE) + 'Z'
                self.master.append(f'RDATE;VALUE=PERIOD:{stamp(utc)}Z/{end}')
        self.set.update(periods)  # a period has its own length

    def draw_exdates(self):
        """Takes out some instances; returns their instants."""
        r, out = self.r, set()
        for _ in range(r.randint(1, 4)):
            u = r.choice(self.near())
            wall, form = self.set[u][0], r.random()
            if self.date:
                out.add(u)
                self.master.append(f'EXDATE;TZID={self.home.name}:{stamp(wall)}' if form < 0.2 else self.local('EXDATE', wall))
            elif form < 0.12:
                out |= {v for v, (w, _) in self.set.items() if day(w) == day(wall)}
                self.master.append(f'EXDATE;VALUE=DATE:{wall:%Y%m%d}')
            elif form < 0.17:
                self.master.append(f'EXDATE:{stamp(u + MINUTE)}Z')  # names nothing
                out.add(u + MINUTE)
            else:
                out.add(u)
                self.master.append(self.instant('EXDATE', u, wall))
        return out

    def draw_override(self):
        """One instance, or all from it on, in another place; None where that is named already."""
        r = self.r
        u = r.choice(self.near())
        wall = self.set[u][0]
        if not self.date and r.random() < 0.04:
            u, wall = u + 17 * MINUTE, wall + 17 * MINUTE  # an instance that is not there
        future, by_day = r.random() < 0.15, not self.date and r.random() < 0.03
        if u in self.named or any(day(wall) == day(w) and (d or by_day) for w, d in self.named.values()):
            return None
        if by_day and not future:
            name = f'RECURRENCE-ID;VALUE=DATE:{wall:%Y%m%d}'
        elif self.date and not future and r.random() < 0.1:
            name = f'RECURRENCE-ID;TZID={self.home.name}:{stamp(wall)}'
        else:
            by_day = False
            name = self.instant('RECURRENCE-ID', u, wall, ';RANGE=THISANDFUTURE' if future else '')
        self.named[u] = (wall, by_day)
        move = r.choice((0, 1, -1, 3, -6)) * DAY if self.date else r.choice((0, 30, -30, 60, 24 * 60, -24 * 60, 7 * 24 * 60, -6 * 24 * 60, 2 * 60, -3 * 60)) * MINUTE
        z, new, write = self.zone, wall + move, self.local
        if not self.date and r.random() < 0.25:
            z = zone('UTC') if r.random() < 0.6 else zone(r.choice([n for n in sorted(ZONES) if n != self.tzid]))
            new = z.wall(self.zone.utc(new))
            write = lambda name, w: f'{name}:{stamp(w)}Z' if z.name == 'UTC' else f'{name};TZID={z.name}:{stamp(w)}'
        text, length = self.length_text(self.draw_length(), new, z, write)
        state = self.draw_state()
        lines = [*self.head, name, write('DTSTART', new), text, *state, 'END:VEVENT']
        if future:
            # By how much the later ones move, on the clock of the override; a time
            # in UTC moves them on that of the series.
            was = wall if self.date or name.endswith(stamp(wall)) else self.zone.wall(u)
            clock, now = (self.zone, self.zone.wall(new)) if z.name == 'UTC' else (z, new)
            self.future.append((u, clock, now - was, length, state))
        return z, new, length, state, lines

    def show(self, z, wall, utc, length, state):
        end = self.end(self.date, utc, wall, z, length)
        if 'STATUS:CANCELLED' not in state and utc < end and utc < self.to and end > self.frm:
            status = {'TRANSP:TRANSPARENT': 'Free', 'STATUS:TENTATIVE': 'Tentative', 'X-MICROSOFT-CDO-BUSYSTATUS:OOF': 'OOF'}
            self.want.append(f'{stamp(utc)}/{stamp(end)} ' + next((status[x] for x in state), 'Busy'))

    def draw(self):
        r = self.r
        freq = self.draw_set()
        if r.random() < 0.25:
            self.draw_rdates()
        out = self.draw_exdates() if r.random() < 0.45 else set()
        if r.random() < 0.04:
            rule = self.draw_rule(freq)
            out |= {self.key(t) for t in self.bounded(rule)}
            self.master.append('EXRULE:' + rule_text(rule))
        self.named, self.future, self.want = {}, [], []
        overrides = [o for o in (self.draw_override() for _ in range(r.choices((0, 1, 2, 4), (50, 25, 15, 10))[0])) if o]
        for z, wall, length, state, _ in overrides:
            self.show(z, wall, z.utc(wall), length, state)
        by_day = {day(w) for w, d in self.named.values() if d}
        for u, (wall, length) in self.set.items():
            if u in out or u in self.named or day(wall) in by_day:
                continue
            ahead = max((f for f in self.future if f[0] <= u), key=lambda f: f[0], default=None)
            if ahead:
                _, z, move, length, state = ahead
                self.show(z, wall + move, z.utc(wall + move), length, state)
            else:
                self.show(self.zone, wall, self.zone.utc(wall) if self.date else u, length, self.state)
        events = [[*self.master, 'END:VEVENT'], *(lines for *_, lines in overrides)]
        if r.random() < 0.3:  # overrides may stand before their master
            r.shuffle(events)
        lines = ['BEGIN:VCALENDAR', 'VERSION:2.0', 'PRODID:-//contoso.com//oracle//EN', *self.vtimezone, *sum(events, []), 'END:VCALENDAR']
        return {
            'case': self.number, 'zone': self.zone.name, 'floating': self.floating.name,
            'from': self.frm.isoformat() + 'Z', 'to': self.to.isoformat() + 'Z', 'want': sorted(self.want),
            'ics': ''.join(fold(l) for l in lines),
        }


def fold(line):
    out = line[:75] + '\r\n'
    for i in range(75, len(line), 74):
        out += ' ' + line[i:i + 74] + '\r\n'
    return out


def main():
    seed, count = int(sys.argv[1]), int(sys.argv[2])
    first = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    for n in range(first, first + count):
        print(json.dumps(Case(random.Random(f'{seed}/{n}'), n).draw()))


main()
