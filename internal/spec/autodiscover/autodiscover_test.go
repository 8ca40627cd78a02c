package autodiscover_test

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/spec/autodiscover"
	"busybridge/internal/spec/soap"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got)\n%s", name, diff)
	}
}

func envelope(t testing.TB, b []byte) *soap.Envelope {
	t.Helper()
	env, err := soap.Read(bytes.NewReader(b), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return env
}

var requests = map[string]*autodiscover.Request{
	"getusersettings_request.xml": {
		Operation: autodiscover.GetUserSettings, RequestedServerVersion: "Exchange2013", MessageID: "urn:uuid:6a1f7c4e-0001-4c57-9a39-0d5f6f5d2b11",
		To:       "https://partner.outlook.cn/autodiscover/autodiscover.svc",
		Subjects: []string{"bo@contoso.partner.mail.onmschina.cn", "a&b@contoso.com"}, Settings: []string{"ExternalEwsUrl", "ExternalEwsVersion"},
	},
	"getdomainsettings_request.xml":        {Operation: autodiscover.GetDomainSettings, Subjects: []string{"contoso.com"}, Settings: []string{"ExternalEwsUrl"}},
	"getfederationinformation_request.xml": {Operation: autodiscover.GetFederationInformation, Subjects: []string{"contoso.com"}},
}

func TestRequest(t *testing.T) {
	for name, want := range requests {
		b := autodiscover.AppendRequest(nil, want)
		golden(t, name, b)
		got, err := autodiscover.ParseRequest(envelope(t, b))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s read back (-want +got)\n%s", name, diff)
		}
	}
}

var version = &autodiscover.ServerVersion{Major: 15, Minor: 1, Build: 2507, Revision: 6, Schema: "Exchange2013_SP1"}

var responses = map[string]*autodiscover.Response{
	"getusersettings_response.xml": {
		Operation: autodiscover.GetUserSettings, Version: version, RelatesTo: "urn:uuid:6a1f7c4e-0001-4c57-9a39-0d5f6f5d2b11", ErrorCode: autodiscover.NoError,
		Answers: []autodiscover.Answer{
			{ErrorCode: autodiscover.NoError, ErrorMessage: "No error.",
				Settings: []autodiscover.Setting{{Name: "ExternalEwsUrl", Value: "https://mail.contoso.com/EWS/Exchange.asmx"}, {Name: "ExternalEwsVersion", Value: "15.01.2507.006"}}},
			{ErrorCode: autodiscover.InvalidUser, ErrorMessage: "The e-mail address cannot be found."},
			{ErrorCode: autodiscover.RedirectAddress, ErrorMessage: "Redirection address.", RedirectTarget: "bo@contoso.partner.mail.onmschina.cn"},
			{ErrorCode: autodiscover.NoError, ErrorMessage: "No error.", SettingErrors: []autodiscover.SettingError{
				{ErrorCode: autodiscover.SettingIsNotAvailable, ErrorMessage: "x < y", Name: "ExternalEwsUrl"}}},
		},
	},
	"getdomainsettings_response.xml": {
		Operation: autodiscover.GetDomainSettings, Version: version, ErrorCode: autodiscover.NoError,
		Answers: []autodiscover.Answer{
			{ErrorCode: autodiscover.NoError, ErrorMessage: "No error.", Settings: []autodiscover.Setting{{Name: "ExternalEwsUrl", Value: "https://mail.contoso.com/EWS/Exchange.asmx"}}},
			{ErrorCode: autodiscover.RedirectURL, RedirectTarget: "https://autodiscover.fabrikam.com/autodiscover/autodiscover.svc",
				SettingErrors: []autodiscover.SettingError{{ErrorCode: autodiscover.InvalidSetting, Name: "x"}}},
		},
	},
	"getfederationinformation_response.xml": {
		Operation: autodiscover.GetFederationInformation, ErrorCode: autodiscover.NoError,
		Federation: &autodiscover.Federation{ApplicationURI: "FYDIBOHF25SPDLT.contoso.com", Domains: []string{"contoso.com"},
			TokenIssuers: []autodiscover.TokenIssuer{{Endpoint: "https://login.contoso.com/extSTS.srf", URI: "urn:federation:contoso"}}},
	},
	"notfederated_response.xml":   {Operation: autodiscover.GetFederationInformation, ErrorCode: autodiscover.NotFederated, ErrorMessage: "No.", Federation: &autodiscover.Federation{}},
	"invalidrequest_response.xml": {Operation: autodiscover.GetUserSettings, ErrorCode: autodiscover.InvalidRequest, ErrorMessage: "The request names no user."},
}

