// What the programs of this folder share: how a lab is reached.
"use strict";

const fs = require("node:fs");
const https = require("node:https");
const path = require("node:path");

// readLab reads a lab.json.
const readLab = (file) => JSON.parse(fs.readFileSync(file, "utf8"));

// connectTo is an agent that ends connections to the lab's host names at its
// loopback addresses. Host names in URLs, in the Host header and in the check
// of the certificate stay what they are; the lab's own authority is trusted.
function connectTo(lab, file) {
  const ca = fs.readFileSync(path.resolve(path.dirname(file), lab.ca_file));
  const agent = new https.Agent({ ca, keepAlive: true });
  const createConnection = agent.createConnection;
  agent.createConnection = (options, callback) => {
    const address = lab.hosts[options.host];
    if (!address) {
      throw new Error(`${options.host} is not a host of the lab`);
    }
    return createConnection.call(agent, { ...options, host: address, port: lab.port, servername: options.host }, callback);
  };
  return agent;
}

// userOf is a mailbox of the organization behind a URL, of that very node if
// there is one.
function userOf(lab, key) {
  const host = new URL(lab.urls[key]).hostname;
  const org = key.endsWith("_cloud") ? "cloud" : "onprem";
  return lab.mailboxes.find((m) => m.node === host) ?? lab.mailboxes.find((m) => m.org === org);
}

module.exports = { readLab, connectTo, userOf };
