package remoteserver

import "github.com/prometheus/client_golang/prometheus"

// Metrics counts sessions and what they do. All labels come from closed sets. A
// nil *Metrics counts nothing.
type Metrics struct {
	sessions prometheus.Gauge
	opened   prometheus.Counter
	refused  *prometheus.CounterVec // reason
	ended    *prometheus.CounterVec // reason
	commands *prometheus.CounterVec // outcome
	running  prometheus.Gauge
	bytes    *prometheus.CounterVec // direction
}

// Why a session or a command was refused, why a session ended, and how a command did.
const (
	refusedAccount   = "account" // it has as many sessions as it may
	refusedServer    = "server"  // all accounts together have
	refusedRate      = "rate"    // the account opened too many within a short time
	refusedForbidden = "forbidden"

	endedByClient = "client"
	endedIdle     = "idle"
	endedLifetime = "lifetime"
	endedBroken   = "broken" // its client did not keep to the protocol when it opened it
	endedServer   = "server"

	commandDone    = "done"
	commandFailed  = "failed" // by an error that its client was told
	commandStopped = "stopped"
	commandRefused = "refused" // there is none, or the account may not run it, or it is a script
	commandBusy    = "busy"    // the session runs as many as it may
	commandBroken  = "internal_error"
)

// NewMetrics registers the metrics with reg; a second call for the same registry
// panics.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	vec := func(name, help, label string, values ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
		for _, s := range values { // so that a rate over it is right from the start
			v.WithLabelValues(s)
		}
		return v
	}
	m := &Metrics{
		sessions: prometheus.NewGauge(prometheus.GaugeOpts{Name: "busybridge_remote_sessions", Help: "Sessions of remote PowerShell that are open."}),
		opened:   prometheus.NewCounter(prometheus.CounterOpts{Name: "busybridge_remote_sessions_opened_total", Help: "Sessions of remote PowerShell that were opened."}),
		refused: vec("busybridge_remote_sessions_refused_total", "Sessions of remote PowerShell that were not opened, by the limit that was reached.",
			"reason", refusedAccount, refusedServer, refusedRate, refusedForbidden),
		ended: vec("busybridge_remote_sessions_ended_total", "Sessions of remote PowerShell that have ended, by why.",
			"reason", endedByClient, endedIdle, endedLifetime, endedBroken, endedServer),
		commands: vec("busybridge_remote_commands_total", "Pipelines of remote PowerShell, by how they ended.",
			"outcome", commandDone, commandFailed, commandStopped, commandRefused, commandBusy, commandBroken),
		running: prometheus.NewGauge(prometheus.GaugeOpts{Name: "busybridge_remote_commands_running", Help: "Pipelines of remote PowerShell that run or wait for their turn."}),
		bytes: vec("busybridge_remote_bytes_total", "Bytes of the streams of remote PowerShell: what clients sent, and the results that they took.",
			"direction", "in", "out"),
	}
	reg.MustRegister(m.sessions, m.opened, m.refused, m.ended, m.commands, m.running, m.bytes)
	return m
}

func (m *Metrics) open() {
	if m != nil {
		m.sessions.Inc()
		m.opened.Inc()
	}
}

func (m *Metrics) refuse(reason string) {
	if m != nil {
		m.refused.WithLabelValues(reason).Inc()
	}
}

func (m *Metrics) end(reason string) {
	if m != nil {
		m.sessions.Dec()
		m.ended.WithLabelValues(reason).Inc()
	}
}

func (m *Metrics) begin() {
	if m != nil {
		m.running.Inc()
	}
}

// command counts a pipeline that began.
func (m *Metrics) command(outcome string) {
	if m != nil {
		m.running.Dec()
		m.commands.WithLabelValues(outcome).Inc()
	}
}

func (m *Metrics) busy() {
	if m != nil {
		m.commands.WithLabelValues(commandBusy).Inc()
	}
}

func (m *Metrics) move(direction string, n int) {
	if m != nil {
		m.bytes.WithLabelValues(direction).Add(float64(n))
	}
}