func TestResponse(t *testing.T) {
	for name, want := range responses {
		b := autodiscover.AppendResponse(nil, want)
		golden(t, name, b)
		got, err := autodiscover.ParseResponse(envelope(t, b), want.Operation)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s read back (-want +got)\n%s", name, diff)
		}
	}
}

// The schema's deserializers skip what is out of order.
func TestOrderInsideAnswers(t *testing.T) {
	tests := []struct {
		name string
		path []string
		want []string
	}{
		{"getusersettings_response.xml", []string{"Response", "UserResponses", "UserResponse"}, []string{"ErrorCode", "ErrorMessage", "RedirectTarget", "UserSettingErrors", "UserSettings"}},
		{"getdomainsettings_response.xml", []string{"Response", "DomainResponses", "DomainResponse"}, []string{"ErrorCode", "ErrorMessage", "DomainSettingErrors", "DomainSettings", "RedirectTarget"}},
		{"getfederationinformation_response.xml", []string{"Response"}, []string{"ErrorCode", "ErrorMessage", "ApplicationUri", "Domains", "TokenIssuers"}},
	}
	for _, tt := range tests {
		e := envelope(t, autodiscover.AppendResponse(nil, responses[tt.name])).Body[0]
		for _, p := range tt.path {
			e = e.Child(autodiscover.NS, p)
		}
		var got []string
		for _, c := range e.Children {
			got = append(got, c.Local)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", tt.name, diff)
		}
	}
}

