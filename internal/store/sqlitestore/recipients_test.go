package sqlitestore_test

import (
	"errors"
	"path/filepath"
	"testing"

	"busybridge/internal/directory"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/store/storetest"
)

// What a recipient is called by, and that nobody is called so, is remembered until
// something changes.
func TestNamesAreRemembered(t *testing.T) {
	ctx, s := t.Context(), open(t, filepath.Join(t.TempDir(), "a.db"))
	o := storetest.Organization("Contoso", "contoso.com")
	if err := s.CreateOrganization(ctx, o); err != nil {
		t.Fatal(err)
	}
	const upn = "kim.upn@contoso.com"
	for name, look := range map[string]func() (*directory.Recipient, error){
		"address":             func() (*directory.Recipient, error) { return s.Recipient(ctx, o.ID, smtpaddr.Must("kim@contoso.com")) },
		"user principal name": func() (*directory.Recipient, error) { return s.RecipientByUPN(ctx, o.ID, "Kim.UPN@contoso.com") },
	} {
		if r, err := look(); !errors.Is(err, directory.ErrNotFound) {
			t.Fatalf("%s: got %v, %v before there is one", name, r, err)
		}
		kim := storetest.Mailbox(o.ID, "kim@contoso.com")
		kim.UPN = upn
		if err := s.CreateRecipient(ctx, kim); err != nil {
			t.Fatal(err)
		}
		first, err := look()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if again, err := look(); again != first {
			t.Errorf("%s: it was read again (%v)", name, err)
		}
		if _, err := s.UpdateRecipient(ctx, o.ID, kim.ID, func(r *directory.Recipient) error { r.DisplayName = "Kim B."; return nil }); err != nil {
			t.Fatal(err)
		}
		if r, err := look(); err != nil || r.DisplayName != "Kim B." {
			t.Errorf("%s: got %v, %v after a change", name, r, err)
		}
		if err := s.DeleteRecipient(ctx, o.ID, kim.ID); err != nil {
			t.Fatal(err)
		}
		if r, err := look(); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("%s: got %v, %v of one that was removed", name, r, err)
		}
	}
}
