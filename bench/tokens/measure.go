package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"busybridge/bench/meter"
	"busybridge/internal/directory"
	"busybridge/internal/spec/jose"
	"busybridge/internal/trust"
)

// inProcess is how long a thing of this process is measured at a time.
const inProcess = 500 * time.Millisecond

// The floor does one raw operation for a request of its path.
const signPath, verifyPath = "sign", "verify"

// serveFloor is the floor under everything with RSA-2048: what the operation
// costs is the difference to a request for the fixed body alone, under the same
// load and beside the same neighbours.
func serveFloor(ctx context.Context, name string, out io.Writer) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	digest := sha256.Sum256([]byte("busybridge"))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	if err != nil {
		return err
	}
	return meter.ServeFloor(ctx, name, "application/json; charset=utf-8", map[string]func() error{
		"/" + signPath: func() error {
			_, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
			return err
		},
		"/" + verifyPath: func() error { return rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, digest[:], signature) },
	}, out)
}

// issue measures token requests: P5, P7 and the first half of P8.
func (w *world) issue(ctx context.Context, o options) ([]meter.Row, error) {
	same, sent := w.audience(w.cloudHost()), w.signed()
	body, err := w.ask(ctx, same, sent)
	if err != nil {
		return nil, err
	}
	floor, err := meter.StartFloor(ctx, body)
	if err != nil {
		return nil, err
	}
	defer floor.Stop()
	atFloor := func(path string) func(context.Context, int) error {
		return func(ctx context.Context, _ int) error {
			_, err := post(ctx, floor.HTTP, floor.URL+path, "application/x-www-form-urlencoded", string(body), nil)
			return err
		}
	}
	asking := func(audience func() string, assertion func() string) func(context.Context, int) error {
		return func(ctx context.Context, _ int) error { _, err := w.ask(ctx, audience(), assertion()); return err }
	}
	always := func(s string) func() string { return func() string { return s } }
	parts := [...]struct {
		name string
		of   *meter.Child
		ask  func(context.Context, int) error
		// ahead is how many assertions are signed for a second of it beforehand: more
		// than it needs. It is asked for half the time.
		ahead float64
		each  []time.Duration
		late  []time.Duration
	}{
		{name: "fixed body", of: floor.Child, ask: atFloor("")},
		{name: "verification", of: floor.Child, ask: atFloor(verifyPath)},
		{name: "signature", of: floor.Child, ask: atFloor(signPath)},
		{name: "new tokens", of: w.lab.Child, ask: asking(w.unasked, w.assertion), ahead: 3000},
		{name: "tokens handed out again", of: w.lab.Child, ask: asking(always(same), always(sent))},
		{name: "tokens handed out again for another assertion", of: w.lab.Child, ask: asking(always(same), w.assertion), ahead: 12000},
	}
	for range o.rounds {
		for i := range parts {
			p, load := &parts[i], o.load
			if p.ahead > 0 {
				load.For /= 2
				w.signAhead(int(load.For.Seconds() * p.ahead))
			}
			r, err := load.Run(ctx, p.of, p.ask)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", p.name, err)
			}
			p.each, p.late = append(p.each, r.Each()), append(p.late, r.Quantile(0.99))
		}
	}
	each := func(i int) time.Duration { return meter.Median(parts[i].each) }
	sign := max(each(2)-each(0), 1)
	n, again, fresh := perSecond(each(3)), perSecond(each(4)), perSecond(each(5))
	bare, least := perSecond(each(2)), perSecond(each(1))
	late, bareLate := meter.Median(parts[3].late), meter.Median(parts[2].late)
	raw := n / perSecond(sign)
	return []meter.Row{
		{Name: "P5 new RS256 tokens per CPU-second, each for an assertion never seen", Figure: fmt.Sprintf("%.0f", n), Beside: fmt.Sprintf("%.0f raw signatures", perSecond(sign)),
			Ratio: raw, Gate: meter.AtLeast(raw, 0.80, "0.80"), Moonshot: meter.AtLeast(raw, 0.92, "0.92")},
		{Name: "P5 the same beside a bare server that signs", Figure: fmt.Sprintf("%.0f", n), Beside: fmt.Sprintf("%.0f signatures in fixed bodies", bare), Ratio: n / bare},
		{Name: "P7 tokens handed out again per CPU-second", Figure: fmt.Sprintf("%.0f", again), Beside: fmt.Sprintf("%.0f fixed bodies", perSecond(each(0))),
			Ratio: again / perSecond(each(0)), Gate: meter.AtLeast(again, 5000, "5000"), Moonshot: meter.AtLeast(again, 10000, "10000")},
		{Name: "P7 the same, each for an assertion never seen", Figure: fmt.Sprintf("%.0f", fresh), Beside: fmt.Sprintf("%.0f verifications in fixed bodies", least),
			Ratio: fresh / least, Gate: meter.AtLeast(fresh, 5000, "5000"), Moonshot: meter.AtLeast(fresh, 10000, "10000")},
		{Name: "P8 99 of 100 new tokens within", Figure: fmt.Sprintf("%.1f ms", millis(late)), Beside: fmt.Sprintf("%.1f ms bare server that signs", millis(bareLate)),
			Ratio: float64(late) / float64(bareLate), Gate: meter.AtMost(millis(late), 20, "20 ms"), Moonshot: meter.AtMost(millis(late), 8, "8 ms")},
	}, nil
}

