package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReloaded(t *testing.T) {
	running, next := Default(), Default()
	next.Log.Level, next.Limits.UserAtOnce, next.TLS.KeyFile = "debug", 3, "new.key"
	next.Listen, next.Node.HostNames, next.Limits.InFlight = ":8443", []string{"mail.contoso.com"}, 9
	got, changed, restart := running.Reloaded(next)
	if diff := cmp.Diff([]string{"tls.key_file", "limits.user_at_once", "log.level"}, changed); diff != "" {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"node.host_names", "listen", "limits.in_flight"}, restart); diff != "" {
		t.Errorf("restart (-want +got):\n%s", diff)
	}
	want := Default()
	want.Log.Level, want.Limits.UserAtOnce, want.TLS.KeyFile = "debug", 3, "new.key"
	if diff := cmp.Diff(want.Limits, got.Limits); diff != "" || got.Log != want.Log || got.TLS != want.TLS || got.Listen != want.Listen || got.Node.HostNames != nil {
		t.Errorf("reloaded: %+v", got)
	}
	if diff := cmp.Diff(Default().Limits, running.Limits); diff != "" {
		t.Errorf("the running configuration was changed:\n%s", diff)
	}
}
