package callers

import (
	"errors"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"busybridge/internal/trust"
)

// Metrics counts how requests with credentials end. A nil *Metrics counts nothing.
type Metrics struct {
	signIns *prometheus.CounterVec // way, outcome
}

var (
	ways = []string{"password", "app_password", "certificate", "token"}
	// refused is the caller's fault, failed is ours.
	outcomes = []string{"in", "refused", "wait", "busy", "failed"}
)

// NewMetrics registers the metrics with reg; a second call for the same
// registry panics.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "busybridge_sign_ins_total", Help: "Requests with credentials, by the way of signing in and how it ended.",
	}, []string{"way", "outcome"})}
	for _, w := range ways {
		for _, o := range outcomes {
			m.signIns.WithLabelValues(w, o)
		}
	}
	reg.MustRegister(m.signIns)
	return m
}

// count counts a request and who sent it, or why it was refused.
func (m *Metrics) count(r *http.Request, c *Caller, err error) {
	if m == nil || errors.Is(err, ErrNoCredentials) {
		return
	}
	way := "certificate"
	if h := r.Header["Authorization"]; len(h) > 0 {
		scheme, _, _ := strings.Cut(h[0], " ")
		switch {
		case strings.EqualFold(scheme, "Bearer"):
			way = "token"
		case c != nil && c.AppPassword != "":
			way = "app_password"
		default:
			way = "password"
		}
	}
	m.signIns.WithLabelValues(way, outcome(err)).Inc()
}

func outcome(err error) string {
	_, wait := errors.AsType[*BackoffError](err)
	_, refused := errors.AsType[*trust.TokenError](err)
	switch {
	case err == nil:
		return "in"
	case wait:
		return "wait"
	case errors.Is(err, ErrBusy):
		return "busy"
	case refused || errors.Is(err, ErrBadCredentials) || errors.Is(err, ErrBadHeader):
		return "refused"
	}
	return "failed"
}
