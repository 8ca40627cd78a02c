package availability

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"busybridge/internal/freebusy"
	"busybridge/internal/routing"
	"busybridge/internal/spec/smtpaddr"
)

// A batch is one question that leaves by a route.
type batch struct {
	route   routing.Route
	targets []smtpaddr.Address
	entries [][]int // for each target, the entries that wait for it
}

// batches groups entries by route: one question for each, split where it would
// have more than MaxAttendees addresses.
type batches struct {
	list []*batch
	open map[string]*batch // by Route.Key: the last one
	at   map[place]spot
}

type place struct {
	key    string
	target smtpaddr.Address
}

type spot struct {
	b *batch
	i int
}

func (bs *batches) add(r routing.Route, entry int) {
	if bs.open == nil {
		bs.open, bs.at = map[string]*batch{}, map[place]spot{}
	}
	key := r.Key()
	where, ok := bs.at[place{key, r.Target}]
	if !ok {
		b := bs.open[key]
		if b == nil || len(b.targets) == MaxAttendees {
			b = &batch{route: r}
			bs.open[key] = b
			bs.list = append(bs.list, b)
		}
		where = spot{b, len(b.targets)}
		bs.at[place{key, r.Target}] = where
		b.targets = append(b.targets, r.Target)
		b.entries = append(b.entries, nil)
	}
	where.b.entries[where.i] = append(where.b.entries[where.i], entry)
}

// askPeer asks one batch and puts a reply for each of its entries on the board.
// It logs once what was not answered, with the first reason.
func (a *asking) askPeer(ctx context.Context, bt *batch, b *board[routing.Reply]) {
	ctx, cancel := context.WithTimeout(ctx, a.e.PeerTimeout)
	defer cancel()
	q := routing.Query{
		Addresses: bt.targets, Window: a.q.Window, Slot: a.slot,
		Requester: routing.Requester{Org: a.q.Org.ID, RequestID: a.q.RequestID},
	}
	if r := a.q.Caller.Recipient; r != nil {
		q.Requester.Address, q.Requester.UPN = r.Primary, r.UPN
	}
	for _, entries := range bt.entries {
		for _, i := range entries {
			q.View |= a.view(a.entries[i])
		}
	}
	replies, err := a.peers(ctx, bt.route, q)
	if err == nil && len(replies) != len(q.Addresses) {
		err = fmt.Errorf("%d answers to %d addresses", len(replies), len(q.Addresses))
	}
	var failed error
	if err != nil {
		failed = peerError(err)
	}
	checked := make([]routing.Reply, len(bt.targets))
	missed, why, level := 0, error(nil), slog.LevelDebug
	for i := range checked {
		checked[i].Err = failed
		if failed == nil {
			checked[i] = sound(replies[i], a.q.Window.Slots(a.slot), q)
		}
		if err := checked[i].Err; err != nil {
			missed++
			// What the other side says itself, such as that nothing is shared, is an answer.
			if me, ok := errors.AsType[*routing.MailboxError](err); !ok || me.Reason != routing.Remote {
				level = slog.LevelWarn
			} else if why != nil {
				continue
			}
			why = err
		}
	}
	if missed > 0 {
		a.e.Log.LogAttrs(ctx, level, "another server did not answer for all", slog.String("org", string(a.q.Org.ID)), slog.String("request_id", a.q.RequestID),
			slog.String("route", bt.route.Kind.String()), slog.String("object", bt.route.Name()),
			slog.Int("mailboxes", len(q.Addresses)), slog.Int("unanswered", missed), slog.Any("err", why))
	}
	for i, entries := range bt.entries {
		for _, at := range entries {
			b.put(at, checked[i])
		}
	}
}

// peers calls Peers and contains its panics.
func (a *asking) peers(ctx context.Context, r routing.Route, q routing.Query) (replies []routing.Reply, err error) {
	defer a.e.contain(ctx, "ask by "+r.Name(), r.Kind, func() { replies, err = nil, errors.New("internal error") })
	return a.e.Peers.Ask(ctx, a.q.Org, r, q)
}

// sound returns what may be used of a reply to q: errors as MailboxErrors, no
// more than was asked for, a merged string for events without one when it was
// asked for.
func sound(r routing.Reply, slots int, q routing.Query) routing.Reply {
	if r.Err != nil {
		return routing.Reply{Err: peerError(r.Err)}
	}
	if r.View&freebusy.ViewMerged != 0 && len(r.Merged) != slots {
		r.View &^= freebusy.ViewMerged
		r.Merged = ""
	}
	if len(r.Events) > freebusy.MaxEvents {
		return routing.Reply{Err: proxyFailed(fmt.Errorf("%d calendar entries, limit %d", len(r.Events), freebusy.MaxEvents))}
	}
	if q.View&freebusy.ViewMerged != 0 && r.View&(freebusy.ViewMerged|freebusy.ViewEvents) == freebusy.ViewEvents {
		r.View |= freebusy.ViewMerged
		r.Merged = freebusy.Merge(q.Window, q.Slot, r.Events)
	}
	if r = restrict(r, q.View); r.View == freebusy.ViewNone {
		return routing.Reply{Err: proxyFailed(errors.New("the answer contains no free/busy data"))}
	}
	return r
}

// peerError keeps a MailboxError, and makes one of anything else.
func peerError(err error) *routing.MailboxError {
	if me, ok := errors.AsType[*routing.MailboxError](err); ok {
		return me
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return timedOut()
	}
	return proxyFailed(err)
}

func proxyFailed(err error) *routing.MailboxError {
	return &routing.MailboxError{Reason: routing.ProxyFailed, Text: fmt.Sprintf("Proxy web request failed. , inner exception: %v", err), Err: err}
}
