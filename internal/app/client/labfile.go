package client

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// LabFileName is the file in a lab's directory that describes the running lab.
const LabFileName = "lab.json"

// A LabFile is the interface of a running lab (docs/lab.md). Keys are added,
// never renamed.
type LabFile struct {
	Edition string `json:"edition"` // 2014
	Port    int    `json:"port"`    // of every host
	CAFile  string `json:"ca_file"` // PEM of the lab's certificate authority, an absolute path
	// Hosts maps each host name to the loopback address that it listens on.
	Hosts          map[string]string `json:"hosts"`
	Mailboxes      []LabMailbox      `json:"mailboxes"`
	Administrators []LabAdmin        `json:"administrators"`
	// URLs carry no port: see Hosts and Port.
	URLs map[string]string `json:"urls"`
	// Ops maps a deployment to the address of its plain-HTTP health and metrics listener.
	Ops map[string]string `json:"ops"`
}

// A LabMailbox is somebody who can sign in and be asked about.
type LabMailbox struct {
	Address  string `json:"address"`
	Org      string `json:"org"`  // onprem or cloud
	Node     string `json:"node"` // host name of the node that serves it
	User     string `json:"user"`
	Password string `json:"password"`
}

// A LabAdmin may configure an organization, or the authorization server's directory.
type LabAdmin struct {
	Org      string `json:"org"` // onprem, cloud or directory
	User     string `json:"user"`
	Password string `json:"password"`
}

// ReadLabFile reads DIR/lab.json.
func ReadLabFile(dir string) (*LabFile, error) {
	b, err := os.ReadFile(filepath.Join(dir, LabFileName))
	if err != nil {
		return nil, fmt.Errorf("lab directory %s: %w (start one with: busybridge lab --dir %s)", dir, err, dir)
	}
	var l LabFile
	if err := json.Unmarshal(b, &l); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, LabFileName), err)
	}
	return &l, nil
}

// Mailbox finds a mailbox by address.
func (l *LabFile) Mailbox(address string) (LabMailbox, bool) {
	for _, m := range l.Mailboxes {
		if m.Address == address {
			return m, true
		}
	}
	return LabMailbox{}, false
}

// Administrator finds the administrator of onprem, cloud or directory.
func (l *LabFile) Administrator(org string) (LabAdmin, bool) {
	for _, a := range l.Administrators {
		if a.Org == org {
			return a, true
		}
	}
	return LabAdmin{}, false
}

// ConnectTo maps "host:443" of every host to where it listens.
func (l *LabFile) ConnectTo() map[string]string {
	m := make(map[string]string, len(l.Hosts))
	for host, addr := range l.Hosts {
		m[host+":443"] = fmt.Sprintf("%s:%d", addr, l.Port)
	}
	return m
}
