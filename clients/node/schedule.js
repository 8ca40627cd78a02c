#!/usr/bin/env node
// Ask both organizations of a lab for free/busy with Microsoft's Graph client.
//
// usage: schedule.js LAB.JSON [--urls KEY,...] [--start DATETIME] [--end DATETIME]
//                    [--interval MIN] [--zone ID] [ADDRESS ...]
//
// For each URL (by default graph_onprem and graph_cloud of lab.json) it signs in
// as a user of that organization and asks for all addresses in one getSchedule;
// without addresses, for one mailbox of each organization. Times are those of the
// zone. stdout is one JSON object with the answers as they came. The exit status
// is 0 when every request was answered.
"use strict";

const https = require("node:https");
const { parseArgs } = require("node:util");

const graph = require("@microsoft/microsoft-graph-client");
const { readLab, connectTo, userOf } = require("./lab.js");

// A SignIn puts name and password into a request, in the place where the client
// would put a token.
class SignIn {
  constructor(user, password) {
    this.value = "Basic " + Buffer.from(`${user}:${password}`).toString("base64");
  }

  async execute(context) {
    context.options.headers = { ...Object.fromEntries(new Headers(context.options.headers)), authorization: this.value };
    await this.next.execute(context);
  }

  setNext(next) {
    this.next = next;
  }
}

// A Sender is the end of the client's chain: its own knows no agent.
class Sender {
  constructor(agent) {
    this.agent = agent;
  }

  execute(context) {
    return new Promise((resolve, reject) => {
      const { method, headers, body } = context.options;
      const req = https.request(context.request, { method, headers: Object.fromEntries(new Headers(headers)), agent: this.agent }, (res) => {
        const parts = [];
        res.on("data", (part) => parts.push(part));
        res.on("error", reject);
        res.on("end", () => {
          context.response = new Response(Buffer.concat(parts), { status: res.statusCode, headers: res.headers });
          resolve();
        });
      });
      req.on("error", reject);
      req.end(body);
    });
  }
}

async function ask(lab, agent, key, addresses, opts) {
  const me = userOf(lab, key);
  const chain = [new SignIn(me.user, me.password), new graph.RetryHandler(), new graph.TelemetryHandler(), new Sender(agent)];
  chain.reduce((a, b) => (a.setNext(b), b));
  const url = new URL(lab.urls[key]);
  const client = graph.Client.initWithMiddleware({ baseUrl: `${url.origin}/`, defaultVersion: "v1.0", customHosts: new Set([url.hostname]), middleware: chain[0] });
  const at = (dateTime) => ({ dateTime, timeZone: opts.zone });
  const answer = await client
    .api("/me/calendar/getSchedule")
    .header("Prefer", `outlook.timezone="${opts.zone}"`)
    .post({ schedules: addresses, startTime: at(opts.start), endTime: at(opts.end), availabilityViewInterval: Number(opts.interval) });
  return { url: lab.urls[key], org: me.org, as: me.address, schedules: answer.value };
}

async function main() {
  const { values: opts, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      urls: { type: "string", default: "graph_onprem,graph_cloud" },
      start: { type: "string" },
      end: { type: "string" },
      interval: { type: "string", default: "30" },
      zone: { type: "string", default: "UTC" },
    },
  });
  const [file, ...addresses] = positionals;
  if (!file) {
    throw new Error("usage: schedule.js LAB.JSON [ADDRESS ...]");
  }
  const text = (t) => t.toISOString().slice(0, 19);
  opts.start ??= text(new Date()).slice(0, 10) + "T00:00:00";
  opts.end ??= text(new Date(Date.parse(opts.start + "Z") + 86_400_000));

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
  process.stdout.write(JSON.stringify({ client: `microsoft-graph-client ${graph.PACKAGE_VERSION ?? ""}`.trim(), organizations }, null, 1) + "\n");
}

main().catch((err) => {
  process.stderr.write(`${err.stack ?? err}\n${err.body ?? ""}\n`);
  process.exitCode = 1;
});
