package exchangecmd

import (
	"strings"

	"busybridge/internal/directory"
	"busybridge/internal/ps/object"
)

var (
	tSourceAuthentication = enumeration("Microsoft.Exchange.Management.StoreTasks.CalendarSourceAuthentication", false,
		directory.SourceBasic, directory.SourceNTLM, directory.SourceOAuth)
	tSourceCloud = enumeration("Microsoft.Exchange.Management.StoreTasks.CalendarSourceCloud", false, cloudNames()...)
)

func cloudNames() (names []string) {
	for _, c := range directory.SourceClouds() {
		names = append(names, c.Name)
	}
	return names
}

type (
	sourceAuthentication string
	sourceCloud          string
)

// PSType is the enumeration.
func (sourceAuthentication) PSType() *object.Type { return tSourceAuthentication }

// PSType is the enumeration.
func (sourceCloud) PSType() *object.Type { return tSourceCloud }

// sourceServer are the parameters of sources that are servers with the owner's mailbox.
type sourceServer struct {
	Address        string               `ps:"Address,notempty" help:"Exchange and Graph: the address of the mailbox there. The default is the address of the mailbox here."`
	Authentication sourceAuthentication `ps:"Authentication" help:"Exchange: how the account signs in. OAuth is an application that proves itself by the organization's certificate; it is the default with Tenant, else Ntlm is."`
	Cloud          sourceCloud          `ps:"Cloud" help:"Of which national cloud the servers are; instead of Url and Login."`
	Tenant         string               `ps:"Tenant,notempty" help:"OAuth: the tenant, by GUID or domain, in which the application is registered."`
	Login          string               `ps:"Login,notempty" help:"OAuth: the authorization server, as https://login.microsoftonline.com, which is the default."`
	ApplicationID  string               `ps:"ApplicationId,notempty" help:"OAuth: the application. It needs the permission Calendars.ReadBasic.All for Graph, full_access_as_app for Exchange, and the organization's current certificate as its key."`
	Impersonate    bool                 `ps:"Impersonate" help:"Exchange: the account has the role ApplicationImpersonation and acts as the owner; without it, as a delegate. OAuth always does."`
	Anchor         string               `ps:"Anchor,allowempty" help:"Graph: the mailbox by which it is asked. The default is Address."`
	DaysBack       int32                `ps:"DaysBack" help:"Exchange and Graph: how many days before today are copied, 1 by default. What is not copied is without data."`
	DaysAhead      int32                `ps:"DaysAhead" help:"Exchange and Graph: how many days after today are copied, 90 by default."`
}

// assign puts what was given into v.
func (p *sourceServer) assign(k *call, v *directory.CalendarSource) {
	s := &v.Server
	if k.Bound("Cloud") {
		for _, c := range directory.SourceClouds() {
			if !strings.EqualFold(c.Name, string(p.Cloud)) {
				continue
			}
			if s.Login = c.Login; !k.Bound("Url") {
				v.URL = directory.SecretURL(c.EWS)
				if v.Kind == directory.SourceGraph {
					v.URL = directory.SecretURL(c.Graph)
				}
			}
		}
	}
	assign(k, "Address", &s.Address, p.Address)
	assign(k, "Authentication", &s.Authentication, string(p.Authentication))
	assign(k, "Tenant", &s.Tenant, strings.ToLower(p.Tenant))
	assign(k, "Login", &s.Login, p.Login)
	assign(k, "ApplicationId", &v.UserName, strings.ToLower(p.ApplicationID))
	assign(k, "Impersonate", &s.Impersonate, p.Impersonate)
	assign(k, "Anchor", &s.Anchor, p.Anchor)
	assign(k, "DaysBack", &s.DaysBack, int(p.DaysBack))
	assign(k, "DaysAhead", &s.DaysAhead, int(p.DaysAhead))
}

// addServer shows what assign set, and what the copy knows.
func (k *call) addServer(b bag, v *directory.CalendarSource) {
	s, st := &v.Server, &v.State
	b.add("Address", s.Address).add("Authentication", s.Authentication).add("Tenant", s.Tenant).add("Login", s.Login).
		add("Impersonate", s.Impersonate).add("Anchor", s.Anchor).add("DaysBack", s.DaysBack).add("DaysAhead", s.DaysAhead).
		add("CopiedFrom", k.local(st.From)).add("CopiedTo", k.local(st.To))
}