// saturate measures free/busy while tokens are minted as fast as they can be:
// the second half of P8.
func (w *world) saturate(ctx context.Context, o options) ([]meter.Row, error) {
	c, err := w.lab.Client(w.cloudHost())
	if err != nil {
		return nil, err
	}
	actor, err := w.actor(ctx)
	if err != nil {
		return nil, err
	}
	question, bearer := w.question(), "Bearer "+w.outer(actor, 0)
	ask := func(ctx context.Context, _ int) error {
		b, err := post(ctx, c, w.lab.File.URLs["ews_cloud"], "text/xml; charset=utf-8", question, func(r *http.Request) { r.Header.Set("Authorization", bearer) })
		if err == nil && !bytes.Contains(b, []byte(">NoError<")) {
			err = fmt.Errorf("no answer: %.300s", b)
		}
		return err
	}
	if err := ask(ctx, 0); err != nil {
		return nil, fmt.Errorf("free/busy: %w", err)
	}
	two := meter.Load{Workers: 2, For: o.load.For}
	var quiet, busy []time.Duration
	for range o.rounds {
		q, err := two.Run(ctx, nil, ask)
		if err != nil {
			return nil, err
		}
		minting, stop := context.WithCancel(ctx)
		var wg sync.WaitGroup
		var mintErr error
		wg.Go(func() {
			long := meter.Load{Workers: o.load.Workers, For: time.Hour}
			_, mintErr = long.Run(minting, nil, func(ctx context.Context, _ int) error { _, err := w.ask(ctx, w.unasked(), w.assertion()); return err })
		})
		b, err := two.Run(ctx, nil, ask)
		stop()
		wg.Wait()
		if err != nil || mintErr != nil {
			return nil, fmt.Errorf("free/busy beside tokens: %w, %w", err, mintErr)
		}
		quiet, busy = append(quiet, q.Quantile(0.99)), append(busy, b.Quantile(0.99))
	}
	q, b := meter.Median(quiet), meter.Median(busy)
	return []meter.Row{{Name: "P8 99 of 100 free/busy answers, tokens at saturation, within", Figure: fmt.Sprintf("%.1f ms", millis(b)),
		Beside: fmt.Sprintf("%.1f ms without the tokens", millis(q)), Ratio: float64(b) / float64(q),
		Gate: meter.AtMost(millis(b), 20, "20 ms"), Moonshot: meter.AtMost(millis(b), 8, "8 ms")}}, nil
}

// here is the cloud as the validator sees it.
type here []*directory.Organization

func (h here) OrganizationsAt(context.Context, string) ([]*directory.Organization, error) {
	return h, nil
}

