package syncsource

import (
	"context"

	"busybridge/internal/dial/feedclient"
	"busybridge/internal/directory"
)

// Feeds is the Fetcher of directory.SourceICalendar.
type Feeds struct{ Client *feedclient.Client }

// Fetch implements Fetcher.
func (f Feeds) Fetch(ctx context.Context, v *directory.CalendarSource, known directory.CalendarSourceState) (*Result, error) {
	feed, err := f.Client.Fetch(ctx, feedclient.Request{
		URL: v.URL.Reveal(), UserName: v.UserName, Password: string(v.Password),
		ETag: known.ETag, LastModified: known.LastModified, MaxBytes: v.MaxBytes,
	})
	if err != nil {
		return nil, err
	}
	return &Result{NotModified: feed.NotModified, Text: feed.Body, ETag: feed.ETag, LastModified: feed.LastModified}, nil
}
