package mount

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts requests. All labels come from closed sets: the route names
// and the status classes. A nil *Metrics counts nothing.
type Metrics struct {
	requests *prometheus.CounterVec   // route, class
	duration *prometheus.HistogramVec // route
	bytes    *prometheus.CounterVec   // route
	inFlight prometheus.Gauge
	refused  prometheus.Counter
	panics   prometheus.Counter
	turns    [callerKinds][turnOutcomes]prometheus.Counter
	waiting  prometheus.Gauge
}

// A turnOutcome is how waiting for a turn ended.
type turnOutcome uint8

const (
	turnAtOnce    turnOutcome = iota
	turnWaited                // and had it
	turnQueueFull             // refused: too many requests of the caller wait
	turnTooMany               // refused: too many requests in a minute
	turnGaveUp                // no turn came in time, or the caller went away
	turnOutcomes
)

var turnOutcomeNames = [turnOutcomes]string{"at_once", "waited", "queue_full", "too_many", "gave_up"}

var classes = []string{"1xx", "2xx", "3xx", "4xx", "5xx"}

// NewMetrics registers the metrics with reg; a second call for the same
// registry panics. Several handlers may share one Metrics.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "busybridge_http_requests_total", Help: "Requests by route and class of the answer's status.",
		}, []string{"route", "class"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "busybridge_http_request_duration_seconds", Help: "Time from the request's header to the end of the answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20, 25, 30},
		}, []string{"route"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "busybridge_http_response_bytes_total", Help: "Bytes of answers' bodies.",
		}, []string{"route"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "busybridge_http_requests_in_flight", Help: "Requests that are being answered.",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "busybridge_http_requests_refused_total", Help: "Requests answered 503 because too many were in flight.",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "busybridge_http_panics_total", Help: "Requests whose handler panicked.",
		}),
	}
	turns := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "busybridge_turns_total", Help: "Requests whose sender was known, by kind of the sender and how they came to be worked on.",
	}, []string{"caller", "outcome"})
	for k, kind := range callerKindNames {
		for o, outcome := range turnOutcomeNames {
			m.turns[k][o] = turns.WithLabelValues(kind, outcome)
		}
	}
	m.waiting = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "busybridge_turns_waiting", Help: "Requests that wait for their sender's turn.",
	})
	reg.MustRegister(m.requests, m.duration, m.bytes, m.inFlight, m.refused, m.panics, turns, m.waiting)
	return m
}

// declare makes every series exist from the start, so that a rate over it is right.
func (m *Metrics) declare(routes []string) {
	if m == nil {
		return
	}
	for _, r := range routes {
		for _, c := range classes {
			m.requests.WithLabelValues(r, c)
		}
		m.duration.WithLabelValues(r)
		m.bytes.WithLabelValues(r)
	}
}

func (m *Metrics) begin() {
	if m != nil {
		m.inFlight.Inc()
	}
}

func (m *Metrics) end(route string, status int, bytes int64, d time.Duration) {
	if m == nil {
		return
	}
	m.inFlight.Dec()
	m.requests.WithLabelValues(route, classes[min(max(status/100, 1), len(classes))-1]).Inc()
	m.duration.WithLabelValues(route).Observe(d.Seconds())
	m.bytes.WithLabelValues(route).Add(float64(bytes))
}

func (m *Metrics) refuse() {
	if m != nil {
		m.refused.Inc()
	}
}

func (m *Metrics) panicked() {
	if m != nil {
		m.panics.Inc()
	}
}

func (m *Metrics) turn(k CallerKind, o turnOutcome) {
	if m != nil {
		m.turns[k][o].Inc()
	}
}

func (m *Metrics) waits(n float64) {
	if m != nil {
		m.waiting.Add(n)
	}
}