// check measures the check of a bearer token: P9.
func (w *world) check(ctx context.Context, o options) ([]meter.Row, error) {
	actor, err := w.actor(ctx)
	if err != nil {
		return nil, err
	}
	key, err := w.authorityKey(actor)
	if err != nil {
		return nil, err
	}
	now := time.Now() //nolint:forbidigo // a measurement is of now
	v, err := trust.NewValidator(trust.ValidatorConfig{Organizations: here{w.cloud}, Recipients: w.people, Now: func() time.Time { return now }})
	if err != nil {
		return nil, err
	}
	host, outer := w.cloudHost(), w.outer(actor, 0)
	token, err := jose.ParseUnverified(actor)
	if err != nil {
		return nil, err
	}
	validate := func(text string) func() error {
		return func() error { _, err := v.Validate(ctx, text, host); return err }
	}
	// Nothing is remembered where new tokens are measured.
	forgetful, err := trust.NewValidator(trust.ValidatorConfig{Organizations: here{w.cloud}, Recipients: w.people, Now: func() time.Time { return now }, KnownFor: -1})
	if err != nil {
		return nil, err
	}
	salt := 0
	bytes := []byte(outer)
	known := map[[sha256.Size]byte]bool{sha256.Sum256(bytes): true}
	var times [7][]time.Duration
	for range o.rounds {
		for i, f := range [...]func() error{
			func() error { return token.VerifyRS256(key) },
			validate(outer),
			func() error {
				if !known[sha256.Sum256(bytes)] {
					return fmt.Errorf("not known")
				}
				return nil
			},
			func() error { _, err := forgetful.Validate(ctx, actor, host); return err },
			func() error { _, err := forgetful.Validate(ctx, outer, host); return err },
			// A caller wraps the actor token that it has for each of its requests.
			func() error { salt++; _, err := v.Validate(ctx, w.outer(actor, salt%20000), host); return err },
			func() error { salt++; w.outer(actor, salt%20000); return nil },
		} {
			d, err := meter.Each(inProcess, f)
			if err != nil {
				return nil, err
			}
			times[i] = append(times[i], d)
		}
	}
	m := func(i int) time.Duration { return meter.Median(times[i]) }
	raw := m(0)
	fresh := func(name string, d time.Duration) meter.Row {
		ratio := float64(d) / float64(raw)
		return meter.Row{Name: name, Figure: micros(d), Beside: micros(raw) + " raw verification", Ratio: ratio,
			Gate: meter.AtMost(ratio, 1.6, "1.6"), Moonshot: meter.AtMost(ratio, 1.3, "1.3")}
	}
	seen := float64(m(1)) / 1e3
	return []meter.Row{
		{Name: "P9 known token checked in", Figure: micros(m(1)), Beside: micros(m(2)) + " SHA-256 and look-up", Ratio: float64(m(1)) / float64(m(2)),
			Gate: meter.AtMost(seen, 1.5, "1.5 µs"), Moonshot: meter.AtMost(seen, 1, "1 µs")},
		fresh("P9 new token checked in, for an application", m(3)),
		fresh("P9 new token checked in, for a user", m(4)),
		fresh("P9 new outer token around a known actor token", max(m(5)-m(6), 1)),
	}, nil
}

// sign compares what a caller signs with towards a side that is ours (ES256) and
// towards others (RS256).
func (w *world) sign(_ context.Context, o options) ([]meter.Row, error) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	var rs, es []time.Duration
	for range o.rounds {
		for _, s := range []struct {
			key crypto.Signer
			alg string
			out *[]time.Duration
		}{{w.key, jose.RS256, &rs}, {ec, jose.ES256, &es}} {
			d, err := meter.Each(inProcess, func() error {
				var c jose.Writer
				c.Text("aud", w.audience(w.cloudHost())).Text("nameid", directory.ExchangeAppID)
				_, err := jose.Sign(s.key, jose.Header{Algorithm: s.alg, X5T: w.x5t}, &c)
				return err
			})
			if err != nil {
				return nil, err
			}
			*s.out = append(*s.out, d)
		}
	}
	r, e := meter.Median(rs), meter.Median(es)
	return []meter.Row{{Name: "ES256 token signed in, where both sides are ours", Figure: micros(e), Beside: micros(r) + " RS256", Ratio: float64(e) / float64(r)}}, nil
}
