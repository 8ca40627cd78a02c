package graphclient_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/dial/graphclient"
	"busybridge/internal/spec/graph"
)

// A service answers one call after another; the last answer stays.
type service struct {
	answers  []answer
	requests []*http.Request
	bodies   []string
}

type answer struct {
	status     int
	body       string
	retryAfter string
	err        error
}

func (s *service) RoundTrip(r *http.Request) (*http.Response, error) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	s.requests, s.bodies = append(s.requests, r), append(s.bodies, string(b))
	a := s.answers[min(len(s.requests), len(s.answers))-1]
	if a.err != nil {
		return nil, a.err
	}
	h := http.Header{}
	if a.retryAfter != "" {
		h.Set("Retry-After", a.retryAfter)
	}
	return &http.Response{StatusCode: a.status, Header: h, Body: io.NopCloser(strings.NewReader(a.body)), Request: r}, nil
}

const good = `{"value":[{"scheduleId":"kim@contoso.com","availabilityView":"02","scheduleItems":[]}]}`

func request() *graph.Request {
	at := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	return &graph.Request{Schedules: []string{"kim@contoso.com"}, Start: &graph.DateTime{Wall: at, Zone: "UTC"}, End: &graph.DateTime{Wall: at.Add(time.Hour), Zone: "UTC"}, Interval: 30}
}

func client(t *testing.T, s *service) *graphclient.Client {
	c, err := graphclient.New(graphclient.Config{HTTP: &http.Client{Transport: s}, Now: time.Now, UserAgent: "test", MaxBody: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRequestOnTheWire(t *testing.T) {
	for _, base := range []string{"https://graph.contoso.com", "https://graph.contoso.com/", "https://graph.contoso.com/v1.0"} {
		s := &service{answers: []answer{{status: 200, body: good}}}
		list, err := client(t, s).GetSchedule(t.Context(), base, "kim/..@contoso.com", "id-1", request())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]graph.Schedule{{ID: "kim@contoso.com", View: "02", Items: []graph.Item{}}}, list); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		r := s.requests[0]
		if got, want := r.URL.String(), "https://graph.contoso.com/v1.0/users/kim%2F..@contoso.com/calendar/getSchedule"; got != want || r.Method != "POST" {
			t.Errorf("%s %s, want POST %s", r.Method, got, want)
		}
		for name, want := range map[string]string{"Content-Type": "application/json", "Prefer": `outlook.timezone="UTC"`, "User-Agent": "test", "client-request-id": "id-1"} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		var sent map[string]any
		if err := json.Unmarshal([]byte(s.bodies[0]), &sent); err != nil {
			t.Fatal(err)
		}
		want := map[string]any{"schedules": []any{"kim@contoso.com"}, "availabilityViewInterval": 30.0,
			"startTime": map[string]any{"dateTime": "2026-11-23T08:00:00.0000000", "timeZone": "UTC"},
			"endTime":   map[string]any{"dateTime": "2026-11-23T09:00:00.0000000", "timeZone": "UTC"}}
		if diff := cmp.Diff(want, sent); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestWaitsAsLongAsItIsTold(t *testing.T) {
	throttled := func(after string) answer {
		return answer{status: 429, body: `{"error":{"code":"TooManyRequests","message":"slow down"}}`, retryAfter: after}
	}
	for _, tt := range []struct {
		name    string
		answers []answer
		within  time.Duration
		took    time.Duration
		calls   int
		status  int // 0: answered
	}{
		{"not at all", []answer{{status: 200, body: good}}, time.Minute, 0, 1, 0},
		{"seconds with a fraction", []answer{throttled("2.128"), {status: 200, body: good}}, time.Minute, 2128 * time.Millisecond, 2, 0},
		{"not said", []answer{{status: 503}, {status: 504}, {status: 200, body: good}}, time.Minute, 3 * time.Second, 3, 0},
		{"three times is enough", []answer{throttled("1")}, time.Minute, 2 * time.Second, 3, 429},
		{"not longer than there is time", []answer{throttled("61")}, time.Minute, 0, 1, 429},
		{"never for ever", []answer{throttled("1e300")}, time.Minute, 0, 1, 429},
		{"rubbish is not said", []answer{throttled("soon"), throttled("-5"), {status: 200, body: good}}, time.Minute, 3 * time.Second, 3, 0},
		{"refused is refused", []answer{{status: 403, body: `{"error":{"code":"ErrorAccessDenied","message":"no"}}`}}, time.Minute, 0, 1, 403},
		{"broken is broken", []answer{{status: 500, body: `<html>`}}, time.Minute, 0, 1, 500},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &service{answers: tt.answers}
				ctx, cancel := context.WithTimeout(t.Context(), tt.within)
				defer cancel()
				from := time.Now()
				_, err := client(t, s).GetSchedule(ctx, "https://graph.contoso.com", "kim@contoso.com", "", request())
				se, _ := errors.AsType[*graphclient.StatusError](err)
				if tt.status == 0 && err != nil || tt.status != 0 && (se == nil || se.Status != tt.status) {
					t.Errorf("got %v, want status %d", err, tt.status)
				}
				if took := time.Since(from); took != tt.took || len(s.requests) != tt.calls {
					t.Errorf("%d calls in %v, want %d in %v", len(s.requests), took, tt.calls, tt.took)
				}
				for _, b := range s.bodies {
					if b != s.bodies[0] {
						t.Errorf("the body was %s, then %s", s.bodies[0], b)
					}
				}
			})
		})
	}
}

func TestWaitEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		from := time.Now()
		_, err := client(t, &service{answers: []answer{{status: 429, retryAfter: "3600"}}}).GetSchedule(ctx, "https://graph.contoso.com", "kim@contoso.com", "", request())
		if took := time.Since(from); err == nil || took != time.Second {
			t.Errorf("%v after %v", err, took)
		}
	})
}

func TestAnswersThatAreNone(t *testing.T) {
	broken := errors.New("broken pipe")
	for _, tt := range []struct {
		answer answer
		want   error
	}{
		{answer{status: 200, body: "<html>"}, graph.ErrBody},
		{answer{status: 200, body: "{}"}, graph.ErrBody},
		{answer{status: 200, body: `{"value":[` + strings.Repeat(" ", 2000) + `]}`}, graphclient.ErrTooLarge},
		{answer{err: broken}, broken},
	} {
		_, err := client(t, &service{answers: []answer{tt.answer}}).GetSchedule(t.Context(), "https://graph.contoso.com", "kim@contoso.com", "", request())
		if !errors.Is(err, tt.want) {
			t.Errorf("%+.40q: %v, want %v", tt.answer.body, err, tt.want)
		}
	}
	if _, err := graphclient.New(graphclient.Config{}); err == nil {
		t.Error("an empty configuration is accepted")
	}
}
