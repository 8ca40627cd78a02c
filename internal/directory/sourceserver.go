package directory

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"busybridge/internal/spec/smtpaddr"
)

// Kinds of sources that are servers which answer about mailboxes.
const (
	SourceExchange = "Exchange" // by Exchange Web Services
	SourceGraph    = "Graph"    // by Microsoft Graph
)

// A SourceServer is what a server is asked about, and as whom.
type SourceServer struct {
	Address        string // of the mailbox there
	Authentication string // SourceBasic, SourceNTLM or SourceOAuth
	// Tenant is where the application is registered that CalendarSource.UserName
	// names, and Login the authorization server's base URL; of SourceOAuth.
	Tenant, Login string `json:",omitempty"`
	// Impersonate: the account acts as the owner of the mailbox, and not as a delegate.
	Impersonate bool `json:",omitempty"`
	// Anchor is the mailbox by which Graph is asked; "": Address.
	Anchor string `json:",omitempty"`
	// DaysBack and DaysAhead say which days are copied around today; 0: the defaults.
	DaysBack, DaysAhead int `json:",omitempty"`
}

// How an account signs in.
const (
	SourceBasic = "Basic"
	SourceNTLM  = "Ntlm"  // NTLM, by itself or within Negotiate
	SourceOAuth = "OAuth" // as an application, by the organization's own certificate
)

// Methods of SourceExchange and SourceGraph, the best first.
const (
	MethodFindItem            = "FindItem" // the calendar is read
	MethodGetUserAvailability = "GetUserAvailability"
	MethodGetSchedule         = "GetSchedule"
)

// Limits and defaults of SourceServer.
const (
	DefaultSourceDaysBack  = 1
	DefaultSourceDaysAhead = 90
	MaxSourceDaysBack      = 366
	MaxSourceDaysAhead     = 731
)

// A SourceCloud is where the servers of a national cloud are (getSchedule reference 9).
type SourceCloud struct{ Name, Login, Graph, EWS string }

// SourceClouds are the presets, the usual one first.
func SourceClouds() []SourceCloud {
	return []SourceCloud{
		{"Worldwide", "https://login.microsoftonline.com", "https://graph.microsoft.com", "https://outlook.office365.com/EWS/Exchange.asmx"},
		{"USGov", "https://login.microsoftonline.us", "https://graph.microsoft.us", "https://outlook.office365.us/EWS/Exchange.asmx"},
		{"USGovDoD", "https://login.microsoftonline.us", "https://dod-graph.microsoft.us", "https://outlook-dod.office365.us/EWS/Exchange.asmx"},
		{"China", "https://login.partner.microsoftonline.cn", "https://microsoftgraph.chinacloudapi.cn", "https://partner.outlook.cn/EWS/Exchange.asmx"},
		{"Bleu", "https://login.sovcloud-identity.fr", "https://graph.svc.sovcloud.fr", "https://outlook.sovcloud.fr/EWS/Exchange.asmx"},
		{"Delos", "https://login.sovcloud-identity.de", "https://graph.svc.sovcloud.de", "https://outlook.sovcloud.de/EWS/Exchange.asmx"},
	}
}

// Days are the whole days, in UTC, that are copied of a server at now.
func (s *SourceServer) Days(now time.Time) (from, to time.Time) {
	back, ahead := s.DaysBack, s.DaysAhead
	if back == 0 {
		back = DefaultSourceDaysBack
	}
	if ahead == 0 {
		ahead = DefaultSourceDaysAhead
	}
	today := now.UTC().Truncate(24 * time.Hour)
	return today.AddDate(0, 0, -back), today.AddDate(0, 0, ahead+1)
}

// complete fills in what a source of kind, of a mailbox with the address, has where
// nothing is said.
func (s *SourceServer) complete(kind, address string) {
	if kind != SourceExchange && kind != SourceGraph {
		return
	}
	if s.Address == "" {
		s.Address = address
	}
	switch {
	case s.Authentication != "":
	case kind == SourceGraph || s.Tenant != "":
		s.Authentication = SourceOAuth
	default:
		s.Authentication = SourceNTLM // as Exchange offers it to services
	}
	if s.Authentication == SourceOAuth && s.Login == "" {
		s.Login = SourceClouds()[0].Login
	}
	if s.DaysBack == 0 {
		s.DaysBack = DefaultSourceDaysBack
	}
	if s.DaysAhead == 0 {
		s.DaysAhead = DefaultSourceDaysAhead
	}
}

// Complete fills in what has a default, of a source of the mailbox.
func (s *CalendarSource) Complete(mailbox *Recipient) {
	if s.Refresh == 0 {
		s.Refresh = DefaultSourceRefresh
	}
	if s.MaxBytes == 0 {
		s.MaxBytes = DefaultSourceBytes
	}
	if s.MaxEvents == 0 {
		s.MaxEvents = DefaultSourceEvents
	}
	s.Server.complete(s.Kind, mailbox.Primary.String())
}

// checkServer checks what is of some kinds only.
func (s *CalendarSource) checkServer(c *checker) {
	v := &s.Server
	var methods, ways []string
	switch s.Kind {
	case SourceExchange:
		methods, ways = []string{MethodFindItem, MethodGetUserAvailability}, []string{SourceBasic, SourceNTLM, SourceOAuth}
	case SourceGraph:
		methods, ways = []string{MethodGetSchedule}, []string{SourceOAuth}
	default:
		if *v != (SourceServer{}) {
			c.bad("Kind", s.Kind, "is asked for no mailbox: Address, Authentication and what belongs to them are of kinds %s and %s", SourceExchange, SourceGraph)
		}
		return
	}
	if s.Method != "" {
		c.oneOf("Method", s.Method, methods...)
	}
	c.oneOf("Authentication", v.Authentication, ways...)
	for _, a := range []struct{ field, value string }{{"Address", v.Address}, {"Anchor", v.Anchor}} {
		if _, err := smtpaddr.Parse(a.value); err != nil && (a.value != "" || a.field == "Address") {
			c.bad(a.field, a.value, "is no mail address")
		}
	}
	switch {
	case s.Kind != SourceGraph && v.Anchor != "":
		c.bad("Anchor", v.Anchor, "is of kind %s", SourceGraph)
	case s.Kind == SourceGraph && v.Impersonate:
		c.bad("Impersonate", "true", "is of kind %s", SourceExchange)
	}
	if v.Authentication == SourceOAuth {
		c.guid("ApplicationId", s.UserName)
		if len(s.Password) > 0 {
			c.bad("Password", hidden, "is not used with %s: the application proves itself by the organization's certificate", SourceOAuth)
		}
		if !IsGUID(v.Tenant) {
			c.domain("Tenant", v.Tenant)
		}
		if u, err := url.Parse(v.Login); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
			c.bad("Login", v.Login, "want an https URL without path")
		}
	} else {
		if !s.Removed && (s.UserName == "" || len(s.Password) == 0) {
			c.bad("UserName", s.UserName, "%s needs a user name with its password", v.Authentication)
		}
		if v.Tenant != "" || v.Login != "" {
			c.bad("Tenant", v.Tenant, "Tenant and Login are of Authentication %s", SourceOAuth)
		}
	}
	for _, d := range []struct {
		field      string
		days, most int
	}{{"DaysBack", v.DaysBack, MaxSourceDaysBack}, {"DaysAhead", v.DaysAhead, MaxSourceDaysAhead}} {
		if d.days < 0 || d.days > d.most {
			c.bad(d.field, fmt.Sprint(d.days), "want 0 (the default) to %d", d.most)
		}
	}
}
