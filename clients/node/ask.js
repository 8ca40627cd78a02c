#!/usr/bin/env node
// Ask both organizations of a lab for free/busy with ews-javascript-api.
//
// usage: ask.js LAB.JSON [--urls KEY,...] [--start DATE] [--end DATE]
//               [--interval MIN] [--zone ID] [--suggest MIN] [ADDRESS ...]
//
// For each URL (by default ews_onprem and ews_cloud of lab.json) it signs in as
// a user of that organization and asks for all addresses in one request; without
// addresses, for one mailbox of each organization. The library asks for whole
// days of the zone (a Windows id, by default UTC). With --suggest it asks for times
// of a meeting of so many minutes, too. stdout is one JSON object. The
// exit status is 0 when every request was answered, also when the answer for a
// mailbox is an error.
"use strict";

const { parseArgs } = require("node:util");

const ews = require("ews-javascript-api");
const { XhrApi } = require("@ewsjs/xhr");
const { readLab, connectTo, userOf } = require("./lab.js");

// The library says on stdout what it has to say to its developers.
console.log = console.error;

const utc = (t) => new Date(t.TotalMilliSeconds).toISOString().replace(".000Z", "Z");

function answer(address, r) {
  const ok = r.Result === ews.ServiceResult.Success;
  return {
    address,
    view: ok ? ews.FreeBusyViewType[r.ViewType] : null,
    merged: ok ? r.MergedFreeBusyStatus.join("") : null,
    events: (ok ? r.CalendarEvents : []).map((e) => ({
      start: utc(e.StartTime),
      end: utc(e.EndTime),
      status: ews.LegacyFreeBusyStatus[e.FreeBusyStatus],
      subject: e.Details?.Subject ?? null,
      location: e.Details?.Location ?? null,
      private: e.Details ? e.Details.IsPrivate : null,
      recurring: e.Details ? e.Details.IsRecurring : null,
    })),
    working_hours: ok && r.WorkingHours ? 1 : 0,
    error: ok ? null : ews.ServiceError[r.ErrorCode],
    text: ok ? null : r.ErrorMessage,
  };
}

function suggestions(results) {
  return results.Suggestions.map((day) => ({
    date: day.Date.Format("YYYY-MM-DD"),
    quality: ews.SuggestionQuality[day.Quality],
    times: day.TimeSuggestions.map((t) => ({
      start: utc(t.MeetingTime),
      work: t.IsWorkTime,
      quality: ews.SuggestionQuality[t.Quality],
      conflicts: t.Conflicts.map((c) => ews.LegacyFreeBusyStatus[c.FreeBusyStatus] ?? ews.ConflictType[c.ConflictType]),
    })),
  }));
}

async function ask(lab, agent, key, addresses, opts) {
  const me = userOf(lab, key);
  const service = new ews.ExchangeService(ews.ExchangeVersion.Exchange2013_SP1, ews.TimeZoneInfo.FindSystemTimeZoneById(opts.zone));
  service.XHRApi = new XhrApi({ httpsAgent: agent, proxy: false });
  service.Credentials = new ews.WebCredentials(me.user, me.password);
  service.Url = new ews.Uri(lab.urls[key]);

  const options = new ews.AvailabilityOptions();
  options.MergedFreeBusyInterval = opts.interval;
  options.RequestedFreeBusyView = ews.FreeBusyViewType.DetailedMerged;
  if (opts.suggest) {
    options.MeetingDuration = Number(opts.suggest);
    options.DetailedSuggestionsWindow = new ews.TimeWindow(ews.DateTime.Parse(opts.start), ews.DateTime.Parse(opts.end));
  }
  const window = new ews.TimeWindow(ews.DateTime.Parse(opts.start), ews.DateTime.Parse(opts.end));
  const results = await service.GetUserAvailability(
    addresses.map((a) => new ews.AttendeeInfo(a)), window,
    opts.suggest ? ews.AvailabilityData.FreeBusyAndSuggestions : ews.AvailabilityData.FreeBusy, options);
  const responses = results.AttendeesAvailability.Responses;
  if (responses.length !== addresses.length) {
    throw new Error(`${responses.length} answers for ${addresses.length} addresses`);
  }
  const v = service.ServerInfo;
  return {
    url: lab.urls[key],
    org: me.org,
    as: me.address,
    version: [v.MajorVersion, v.MinorVersion, v.MajorBuildNumber, v.MinorBuildNumber].join("."),
    auth: "basic",
    mailboxes: addresses.map((a, i) => answer(a, responses[i])),
    suggestions: opts.suggest ? suggestions(results) : undefined,
  };
}

async function main() {
  const { values: opts, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      urls: { type: "string", default: "ews_onprem,ews_cloud" },
      start: { type: "string" },
      end: { type: "string" },
      interval: { type: "string", default: "30" },
      zone: { type: "string", default: "UTC" },
      suggest: { type: "string" },
    },
  });
  const [file, ...addresses] = positionals;
  if (!file) {
    throw new Error("usage: ask.js LAB.JSON [ADDRESS ...]");
  }
  const day = (t) => t.toISOString().slice(0, 10);
  opts.interval = Number(opts.interval);
  opts.start = (opts.start ?? day(new Date())).slice(0, 10);
  opts.end = (opts.end ?? day(new Date(Date.parse(opts.start) + 86_400_000))).slice(0, 10);

  const lab = readLab(file);
  const agent = connectTo(lab, file);
  if (addresses.length === 0) {
    addresses.push(...["onprem", "cloud"].map((org) => lab.mailboxes.find((m) => m.org === org).address));
  }
  const organizations = [];
  for (const key of opts.urls.split(",")) {
    organizations.push(await ask(lab, agent, key, addresses, opts));
  }
  agent.destroy();
  const { version } = require("ews-javascript-api/package.json");
  process.stdout.write(JSON.stringify({ client: `ews-javascript-api ${version}`, organizations }, null, 1) + "\n");
}

main().catch((err) => {
  process.stderr.write(`${err.stack ?? err.Message ?? JSON.stringify(err)}\n`);
  process.exitCode = 1;
});
