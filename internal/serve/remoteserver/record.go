package remoteserver

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"busybridge/internal/audit"
	"busybridge/internal/ps/object"
)

// Bounds of what the audit keeps of one pipeline.
const (
	maxRecorded = 64  // commands, and parameters of one
	maxValue    = 256 // bytes of a value
)

// A recorded pipeline is what After of the audit's event says.
type recorded struct {
	Command  string            `json:"command"`
	Request  string            `json:"request,omitempty"`
	Client   string            `json:"client,omitempty"` // its program, and from where
	From     string            `json:"from"`
	Seconds  float64           `json:"seconds"`
	Objects  int               `json:"objects"`
	Commands []recordedCommand `json:"commands,omitempty"`
}

type recordedCommand struct {
	Name       string            `json:"name"`
	Parameters map[string]string `json:"parameters,omitempty"`
}

// record keeps that the pipeline ran. What a cmdlet changed has events of its own
// with the session's id as their request.
func (c *command) record(begin time.Time, objects int, outcome string) {
	sh, cfg := c.sh, &c.sh.server.cfg
	now := cfg.Now()
	r := recorded{Command: c.id, Request: c.request, Client: clip(sh.client), From: sh.address, Seconds: now.Sub(begin).Seconds(), Objects: objects}
	operation := "Invoke-Command"
	if c.job.Query != nil {
		operation = "Get-Command"
	}
	if c.job.Pipeline != nil {
		for _, statement := range c.job.Pipeline.Statements {
			for _, cmd := range statement {
				k := recordedCommand{Name: clip(cmd.Name)}
				if cmd.Script {
					k.Name = "script: " + k.Name
				}
				for i, a := range cmd.Arguments {
					if i == 0 {
						k.Parameters = map[string]string{}
					}
					if i < maxRecorded {
						k.Parameters[clip(a.Name)] = shown(a.Name, a.Value)
					}
				}
				if len(r.Commands) < maxRecorded {
					r.Commands = append(r.Commands, k)
				}
			}
		}
	}
	after, err := json.Marshal(r)
	if err == nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), 10*time.Second)
		defer cancel()
		err = cfg.Audit.Record(ctx, audit.Event{
			At: now, Org: sh.org, Actor: sh.user, Operation: operation, Object: "Session " + sh.id, After: string(after), Outcome: outcome, RequestID: sh.id,
		})
	}
	if err != nil {
		cfg.Log.Error("a pipeline is not recorded", "session", sh.id, "command", c.id, "err", err)
	}
}

// shown is a value without what is secret.
func shown(name string, v any) string {
	low := strings.ToLower(name)
	for _, word := range []string{"password", "secret", "key", "token", "credential", "filedata"} {
		if strings.Contains(low, word) {
			return "***"
		}
	}
	switch object.Base(v).(type) {
	case *object.SecureString, *object.Credential:
		return "***"
	}
	if o, ok := v.(*object.Object); ok { // a bag may hold anything
		return clip("{" + strings.Join(object.TypeNames(o), " ") + "}")
	}
	return clip(object.String(v))
}

func clip(s string) string {
	if len(s) > maxValue {
		s = strings.ToValidUTF8(s[:maxValue], "") + "…"
	}
	return s
}