// An answer as Exchange writes it: other prefixes, settings that are not text.
func TestReadForeignResponse(t *testing.T) {
	const text = "\ufeff" + `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" xmlns:a="http://www.w3.org/2005/08/addressing"><s:Header>
<a:Action s:mustUnderstand="1">http://schemas.microsoft.com/exchange/2010/Autodiscover/Autodiscover/GetUserSettingsResponse</a:Action>
<h:ServerVersionInfo xmlns:h="http://schemas.microsoft.com/exchange/2010/Autodiscover" xmlns:i="http://www.w3.org/2001/XMLSchema-instance"><h:MajorVersion>15</h:MajorVersion><h:MinorVersion>20</h:MinorVersion><h:MajorBuildNumber>8000</h:MajorBuildNumber><h:MinorBuildNumber>99999999</h:MinorBuildNumber><h:Version>Exchange2015</h:Version></h:ServerVersionInfo>
</s:Header><s:Body><x:GetUserSettingsResponseMessage xmlns:x="http://schemas.microsoft.com/exchange/2010/Autodiscover"><x:Response xmlns:i="http://www.w3.org/2001/XMLSchema-instance">
<x:ErrorCode>NoError</x:ErrorCode><x:ErrorMessage/><x:UserResponses><x:UserResponse><x:ErrorCode>NoError</x:ErrorCode><x:ErrorMessage>No error.</x:ErrorMessage><x:RedirectTarget i:nil="true"/><x:UserSettingErrors/>
<x:UserSettings>
<x:UserSetting i:type="x:WebClientUrlCollectionSetting"><x:Name>ExternalWebClientUrls</x:Name><x:WebClientUrls/></x:UserSetting>
<x:UserSetting i:type="x:StringSetting"><x:Name>ExternalEwsUrl</x:Name><x:Value> https://partner.outlook.cn/EWS/Exchange.asmx
</x:Value></x:UserSetting></x:UserSettings></x:UserResponse></x:UserResponses></x:Response></x:GetUserSettingsResponseMessage></s:Body></s:Envelope>`
	got, err := autodiscover.ParseResponse(envelope(t, []byte(text)), autodiscover.GetUserSettings)
	if err != nil {
		t.Fatal(err)
	}
	want := &autodiscover.Response{
		Operation: autodiscover.GetUserSettings, ErrorCode: autodiscover.NoError,
		Version: &autodiscover.ServerVersion{Major: 15, Minor: 20, Build: 8000, Schema: "Exchange2015"},
		Answers: []autodiscover.Answer{{ErrorCode: autodiscover.NoError, ErrorMessage: "No error.", Settings: []autodiscover.Setting{{Name: "ExternalEwsUrl", Value: "https://partner.outlook.cn/EWS/Exchange.asmx"}}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if v, ok := got.Answers[0].Setting("ExternalEwsUrl"); v != "https://partner.outlook.cn/EWS/Exchange.asmx" || !ok {
		t.Errorf("Setting = %q, %v", v, ok)
	}
	if v, ok := got.Answers[0].Setting("ExternalWebClientUrls"); v != "" || ok {
		t.Errorf("Setting = %q, %v", v, ok)
	}
}

const (
	head = `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" xmlns:a="http://schemas.microsoft.com/exchange/2010/Autodiscover"><s:Header>`
	mid  = `</s:Header><s:Body>`
	tail = `</s:Body></s:Envelope>`
)

func TestParseRequestFaults(t *testing.T) {
	tests := []struct{ name, header, body, code string }{
		{"empty body", "", "", "Client"},
		{"two elements", "", `<a:GetUserSettingsRequestMessage/><a:GetUserSettingsRequestMessage/>`, "Client"},
		{"unknown operation", "", `<a:DeleteEverythingRequestMessage/>`, "Client"},
		{"operation that is not offered", "", `<a:GetOrganizationRelationshipSettingsRequestMessage/>`, "Client"},
		{"an answer", "", `<a:GetUserSettingsResponseMessage/>`, "Client"},
		{"namespace of the faulty samples", "", `<x:GetUserSettingsRequestMessage xmlns:x="https://schemas.microsoft.com/exchange/2010/Autodiscover"/>`, "Client"},
		{"no namespace", "", `<GetUserSettingsRequestMessage/>`, "Client"},
		{"security header that must be understood", `<w:Security xmlns:w="urn:wsse" s:mustUnderstand="1"/>`, `<a:GetUserSettingsRequestMessage/>`, "MustUnderstand"},
		{"the same in words", `<w:Security xmlns:w="urn:wsse" s:mustUnderstand="true"/>`, `<a:GetUserSettingsRequestMessage/>`, "MustUnderstand"},
		{"header that need not be understood", `<w:Security xmlns:w="urn:wsse" mustUnderstand="1" s:mustUnderstand="0"/>`, `<a:GetUserSettingsRequestMessage/>`, ""},
		{"addressing header that must be understood", `<w:To xmlns:w="http://www.w3.org/2005/08/addressing" s:mustUnderstand="1"/>`, `<a:GetUserSettingsRequestMessage/>`, ""},
		{"no users, no settings", "", `<a:GetUserSettingsRequestMessage><a:Request/></a:GetUserSettingsRequestMessage>`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := autodiscover.ParseRequest(envelope(t, []byte(head+tt.header+mid+tt.body+tail)))
			if tt.code == "" {
				if err != nil || len(got.Subjects) != 0 || len(got.Settings) != 0 {
					t.Errorf("got %+v, %v", got, err)
				}
				return
			}
			if f, ok := errors.AsType[*soap.Fault](err); !ok || f.Code != tt.code {
				t.Errorf("got %+v, %v, want fault %s", got, err, tt.code)
			}
		})
	}
}

func TestParseResponseErrors(t *testing.T) {
	tests := []struct {
		name, body string
		err        error // nil: a fault
	}{
		{"empty body", "", autodiscover.ErrUnexpected},
		{"other operation", `<a:GetDomainSettingsResponseMessage/>`, autodiscover.ErrUnexpected},
		{"no response", `<a:GetUserSettingsResponseMessage/>`, autodiscover.ErrUnexpected},
		{"no error code", `<a:GetUserSettingsResponseMessage><a:Response/></a:GetUserSettingsResponseMessage>`, autodiscover.ErrUnexpected},
		{"fault", `<s:Fault><faultcode>s:Client</faultcode><faultstring>no</faultstring></s:Fault>`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := autodiscover.ParseResponse(envelope(t, []byte(head+mid+tt.body+tail)), autodiscover.GetUserSettings)
			if _, fault := errors.AsType[*soap.Fault](err); err == nil || fault != (tt.err == nil) || tt.err != nil && !errors.Is(err, tt.err) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestKnownSetting(t *testing.T) {
	for _, s := range []string{"ExternalEwsUrl", "InternalImap4Connections", "EcpPublishingUrlFragment", "ExternalEcpPublishingUrl", "AlternateMailboxes"} {
		if !autodiscover.KnownSetting(s) {
			t.Errorf("%s is not known", s)
		}
	}
	for _, s := range []string{"", "externalewsurl", "Nonsense"} {
		if autodiscover.KnownSetting(s) {
			t.Errorf("%q is known", s)
		}
	}
}

func poxRequest(inner string) string {
	return `<?xml version="1.0" encoding="utf-8"?><Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"><Request>` + inner + `</Request></Autodiscover>`
}

const (
	outlookSchema = `<AcceptableResponseSchema>http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a</AcceptableResponseSchema>`
	mobileSchema  = `<AcceptableResponseSchema>http://schemas.microsoft.com/exchange/autodiscover/mobilesync/responseschema/2006</AcceptableResponseSchema>`
)

var poxTests = []struct {
	name, in string
	want     *autodiscover.POXRequest
	err      error
}{
	{"Outlook", poxRequest(`<EMailAddress>ana@contoso.com</EMailAddress>` + outlookSchema), &autodiscover.POXRequest{Address: "ana@contoso.com"}, nil},
	{"legacy name", poxRequest(outlookSchema + `<LegacyDN>/o=Contoso</LegacyDN><EMailAddress>ana@contoso.com</EMailAddress>`), &autodiscover.POXRequest{Address: "ana@contoso.com", LegacyDN: "/o=Contoso"}, nil},
	{"no schema", poxRequest(`<EMailAddress> ana@contoso.com </EMailAddress>`), &autodiscover.POXRequest{Address: "ana@contoso.com"}, nil},
	{"ActiveSync", strings.ReplaceAll(poxRequest(`<EMailAddress>ana@contoso.com</EMailAddress>`+mobileSchema), "outlook/requestschema", "mobilesync/requestschema"), nil, autodiscover.POXProvider},
	{"ActiveSync without schema", strings.ReplaceAll(poxRequest(`<EMailAddress>ana@contoso.com</EMailAddress>`), "outlook/requestschema", "mobilesync/requestschema"), nil, autodiscover.POXProvider},
	{"other schema", poxRequest(`<EMailAddress>ana@contoso.com</EMailAddress><AcceptableResponseSchema>x</AcceptableResponseSchema>`), nil, autodiscover.POXProvider},
	{"no address", poxRequest(outlookSchema), nil, autodiscover.POXInvalidRequest},
	{"no request", `<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"/>`, nil, autodiscover.POXInvalidRequest},
	{"no namespace", `<Autodiscover><Request><EMailAddress>ana@contoso.com</EMailAddress></Request></Autodiscover>`, nil, autodiscover.POXInvalidRequest},
	{"an answer", `<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006"/>`, nil, autodiscover.POXInvalidRequest},
	{"something else", `<x/>`, nil, autodiscover.POXInvalidRequest},
}

func TestParsePOX(t *testing.T) {
	for _, tt := range poxTests {
		t.Run(tt.name, func(t *testing.T) {
			root, err := soap.ReadXML(strings.NewReader(tt.in), 1<<16)
			if err != nil {
				t.Fatal(err)
			}
			got, err := autodiscover.ParsePOX(root)
			if diff := cmp.Diff(tt.want, got); diff != "" || !errors.Is(err, tt.err) {
				t.Errorf("error %v, want %v (-want +got)\n%s", err, tt.err, diff)
			}
		})
	}
}

func TestPOXAnswers(t *testing.T) {
	ews := "https://mail.contoso.com/EWS/Exchange.asmx"
	golden(t, "pox_settings.xml", autodiscover.AppendPOXSettings(nil, &autodiscover.POXSettings{
		DisplayName: "Ana & Bo", LegacyDN: "/o=Contoso/ou=x/cn=Recipients/cn=ana", Address: "ana@contoso.com", DeploymentID: "0d6a1b2c-0000-4000-8000-000000000001",
		Protocols: []autodiscover.POXProtocol{
			{Type: "EXCH", Server: "mail.contoso.com", ServerDN: "/o=Contoso/ou=x/cn=Configuration/cn=Servers/cn=MAIL", ServerVersion: autodiscover.POXVersion(15, 1, 847), AuthPackage: "Basic", EWSURL: ews, OABURL: "https://mail.contoso.com/OAB/"},
			{Type: "EXPR", Server: "mail.contoso.com", AuthPackage: "Basic", EWSURL: ews, OABURL: "https://mail.contoso.com/OAB/"},
		},
	}))
	golden(t, "pox_redirect.xml", autodiscover.AppendPOXRedirect(nil, "bo@contoso.partner.mail.onmschina.cn"))
	golden(t, "pox_error.xml", autodiscover.AppendPOXError(nil, autodiscover.POXInvalidRequest, time.Date(2026, 11, 22, 10, 15, 30, 123456700, time.UTC), 2477272013))
}

func TestPOXVersion(t *testing.T) {
	if got, want := autodiscover.POXVersion(15, 1, 847), "73C1834F"; got != want { // Autodiscover reference 2.2
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestV2(t *testing.T) {
	tests := []struct {
		name, path, query string
		want              *autodiscover.V2Request
		uri               string
		err               *autodiscover.V2Error
	}{
		{"in the query", "", "Email=ana%40contoso.com&Protocol=EWS", &autodiscover.V2Request{Email: "ana@contoso.com", Protocol: "EWS"}, "/autodiscover/autodiscover.json?Email=ana%40contoso.com&Protocol=EWS", nil},
		{"in the path", "ana@contoso.com", "protocol=ews&ServerLocation=true", &autodiscover.V2Request{Email: "ana@contoso.com", Protocol: "ews", InPath: true}, "/autodiscover/autodiscover.json/v1.0/ana@contoso.com?Protocol=ews", nil},
		{"names in any case, redirected", "", "EMAIL=a%2Bb%40contoso.com&PROTOCOL=x%26y&redirectcount=9", &autodiscover.V2Request{Email: "a+b@contoso.com", Protocol: "x&y", RedirectCount: 9},
			"/autodiscover/autodiscover.json?Email=a%2Bb%40contoso.com&Protocol=x%26y&RedirectCount=9", nil},
		{"no address", "", "Protocol=EWS", nil, "", autodiscover.V2Malformed},
		{"address twice", "", "Email=a&Email=b&Protocol=EWS", nil, "", autodiscover.V2Malformed},
		{"address in path and query", "a", "Email=a&Protocol=EWS", nil, "", autodiscover.V2Malformed},
		{"protocol in two cases", "", "Email=a&Protocol=EWS&protocol=REST", nil, "", autodiscover.V2Malformed},
		{"no protocol", "", "Email=a", nil, "", autodiscover.V2MissingProtocol},
		{"empty protocol", "", "Email=a&Protocol=", nil, "", autodiscover.V2MissingProtocol},
		{"count is no number", "", "Email=a&Protocol=EWS&RedirectCount=-1", nil, "", autodiscover.V2Malformed},
		{"count is too big", "", "Email=a&Protocol=EWS&RedirectCount=99999999999", nil, "", autodiscover.V2Malformed},
		{"bad escape", "", "Email=%zz&Protocol=EWS", nil, "", autodiscover.V2Malformed},
		{"others may repeat", "", "Email=a&Protocol=EWS&x=1&x=2", &autodiscover.V2Request{Email: "a", Protocol: "EWS"}, "/autodiscover/autodiscover.json?Email=a&Protocol=EWS", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := autodiscover.ParseV2(tt.path, tt.query)
			if diff := cmp.Diff(tt.want, got); diff != "" || err != tt.err {
				t.Fatalf("error %v, want %v (-want +got)\n%s", err, tt.err, diff)
			}
			if got != nil && got.URI() != tt.uri {
				t.Errorf("URI = %s, want %s", got.URI(), tt.uri)
			}
		})
	}
	for _, tt := range []struct{ got, want string }{
		{string(autodiscover.V2Answer{Protocol: "EWS", URL: "https://mail.contoso.com/EWS/Exchange.asmx"}.JSON()), `{"Protocol":"EWS","Url":"https://mail.contoso.com/EWS/Exchange.asmx"}`},
		{string(autodiscover.V2MissingProtocol.JSON()), `{"ErrorCode":"MissingProtocol","ErrorMessage":"A valid value must be provided for the query parameter 'Protocol'."}`},
		{string(autodiscover.V2Unsupported("X"+strings.Repeat("y", 100), []string{"AutodiscoverV1", "EWS"}).JSON()),
			`{"ErrorCode":"ProtocolNotSupported","ErrorMessage":"Protocol: The protocol 'Xyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy' is not supported. Supported protocols are: 'AutodiscoverV1,EWS'."}`},
	} {
		if diff := cmp.Diff(tt.want, strings.ReplaceAll(tt.got, `\u0027`, "'")); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
}

func FuzzParseRequest(f *testing.F) {
	for _, q := range requests {
		f.Add(autodiscover.AppendRequest(nil, q))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		env, err := soap.Read(bytes.NewReader(b), 1<<16)
		if err != nil {
			return
		}
		q, err := autodiscover.ParseRequest(env)
		if err != nil {
			return
		}
		again, err := autodiscover.ParseRequest(envelope(t, autodiscover.AppendRequest(nil, q)))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(q, again); diff != "" {
			t.Errorf("printed and read again (-want +got)\n%s", diff)
		}
	})
}

func FuzzParseResponse(f *testing.F) {
	ops := []autodiscover.Operation{autodiscover.GetUserSettings, autodiscover.GetDomainSettings, autodiscover.GetFederationInformation}
	for _, r := range responses {
		f.Add(autodiscover.AppendResponse(nil, r), byte(slices.Index(ops, r.Operation)))
	}
	f.Fuzz(func(t *testing.T, b []byte, op byte) {
		env, err := soap.Read(bytes.NewReader(b), 1<<16)
		if err != nil {
			return
		}
		r, err := autodiscover.ParseResponse(env, ops[int(op)%len(ops)])
		if err != nil {
			return
		}
		again, err := autodiscover.ParseResponse(envelope(t, autodiscover.AppendResponse(nil, r)), r.Operation)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, again); diff != "" {
			t.Errorf("printed and read again (-want +got)\n%s", diff)
		}
	})
}

// Whatever was asked for, the answer that repeats it is well-formed.
func FuzzParsePOX(f *testing.F) {
	for _, tt := range poxTests {
		f.Add([]byte(tt.in))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		root, err := soap.ReadXML(bytes.NewReader(b), 1<<16)
		if err != nil {
			return
		}
		q, err := autodiscover.ParsePOX(root)
		if (q == nil) == (err == nil) {
			t.Fatalf("got %v, %v", q, err)
		}
		if err != nil {
			return
		}
		out := autodiscover.AppendPOXSettings(nil, &autodiscover.POXSettings{Address: q.Address, LegacyDN: q.LegacyDN})
		if _, err := soap.ReadXML(bytes.NewReader(out), 1<<20); err != nil {
			t.Errorf("%v in\n%s", err, out)
		}
	})
}

func FuzzParseV2(f *testing.F) {
	f.Add("", "Email=ana%40contoso.com&Protocol=EWS&RedirectCount=1")
	f.Add("ana@contoso.com", "Protocol=AutodiscoverV1")
	f.Fuzz(func(t *testing.T, path, query string) {
		q, e := autodiscover.ParseV2(path, query)
		if (q == nil) == (e == nil) {
			t.Fatalf("got %v, %v", q, e)
		}
		if q == nil {
			return
		}
		uri := q.URI()
		if strings.ContainsAny(uri, " \r\n\"<>") || !strings.HasPrefix(uri, autodiscover.V2Path) {
			t.Errorf("URI %q", uri)
		}
		_, query, _ = strings.Cut(uri, "?")
		again, e := autodiscover.ParseV2(path, query)
		if diff := cmp.Diff(q, again); diff != "" || e != nil {
			t.Errorf("%s read again: %v (-want +got)\n%s", uri, e, diff)
		}
	})
}
