package app

import (
	"context"
	"log/slog"
	"os"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"busybridge/internal/app/config"
)

// A Reload is how a node takes up a changed configuration while it runs. The
// zero value never does.
type Reload struct {
	Asked <-chan os.Signal
	Load  func() (*config.Config, error) // required with Asked
	Level *slog.LevelVar                 // of the node's log; required with Asked
}

// A reloader changes what can be changed in a node that runs.
type reloader struct {
	Reload
	running    *config.Config
	d          *Deployment
	cert       *certificateFile
	log        *slog.Logger
	successful prometheus.Gauge
}

func newReloader(r Reload, cfg *config.Config, d *Deployment, cert *certificateFile, reg prometheus.Registerer) *reloader {
	re := &reloader{Reload: r, running: cfg, d: d, cert: cert, log: d.set.Log, successful: prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "busybridge_reload_successful", Help: "1 when the last reload of the configuration was taken up as a whole, or there was none.",
	})}
	re.successful.Set(1)
	reg.MustRegister(re.successful)
	return re
}

// run reloads whenever it is asked, until ctx ends.
func (r *reloader) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.Asked:
			r.successful.Set(0)
			if r.reload() {
				r.successful.Set(1)
			}
		}
	}
}

// reload reports whether all of the configuration is in use now. A configuration
// with a fault changes nothing.
func (r *reloader) reload() bool {
	next, err := r.Load()
	if err != nil {
		r.log.Error("reload is refused; the former configuration stays", "err", err)
		return false
	}
	merged, changed, restart := r.running.Reloaded(next)
	if all := merged.Problems(); slices.ContainsFunc(all, func(p config.Problem) bool { return !p.Warning }) {
		r.log.Error("reload is refused; the former configuration stays: it needs a restart", "keys", restart, "err", &config.InvalidError{File: "merged with what runs", Problems: all})
		return false
	}
	level, err := merged.Log.SlogLevel()
	if err == nil {
		err = r.cert.use(merged.TLS.CertificateFile, merged.TLS.KeyFile)
	}
	if err != nil {
		r.log.Error("reload is refused; the former configuration stays", "err", err)
		return false
	}
	r.Level.Set(level)
	r.d.turns.Retune(turnsOf(&merged.Limits))
	r.running = merged
	r.log.Info("reloaded", "changed", changed, "certificate_until", r.cert.until())
	if len(restart) > 0 {
		r.log.Error("keys were not reloaded: they need a restart", "keys", restart)
	}
	return len(restart) == 0
}
