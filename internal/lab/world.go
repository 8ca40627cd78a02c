package lab

import (
	"crypto/rand"
	"embed"

	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
)

//go:embed calendars
var calendars embed.FS

// The names of the world are the article's (21Vianet).
const (
	domain       = "contoso.com"
	initial      = "contoso.partner.onmschina.cn"
	coexistence  = "contoso.partner.mail.onmschina.cn"
	cloudName    = "21vianet"
	exchangeName = "Exchange Online"

	mailHost     = "mail.contoso.com"
	mail2Host    = "mail2.contoso.com"
	discoverHost = "autodiscover.contoso.com"
	legacyHost   = "legacy.contoso.com"
	edgeHost     = "owa.contoso.com"   // stands before on premises, when a fault wants it
	goneHost     = "mail0.contoso.com" // has an address where nothing listens
	chinaZone    = "China Standard Time"
)

// The editions: how the cloud is at a time (oauth-s2s reference 8.2).
const (
	// Edition2014 is the article's: ACS and the Exchange service principal that
	// all organizations share.
	Edition2014 = "2014"
	// Edition2025: the cloud refuses EWS to the shared principal. On premises asks
	// as an application of its own, with tokens of Entra.
	Edition2025 = "2025"
	// Edition2026: the cloud refuses EWS to every application.
	Edition2026 = "2026"
)

// Editions are those of a lab.
func Editions() []string { return []string{Edition2014, Edition2025, Edition2026} }

// ewsApplications is which applications the cloud lets use EWS.
var ewsApplications = map[string]string{
	Edition2014: directory.EWSAnyApplication, Edition2025: directory.EWSDedicatedApplications, Edition2026: directory.EWSNoApplication,
}

// A deployment of the lab: its own store and listeners.
type deploymentName string

const (
	onprem    deploymentName = "onprem"
	cloud     deploymentName = "cloud"
	authorize deploymentName = "directory"
	edge      deploymentName = "edge" // none: what a fault puts there
	stranger  deploymentName = ""     // none: Options.Strangers
)

// A host is one name with a listener of its own; addresses are given in this
// order from 127.0.0.11 upward.
type host struct {
	name string
	of   deploymentName
}

// hosts are the world's hosts (docs/lab.md).
func hosts(c directory.Cloud) []host {
	hs := []host{{c.ACSHost, authorize}}
	for _, h := range c.LoginHosts {
		hs = append(hs, host{h, authorize})
	}
	hs = append(hs, host{c.EWSHost, cloud})
	for _, h := range c.AutodiscoverHosts {
		if h != c.EWSHost {
			hs = append(hs, host{h, cloud})
		}
	}
	return append(hs, host{c.GraphHost, cloud},
		host{mailHost, onprem}, host{mail2Host, onprem}, host{discoverHost, onprem}, host{legacyHost, onprem},
		host{domain, onprem}, host{edgeHost, edge})
}

// A person is a mailbox of the world, with the calendar file of the same name.
type person struct {
	name    string // local part, and the name of the calendar file
	display string
	kind    string // RecipientTypeDetails; "" is UserMailbox
	zone    string // Windows zone; "" is China Standard Time
	level   freebusy.Level
	node    string // on premises: "" is mail.contoso.com
}

// people are the mailboxes of each organization. Level is the Default
// permission of the calendar.
var people = map[deploymentName][]person{
	onprem: {
		{name: "alice", display: "Alice", level: freebusy.LevelLimited},
		{name: "bob", display: "Bob", level: freebusy.LevelTime},
		{name: "carol", display: "Carol, Vienna", zone: "W. Europe Standard Time", level: freebusy.LevelTime},
		{name: "dave", display: "Dave", level: freebusy.LevelTime},
		{name: "erin", display: "Erin", level: freebusy.LevelFull},
		{name: "frank", display: "Frank", level: freebusy.LevelTime},
		{name: "grace", display: "Grace", level: freebusy.LevelTime, node: mail2Host},
		{name: "heidi", display: "Heidi", level: freebusy.LevelNone},
		{name: "ivan", display: "Ivan", level: freebusy.LevelTime, node: mail2Host},
		{name: "judy", display: "Judy", level: freebusy.LevelTime, node: legacyHost},
		{name: "boardroom", display: "Boardroom", kind: directory.RoomMailbox, level: freebusy.LevelLimited},
	},
	cloud: {
		{name: "kim", display: "Kim", level: freebusy.LevelTime},
		{name: "lee", display: "Lee, New York", zone: "Eastern Standard Time", level: freebusy.LevelTime},
		{name: "mia", display: "Mia", level: freebusy.LevelTime},
		{name: "nina", display: "Nina", level: freebusy.LevelFull},
		{name: "omar", display: "Omar", level: freebusy.LevelTime},
		{name: "paul", display: "Paul", level: freebusy.LevelTime},
		{name: "quinn", display: "Quinn", level: freebusy.LevelNone},
		{name: "rosa", display: "Rosa", level: freebusy.LevelTime},
		{name: "sam", display: "Sam", level: freebusy.LevelTime},
		{name: "lab2", display: "Lab 2", kind: directory.RoomMailbox, level: freebusy.LevelLimited},
	},
}

// password makes a password for a user and remembers it.
func (l *Lab) password(user string) string {
	p := rand.Text()[:16]
	l.state.Passwords[user] = p
	return p
}
