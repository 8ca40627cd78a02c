package fedmeta_test

import (
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"busybridge/internal/spec/fedmeta"
)

const tenant = "4d2c1b0a-9f8e-4d7c-8b6a-5f4e3d2c1b0a"

// The certificates of the test vectors (oauth-s2s reference, section 10).
const (
	organization = "ABXvwUWlLTv0cpOEoJWYdcSDnhA"
	authority    = "QhPBdD0Uon-YJkcJL72mXGUm_lo"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func thumbprints(d *fedmeta.Document) (out []string) {
	for _, der := range d.Certificates {
		sum := sha1.Sum(der)
		out = append(out, base64.RawURLEncoding.EncodeToString(sum[:]))
	}
	return out
}

// The keys of the signature, of applications and for encryption sign no tokens.
func TestParse(t *testing.T) {
	for name, want := range map[string]struct {
		doc  fedmeta.Document
		keys []string
	}{
		"entra.xml": {fedmeta.Document{ID: "_0ded55ab-8b0c-4ea9-a1bb-9d4a4e5f2a55", EntityID: "https://sts.chinacloudapi.cn/" + tenant + "/",
			Endpoint: "https://login.chinacloudapi.cn/" + tenant + "/wsfed"}, []string{authority, organization}},
		"prefixed.xml": {fedmeta.Document{EntityID: "https://sts.chinacloudapi.cn/" + tenant + "/"}, []string{authority}},
	} {
		got, err := fedmeta.Parse(read(t, name))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d := cmp.Diff(&want.doc, got, cmpopts.IgnoreFields(fedmeta.Document{}, "Certificates")); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if d := cmp.Diff(want.keys, thumbprints(got)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if got.Tenant() != tenant {
			t.Errorf("%s: tenant %q", name, got.Tenant())
		}
	}
}

func TestTenant(t *testing.T) {
	for entity, want := range map[string]string{
		"https://sts.windows.net/" + tenant + "/": tenant, "https://sts.windows.net/" + tenant: tenant,
		"https://login.microsoftonline.us/x/" + tenant + "/": tenant, "https://sts.windows.net/": "", "https://sts.windows.net": "", "%zz": "",
	} {
		if got := (&fedmeta.Document{EntityID: entity}).Tenant(); got != want {
			t.Errorf("%s: %q, want %q", entity, got, want)
		}
	}
}

func TestRefused(t *testing.T) {
	good := string(read(t, "entra.xml"))
	swap := func(old, new string) string {
		s := strings.ReplaceAll(good, old, new)
		if s == good {
			t.Fatalf("the document has no %q", old)
		}
		return s
	}
	for name, text := range map[string]string{
		"nothing":            "",
		"HTML":               "<html><body>Sign in</body></html>",
		"JSON":               `{"issuer":"p@t"}`,
		"two roots":          good + "<a/>",
		"another root":       swap("EntityDescriptor", "EntitiesDescriptor"),
		"another namespace":  swap("urn:oasis:names:tc:SAML:2.0:metadata", "urn:oasis:names:tc:SAML:1.1:metadata"),
		"no entityID":        swap("entityID=", "entity="),
		"long entityID":      swap("entityID=\"", "entityID=\"https://"+strings.Repeat("a", 2000)),
		"no token service":   swap("SecurityTokenServiceType", "AttributeServiceType"),
		"another federation": swap("federation/200706\"", "federation/200512\""),
		"document type":      strings.Replace(good, "<EntityDescriptor", `<!DOCTYPE x [<!ENTITY a "aaaa">]><EntityDescriptor`, 1),
		"too deep":           "<EntityDescriptor>" + strings.Repeat("<a>", 200) + strings.Repeat("</a>", 200) + "</EntityDescriptor>",
		"too large":          strings.Replace(good, "</EntityDescriptor>", strings.Repeat(" ", fedmeta.MaxDocument)+"</EntityDescriptor>", 1),
		"cut off":            good[:len(good)-1],
	} {
		if d, err := fedmeta.Parse([]byte(text)); !errors.Is(err, fedmeta.ErrDocument) {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
}

// A key that cannot be read is left out and told, and spoils no other.
func TestUnreadableKey(t *testing.T) {
	const key = `<KeyDescriptor use="signing"><KeyInfo xmlns="http://www.w3.org/2000/09/xmldsig#"><X509Data><X509Certificate>`
	text := string(read(t, "entra.xml"))
	got, err := fedmeta.Parse([]byte(strings.Replace(text, key, key+"AAAA", 1)))
	if err != nil || len(got.Refused) != 1 || len(got.Certificates) != 2 {
		t.Errorf("%+v, %v", got, err)
	}
	// Only signing keys count, to the letter: what has no use is for both, and is not Entra's.
	got, err = fedmeta.Parse([]byte(strings.ReplaceAll(text, `use="signing"`, `use="Signing"`)))
	if err != nil || len(got.Certificates) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

// Garbage is bounded, however much there is.
func TestManyKeys(t *testing.T) {
	text := string(read(t, "entra.xml"))
	at := strings.Index(text, "<KeyDescriptor")
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, `<KeyDescriptor use="signing"><KeyInfo xmlns="http://www.w3.org/2000/09/xmldsig#"><X509Data><X509Certificate>%08d</X509Certificate></X509Data></KeyInfo></KeyDescriptor>`, i)
	}
	got, err := fedmeta.Parse([]byte(text[:at] + b.String() + text[at:]))
	if err != nil || len(got.Refused) > 32 || len(got.Certificates) != 2 {
		t.Errorf("%d refused, %d keys, %v", len(got.Refused), len(got.Certificates), err)
	}
}

func TestWrittenDocumentIsReadBack(t *testing.T) {
	entra, err := fedmeta.Parse(read(t, "entra.xml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []*fedmeta.Document{
		{ID: "_a", EntityID: "https://sts.contoso.com/" + tenant + "/", Endpoint: "https://login.contoso.com/?a=b&c=<d>", Certificates: entra.Certificates},
		{EntityID: `urn:"x"`},
	} {
		got, err := fedmeta.Parse(want.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	}
}

func FuzzParse(f *testing.F) {
	entra, prefixed := read(f, "entra.xml"), read(f, "prefixed.xml")
	f.Add(entra)
	f.Add(prefixed)
	f.Add((&fedmeta.Document{EntityID: "https://sts.contoso.com/x/"}).Append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := fedmeta.Parse(data)
		if err != nil {
			if !errors.Is(err, fedmeta.ErrDocument) {
				t.Errorf("%v", err)
			}
			return
		}
		// What is written of it is read as the same, but for what was refused and
		// characters that no document can hold.
		again, err := fedmeta.Parse(d.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(d, again, cmpopts.IgnoreFields(fedmeta.Document{}, "Refused")); diff != "" {
			t.Error(diff)
		}
	})
}
