package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"busybridge/bench/dataset"
)

// A question is a request for some mailboxes and a window, and the truth of them.
type question struct {
	body   []byte
	window dataset.Window
	of     []*dataset.Mailbox
}

// ask makes a request as Exchange's clients write it, in UTC.
func ask(of []*dataset.Mailbox, w dataset.Window) question {
	b := []byte(`<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/" xmlns:m="http://schemas.microsoft.com/exchange/services/2006/messages" xmlns:t="http://schemas.microsoft.com/exchange/services/2006/types"><soap:Header><t:RequestServerVersion Version="Exchange2013_SP1"/></soap:Header><soap:Body><m:GetUserAvailabilityRequest><t:TimeZone><t:Bias>0</t:Bias><t:StandardTime><t:Bias>0</t:Bias><t:Time>00:00:00</t:Time><t:DayOrder>0</t:DayOrder><t:Month>0</t:Month><t:DayOfWeek>Sunday</t:DayOfWeek></t:StandardTime><t:DaylightTime><t:Bias>0</t:Bias><t:Time>00:00:00</t:Time><t:DayOrder>0</t:DayOrder><t:Month>0</t:Month><t:DayOfWeek>Sunday</t:DayOfWeek></t:DaylightTime></t:TimeZone><m:MailboxDataArray>`)
	for _, m := range of {
		b = append(b, `<t:MailboxData><t:Email><t:Address>`+m.Address+`</t:Address></t:Email><t:AttendeeType>Required</t:AttendeeType><t:ExcludeConflicts>false</t:ExcludeConflicts></t:MailboxData>`...)
	}
	b = fmt.Appendf(b, `</m:MailboxDataArray><t:FreeBusyViewOptions><t:TimeWindow><t:StartTime>%s</t:StartTime><t:EndTime>%s</t:EndTime></t:TimeWindow><t:MergedFreeBusyIntervalInMinutes>30</t:MergedFreeBusyIntervalInMinutes><t:RequestedView>FreeBusy</t:RequestedView></t:FreeBusyViewOptions></m:GetUserAvailabilityRequest></soap:Body></soap:Envelope>`,
		wall(w.Start), wall(w.End))
	return question{b, w, of}
}

const wallForm = "2006-01-02T15:04:05"

func wall(s int64) string { return time.Unix(s, 0).UTC().Format(wallForm) }

// A kind is questions of one form, which are timed together.
type kind struct {
	name      string
	questions []question
	mailboxes int // of each
}

// kinds are the questions of a run. Those of 100 ask for the whole data set.
func kinds(set []dataset.Mailbox) map[string]*kind {
	all := make([]*dataset.Mailbox, len(set))
	for i := range set {
		all[i] = &set[i]
	}
	out := map[string]*kind{}
	for name, windows := range map[string][]dataset.Window{"week": dataset.Weeks(), "60 days": dataset.Long(60), "62 days": dataset.Long(62)} {
		together := &kind{name: fmt.Sprintf("%d mailboxes, %s", len(set), name), mailboxes: len(set)}
		each := &kind{name: "1 mailbox, " + name, mailboxes: 1}
		for _, w := range windows {
			together.questions = append(together.questions, ask(all, w))
			for i := range all {
				each.questions = append(each.questions, ask(all[i:i+1], w))
			}
		}
		out["all "+name], out["one "+name] = together, each
	}
	return out
}

// right counts the mailboxes that the body answers as the truth is.
func (q *question) right(body []byte) (n int, err error) {
	answers, err := readAnswer(body)
	if err != nil {
		return 0, err
	}
	if len(answers) != len(q.of) {
		return 0, fmt.Errorf("%d mailboxes in the answer, want %d: %.400s", len(answers), len(q.of), body)
	}
	var wrong error
	for i, m := range q.of {
		if want := m.In(q.window); answers[i].problem == "" && slices.Equal(answers[i].events, want) {
			n++
		} else if wrong == nil {
			wrong = fmt.Errorf("%s from %s: %s", m.Address, wall(q.window.Start), difference(answers[i], want))
		}
	}
	return n, wrong
}

