package admin_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"busybridge/internal/admin"
	"busybridge/internal/directory"
	"busybridge/internal/spec/fedmeta"
)

const federationURL = "https://login.chinacloudapi.cn/contoso.com/federationmetadata/2007-06/federationmetadata.xml"

// Edition 2 of article step 1, and the refresh of what it made.
func TestAuthServerOfTheTypeAzureAD(t *testing.T) {
	w := newWorld(t)
	doc := &fedmeta.Document{EntityID: "https://sts.chinacloudapi.cn/" + tenant + "/", Certificates: [][]byte{certificates()[1].DER}}
	w.federation = map[string]*fedmeta.Document{federationURL: doc}
	org := w.contoso().ID
	ctx := t.Context()
	evo := directory.AuthServer{Common: directory.Common{Name: "EvoSTS"}, Type: directory.AuthServerAzureAD, AuthMetadataURL: federationURL, Enabled: true}
	res := ok[admin.Result[directory.AuthServer]](w)(w.NewAuthServer(ctx, system, org, evo))
	want := evo
	want.IssuerIdentifier, want.Realm = "https://sts.chinacloudapi.cn/"+tenant+"/", tenant
	want.TokenIssuingEndpoint, want.AuthorizationEndpoint = "https://login.chinacloudapi.cn/common/oauth2/token", "https://login.chinacloudapi.cn/common/oauth2/authorize"
	want.RefreshedAt = now
	same := func(want, got directory.AuthServer) {
		t.Helper()
		if d := cmp.Diff(want, got, cmpopts.IgnoreFields(directory.AuthServer{}, "Common", "CertificateStrings"), cmpopts.EquateEmpty()); d != "" {
			t.Error(d)
		}
	}
	same(want, res.Object)

	before := res.Object.CertificateStrings
	doc.Certificates = [][]byte{certificates()[2].DER}
	res = ok[admin.Result[directory.AuthServer]](w)(w.SetAuthServer(ctx, system, org, "EvoSTS", true, func(s *directory.AuthServer) error {
		s.IsDefaultAuthorizationEndpoint = true
		return nil
	}))
	want.IsDefaultAuthorizationEndpoint = true
	same(want, res.Object)
	if len(res.Object.CertificateStrings) != 1 || res.Object.CertificateStrings[0] == before[0] {
		t.Error("the refresh kept the old key")
	}

	for name, change := range map[string]func(*directory.AuthServer){
		"document of another kind": func(s *directory.AuthServer) { s.AuthMetadataURL = metadataURL },
		"ACS at its address":       func(s *directory.AuthServer) { s.Type = directory.AuthServerACS },
		"another type":             func(s *directory.AuthServer) { s.Type = "ADFS" },
	} {
		s := evo
		s.Name = "other"
		change(&s)
		_, err := w.NewAuthServer(ctx, system, org, s)
		if me, isMetadata := errors.AsType[*admin.MetadataError](err); !isMetadata || me.URL != s.AuthMetadataURL {
			t.Errorf("%s: %v", name, err)
		}
	}

	// Who may not make one does not make us fetch either: the address is not even looked at.
	evo.AuthMetadataURL = "https://login.contoso.com/"
	if _, err := w.NewAuthServer(ctx, admin.Actor{Name: "eve", Org: org, Roles: []string{directory.RoleView}}, org, evo); !errors.Is(err, admin.ErrForbidden) {
		t.Error(err)
	}
}
