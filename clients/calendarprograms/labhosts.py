"""What the programs beside it share: the way to a lab."""

import json
import os
import pathlib
import socket


class Lab:
    """A running lab, from its lab.json. Names lead to its loopback addresses.

    Host names in URLs, in the Host header and in the check of the certificate
    stay what they are.
    """

    def __init__(self, path):
        path = pathlib.Path(path)
        self.json = json.loads(path.read_text(encoding="utf-8"))
        self.ca = str((path.parent / self.json["ca_file"]).resolve())
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
            os.environ.pop(name, None)
        hosts, port, lookup = self.json["hosts"], self.json["port"], socket.getaddrinfo

        def to_lab(host, _port, *args, **kwargs):
            name = host.decode() if isinstance(host, bytes) else host
            return lookup(hosts.get(name, name), port if name in hosts else _port, *args, **kwargs)

        socket.getaddrinfo = to_lab

    def mailbox(self, address):
        return next(m for m in self.json["mailboxes"] if m["address"] == address)

    def url(self, mailbox):
        """The host of the node that has the mailbox."""
        return self.json["urls"]["ews_cloud" if mailbox["org"] == "cloud" else "ews_onprem"].split("/")[2]
