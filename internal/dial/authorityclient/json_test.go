package authorityclient_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"busybridge/internal/dial/authorityclient"
)

func TestFetchJSON(t *testing.T) {
	s, c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if a := r.Header.Get("Accept"); a != "application/json" {
			t.Errorf("Accept %q", a)
		}
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, "https://evil.test/", http.StatusFound)
		case "/gone":
			w.WriteHeader(http.StatusNotFound)
		case "/long":
			fmt.Fprint(w, strings.Repeat(" ", 1<<20+1))
		default:
			fmt.Fprint(w, `{"keys":[]}`)
		}
	})
	for path, want := range map[string]error{
		"/keys": nil, "/away": authorityclient.ErrRedirect, "/gone": authorityclient.ErrStatus, "/long": authorityclient.ErrTooLarge,
	} {
		got, err := c.FetchJSON(t.Context(), s.URL+path)
		if !errors.Is(err, want) || err == nil && string(got) != `{"keys":[]}` {
			t.Errorf("%s: %q, %v, want %v", path, got, err, want)
		}
	}
	if _, err := c.FetchJSON(t.Context(), "http://127.0.0.1/"); !errors.Is(err, authorityclient.ErrInsecure) {
		t.Errorf("without TLS: %v", err)
	}
}
