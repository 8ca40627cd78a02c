package lab

import (
	"io"
	"log/slog"
	"testing"
	"time"

	"busybridge/internal/app/client"
	"busybridge/internal/freebusy"
)

// BenchmarkAsk is one question over HTTPS, client and server together.
func BenchmarkAsk(b *testing.B) {
	l, err := Start(b.Context(), Options{Now: time.Now, Log: slog.New(slog.DiscardHandler), Out: io.Discard})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	if err := l.Join(b.Context()); err != nil {
		b.Fatal(err)
	}
	week := l.nextWeek()
	for _, bb := range []struct {
		name string
		of   []string
	}{
		{"one here", l.addresses(cloud)[1:2]},
		{"ten here", l.addresses(cloud)},
		{"one there", l.addresses(onprem)[:1]},
		{"eleven there", l.addresses(onprem)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			m, _ := l.file.Mailbox("kim@" + domain)
			c, err := client.New(l.file.ForLab(m))
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			for b.Loop() {
				if _, err := c.Availability(b.Context(), bb.of, week, freebusy.ViewFreeBusyMerged); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
