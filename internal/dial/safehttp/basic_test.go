package safehttp_test

import (
	"net/http"
	"testing"

	"busybridge/internal/dial/safehttp"
)

// recorded answers with a redirect as long as there is one, and notes who asked.
type recorded struct {
	redirects []string
	seen      []string // host and user of each request
}

func (r *recorded) RoundTrip(q *http.Request) (*http.Response, error) {
	user, _, _ := q.BasicAuth()
	r.seen = append(r.seen, q.URL.Host+" "+user)
	resp := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: q}
	if n := len(r.seen); n <= len(r.redirects) {
		resp.StatusCode = http.StatusFound
		resp.Header.Set("Location", r.redirects[n-1])
	}
	return resp, nil
}

func TestBasicAuthStaysWithItsHost(t *testing.T) {
	rt := &recorded{redirects: []string{"https://a.example/again", "https://b.example/", "https://a.example/back"}}
	client := &http.Client{Transport: safehttp.BasicAuth{Base: rt, User: "ana", Password: "secret"}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://a.example/", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	want := []string{"a.example ana", "a.example ana", "b.example ", "a.example "}
	if len(rt.seen) != len(want) {
		t.Fatalf("requests %q, want %q", rt.seen, want)
	}
	for i := range want {
		if rt.seen[i] != want[i] {
			t.Errorf("request %d: %q, want %q", i, rt.seen[i], want[i])
		}
	}
}
