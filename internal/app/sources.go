package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"busybridge/internal/dial/caldavclient"
	"busybridge/internal/dial/feedclient"
	"busybridge/internal/dial/safehttp"
	"busybridge/internal/directory"
	"busybridge/internal/source/calstore"
	"busybridge/internal/source/syncsource"
)

// newSources puts together what follows the calendars that mailboxes have elsewhere.
func newSources(d *Deployment) (*syncsource.Syncer, error) {
	feeds, err := feedclient.New(feedclient.Config{Transport: d.safe, Dial: d.set.Dial, Now: d.set.Now})
	if err != nil {
		return nil, err
	}
	servers := syncsource.Servers{Transport: d.safe, Dial: d.set.Dial, Now: d.set.Now, Application: d.sourceApplication}
	dav, err := caldavclient.New(caldavclient.Config{Transport: d.safe, Dial: d.set.Dial, Now: d.set.Now})
	if err != nil {
		return nil, err
	}
	c := syncsource.Config{
		Followers: map[string]syncsource.Follower{directory.SourceCalDAV: syncsource.CalDAV{Client: dav, Now: d.set.Now}},
		Store:     d.Store, Copies: d.calendars, Fetchers: map[string]syncsource.Fetcher{directory.SourceICalendar: syncsource.Feeds{Client: feeds}, directory.SourceExchange: syncsource.Exchange{Servers: servers}, directory.SourceGraph: syncsource.Graph{Servers: servers}},
		Now: d.set.Now, Log: d.set.Log, Ticks: d.set.Ticks, CopyFailure: copyFailure,
	}
	if r := d.set.Registerer; r != nil {
		attempts := prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "busybridge_calendar_source_attempts_total", Help: "Attempts to read calendar sources, by how the source was then.",
		}, []string{"condition"})
		if err := errors.Join(r.Register(attempts), r.Register(sourceMetrics{d})); err != nil {
			return nil, fmt.Errorf("metrics of calendar sources: %w", err)
		}
		c.Attempted = func(condition string) { attempts.WithLabelValues(condition).Inc() }
	}
	return syncsource.New(c)
}

// copyFailure names why the built-in calendar refuses what a source holds.
func copyFailure(err error) string {
	for _, f := range []struct {
		err  error
		name string
	}{
		{calstore.ErrTooManyEvents, syncsource.FailureEvents},
		{calstore.ErrFolders, syncsource.FailureFolders},
		{calstore.ErrTooLarge, string(safehttp.FaultTooLarge)},
		{calstore.ErrNotCalendar, string(safehttp.FaultContent)},
	} {
		if errors.Is(err, f.err) {
			return f.name
		}
	}
	return ""
}

// sourceMetrics are how the calendar sources of a deployment are, when asked.
type sourceMetrics struct{ d *Deployment }

var (
	sourceCount = prometheus.NewDesc("busybridge_calendar_sources", "Calendar sources by how they are.", []string{"condition"}, nil)
	sourceStale = prometheus.NewDesc("busybridge_calendar_sources_stale", "Calendar sources whose copy is older than two refresh intervals.", nil, nil)
	sourceAge   = prometheus.NewDesc("busybridge_calendar_source_age_seconds_max", "Age of the oldest copy of a calendar source.", nil, nil)
)

// Describe implements prometheus.Collector.
func (sourceMetrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- sourceCount
	ch <- sourceStale
	ch <- sourceAge
}

// Collect implements prometheus.Collector.
func (m sourceMetrics) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	list, err := m.d.Store.AllCalendarSources(ctx)
	if err != nil {
		// An invalid metric would take all others with it.
		m.d.set.Log.Warn("calendar sources are not counted", "err", err)
		return
	}
	now := m.d.set.Now()
	counts, stale, oldest := map[string]int{}, 0, time.Duration(0)
	for _, v := range list {
		if v.Removed {
			continue
		}
		counts[v.Condition()]++
		if v.Stale(now) {
			stale++
		}
		if age, ok := v.Age(now); ok {
			oldest = max(oldest, age)
		}
	}
	for condition, n := range counts {
		ch <- prometheus.MustNewConstMetric(sourceCount, prometheus.GaugeValue, float64(n), condition)
	}
	ch <- prometheus.MustNewConstMetric(sourceStale, prometheus.GaugeValue, float64(stale))
	ch <- prometheus.MustNewConstMetric(sourceAge, prometheus.GaugeValue, oldest.Seconds())
}
