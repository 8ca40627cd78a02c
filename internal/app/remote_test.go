package app

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/app/config"
	"busybridge/internal/serve/remoteserver"
)

// Every key of remote_powershell reaches the server, and the defaults of both are the same.
func TestRemoteLimits(t *testing.T) {
	got := remoteLimits(config.RemotePowerShell{Sessions: 1, AllSessions: 2, NewSessions: 3, Commands: 4, MemoryBytes: 5, BodyBytes: 6, EnvelopeBytes: 7,
		Idle: 8, MaxIdle: 9, Lifetime: 10, Run: 11})
	want := remoteserver.Limits{Sessions: 1, AllSessions: 2, NewSessions: 3, Commands: 4, Memory: 5, Body: 6, Envelope: 7, Idle: 8, MaxIdle: 9, Lifetime: 10, Run: 11}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	def := config.Default()
	if diff := cmp.Diff(remoteserver.Limits{}.OrDefaults(), remoteLimits(def.RemotePowerShell).OrDefaults()); diff != "" {
		t.Errorf("the defaults differ (-server +configuration):\n%s", diff)
	}
}
