package availability

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"busybridge/internal/freebusy"
	"busybridge/internal/routing"
	"busybridge/internal/spec/smtpaddr"
)

// promptPeers are Peers that keep to the deadline of a question. One that leaves by
// one route, and asks for nothing else, is then asked without a goroutine.
type promptPeers interface {
	// Prompt reports whether Ask by the route returns soon after its context is done,
	// whatever another server does.
	Prompt(r routing.Route) bool
}

// A batch is one question that leaves by a route.
type batch struct {
	route   routing.Route
	targets []smtpaddr.Address
	waits   []waiter
}

// A waiter is an entry that waits for the answer about a target.
type waiter struct{ entry, target int }

// batches groups entries by route: one question for each, split where it would
// have more than MaxAttendees addresses.
type batches []*batch

// add looks through what there is: a question has few routes, and a batch few targets.
func (bs *batches) add(r routing.Route, entry int) {
	var last *batch
	for _, b := range *bs {
		if b.route.Same(&r) {
			if i := slices.Index(b.targets, r.Target); i >= 0 {
				b.waits = append(b.waits, waiter{entry, i})
				return
			}
			last = b
		}
	}
	if last == nil || len(last.targets) == MaxAttendees {
		last = &batch{route: r}
		*bs = append(*bs, last)
	}
	last.waits = append(last.waits, waiter{entry, len(last.targets)})
	last.targets = append(last.targets, r.Target)
}

// askPeer asks one batch and puts a reply for each of its entries on the board.
// It logs once what was not answered, with the first reason.
func (a *asking) askPeer(ctx context.Context, bt *batch, b *board[routing.Reply]) {
	ctx, cancel := context.WithTimeout(ctx, min(a.e.PeerTimeout, a.e.Timeout))
	defer cancel()
	q := routing.Query{
		Addresses: bt.targets, Window: a.q.Window, Slot: a.slot,
		Requester: routing.Requester{Org: a.q.Org.ID, RequestID: a.q.RequestID},
	}
	if r := a.q.Caller.Recipient; r != nil {
		q.Requester.Address, q.Requester.UPN = r.Primary, r.UPN
	}
	if bt.route.Kind == routing.AddressSpace {
		q.Requester.Via = a.via()
	}
	for _, w := range bt.waits {
		q.View |= a.view(a.entries[w.entry])
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
			a.nameLoop(&checked[i])
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
	for _, w := range bt.waits {
		b.put(w.entry, checked[w.target])
	}
}

// nameLoop adds to the refusal of a server that would have to ask on by which
// servers of ours the question came to it.
func (a *asking) nameLoop(r *routing.Reply) {
	me, ok := errors.AsType[*routing.MailboxError](r.Err)
	if !ok || me.Code != "ErrorProxyRequestNotAllowed" || strings.Contains(me.Text, onTheWay) || len(a.via()) == 0 {
		return
	}
	named := *me
	named.Text = strings.TrimSuffix(me.Text, ".") + ". " + strings.ToUpper(onTheWay[:1]) + onTheWay[1:] + strings.Join(a.via(), ", ") + "."
	r.Err = &named
}

// onTheWay is what a refusal says before the names of servers.
const onTheWay = "servers on the way: "

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