// difference says what is missing and what is invented.
func difference(a answered, want []dataset.Occurrence) string {
	if a.problem != "" {
		return a.problem
	}
	var b strings.Builder
	list := func(title string, of, from []dataset.Occurrence) {
		for _, o := range of {
			if !slices.Contains(from, o) {
				fmt.Fprintf(&b, "%s %s to %s %s; ", title, wall(o.Start), wall(o.End), o.Status)
			}
		}
	}
	list("missing", want, a.events)
	list("not there", a.events, want)
	if b.Len() == 0 {
		return "in another order, or more than once"
	}
	return b.String()
}

// answered is one mailbox of an answer.
type answered struct {
	problem string
	events  []dataset.Occurrence
}

// readAnswer reads an answer with the standard library's parser.
func readAnswer(body []byte) ([]answered, error) {
	type event struct {
		StartTime, EndTime, BusyType string
	}
	type response struct {
		Message struct {
			Class string `xml:"ResponseClass,attr"`
			Code  string `xml:"ResponseCode"`
			Text  string `xml:"MessageText"`
		} `xml:"ResponseMessage"`
		Events []event `xml:"FreeBusyView>CalendarEventArray>CalendarEvent"`
	}
	var out []answered
	d := xml.NewDecoder(bytes.NewReader(body))
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%w in %.400s", err, body)
		}
		s, ok := t.(xml.StartElement)
		if !ok || s.Name.Local != "FreeBusyResponse" {
			continue
		}
		var r response
		if err := d.DecodeElement(&r, &s); err != nil {
			return nil, err
		}
		var a answered
		if r.Message.Class != "Success" || r.Message.Code != "NoError" {
			a.problem = r.Message.Code + ": " + r.Message.Text
		}
		for _, e := range r.Events {
			o, err := occurrence(e.StartTime, e.EndTime, e.BusyType)
			if err != nil {
				return nil, err
			}
			a.events = append(a.events, o)
		}
		slices.SortFunc(a.events, dataset.Occurrence.Compare)
		out = append(out, a)
	}
}

func occurrence(start, end, busy string) (o dataset.Occurrence, err error) {
	s, err1 := time.Parse(wallForm, start)
	e, err2 := time.Parse(wallForm, end)
	for st := dataset.Free; st <= dataset.OOF; st++ {
		if st.String() == busy {
			return dataset.Occurrence{Start: s.Unix(), End: e.Unix(), Status: st}, errors.Join(err1, err2)
		}
	}
	return o, fmt.Errorf("an event is %q", busy)
}

// A target is a server that questions go to.
type target struct {
	name   string
	client *http.Client
	url    string
	auth   string // Authorization header
}

// newTarget keeps a connection for each asker to the address, in the name of host.
func newTarget(name, certFile, host, address, auth string) (*target, error) {
	cfg, err := trusting(certFile, host)
	if err != nil {
		return nil, err
	}
	return &target{name, &http.Client{Transport: &http.Transport{
		TLSClientConfig: cfg, MaxIdleConnsPerHost: 64, DisableCompression: true, ReadBufferSize: 64 << 10,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}}, "https://" + host + "/EWS/Exchange.asmx", auth}, nil
}

// post sends a body and reads the answer into a buffer, which may grow.
func (t *target) post(ctx context.Context, url string, body, into []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return into, err
	}
	req.Header.Set("Content-Type", contentType)
	if t.auth != "" {
		req.Header.Set("Authorization", t.auth)
	}
	resp, err := t.client.Do(req)
	if err != nil {
		return into, fmt.Errorf("%s: %w", t.name, err)
	}
	defer resp.Body.Close()
	into = into[:0]
	for {
		if len(into) == cap(into) {
			into = slices.Grow(into, max(4096, int(resp.ContentLength)+1-len(into)))
		}
		n, err := resp.Body.Read(into[len(into):cap(into)])
		into = into[:len(into)+n]
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return into, fmt.Errorf("%s: answer of %d bytes: %w", t.name, resp.ContentLength, err)
		}
	}
	if resp.StatusCode != http.StatusOK {
		return into, fmt.Errorf("%s: %s: %.400s", t.name, resp.Status, into)
	}
	return into, nil
}
