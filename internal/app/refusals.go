package app

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"busybridge/internal/audit"
	"busybridge/internal/directory"
	"busybridge/internal/serve/mount"
	"busybridge/internal/trust"
)

// OpRefuseToken is the operation under which refused tokens are in the audit.
const OpRefuseToken = "RefuseToken"

// refusals gives each refused token its audit record, as long as they are few,
// and counts all of them. It has no metrics when counted is nil.
type refusals struct {
	damper   *audit.Damper
	log      *slog.Logger
	counted  *prometheus.CounterVec // by reason
	unlisted prometheus.Counter
}

func newRefusals(damper *audit.Damper, log *slog.Logger, reg prometheus.Registerer) *refusals {
	r := &refusals{damper: damper, log: log}
	if reg == nil {
		return r
	}
	r.counted = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "busybridge_tokens_refused_total", Help: "Bearer tokens that were refused, by the reason that the caller was told.",
	}, []string{"reason"})
	r.unlisted = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "busybridge_refusals_unlisted_total", Help: "Refused tokens that were counted in the audit instead of recorded one by one.",
	})
	for _, c := range trust.Categories() {
		r.counted.WithLabelValues(c)
	}
	reg.MustRegister(r.counted, r.unlisted)
	return r
}

// A refusedToken is what an audit record keeps of one: never the token.
type refusedToken struct {
	Step      int    `json:"step"`
	ID        int    `json:"id"`
	Category  string `json:"category"`
	Claim     string `json:"claim,omitempty"`
	KeyID     string `json:"keyId,omitempty"`
	Algorithm string `json:"alg,omitempty"`
	Issuer    string `json:"iss,omitempty"`
	Audience  string `json:"aud,omitempty"`
	Caller    string `json:"nameid,omitempty"`
	Verified  bool   `json:"verified"` // the signature was good: the claims are the issuer's
}

// recordTimeout bounds the time that a record of a refusal may take.
const recordTimeout = 5 * time.Second

// token is told of a refused token. That it cannot be recorded changes nothing
// for the caller, who is refused anyway; the log has it then.
func (r *refusals) token(ctx context.Context, t *trust.Refusal) {
	if r.counted != nil {
		r.counted.WithLabelValues(t.Err.Category).Inc()
	}
	after, err := json.Marshal(refusedToken{
		Step: t.Err.Step, ID: t.Err.ID, Category: t.Err.Category, Claim: t.Err.Claim, KeyID: t.KeyID, Algorithm: t.Algorithm,
		Issuer: t.Issuer, Audience: t.Audience, Caller: t.Caller, Verified: t.Verified,
	})
	if err != nil {
		r.log.ErrorContext(ctx, "refused token is not recorded", "err", err)
		return
	}
	e := audit.Event{At: t.At, Operation: OpRefuseToken, Object: "Token " + t.Host, After: string(after),
		Outcome: trust.OneLine(t.Err.Error()), RequestID: mount.RequestID(ctx)}
	if t.Verified {
		e.Actor = t.Caller
	}
	if t.Org != nil {
		e.Org = string(t.Org.ID)
	}
	// Who hangs up leaves a record, too.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	recorded, err := r.damper.Refused(ctx, "step "+strconv.Itoa(t.Err.Step), e)
	switch {
	case err != nil:
		r.log.ErrorContext(ctx, "refused token is not recorded", "host", t.Host, "step", t.Err.Step, "err", err)
	case !recorded && r.unlisted != nil:
		r.unlisted.Inc()
	}
}

// A RefusedToken is one audit record of a refused token, or of several that
// were only counted.
type RefusedToken struct {
	At        time.Time       `json:"at"`
	Unknown   bool            `json:"unknown,omitempty"` // at a host of several organizations, none of which could be told
	Host      string          `json:"host,omitempty"`
	Caller    string          `json:"caller,omitempty"`
	Outcome   string          `json:"outcome"`
	RequestID string          `json:"requestId,omitempty"`
	Details   json.RawMessage `json:"details,omitempty"`
}

// RefusedTokens are the records of an organization since a time, the newest
// first, and those for which no organization could be told. Limit 0 is all.
func (d *Deployment) RefusedTokens(ctx context.Context, org directory.OrgID, since time.Time, limit int) ([]RefusedToken, error) {
	out := []RefusedToken{} // JSON: a list
	for _, owner := range []string{string(org), ""} {
		for e, err := range d.Store.AuditEvents(ctx, audit.Filter{Org: owner, From: since, Operation: OpRefuseToken, Limit: limit}) {
			if err != nil {
				return nil, err
			}
			_, host, _ := strings.Cut(e.Object, " ")
			out = append(out, RefusedToken{At: e.At, Unknown: owner == "", Host: host, Caller: e.Actor, Outcome: e.Outcome, RequestID: e.RequestID, Details: json.RawMessage(e.After)})
		}
	}
	slices.SortStableFunc(out, func(a, b RefusedToken) int { return b.At.Compare(a.At) })
	if limit > 0 && len(out) > limit {
		out = out[:limit]
	}
	return out, nil
}
